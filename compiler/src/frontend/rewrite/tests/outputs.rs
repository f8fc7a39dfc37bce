use super::{Small, near, random};
use tract_onnx::prelude::*;

fn two() -> Small {
    Small::new(17)
        .input("x", &[2])
        .constant("w", tensor1(&[2f32, 3.0]))
        .constant("v", tensor1(&[5f32, 5.0]))
        .node("Mul", &["x", "w"], &["a"], &[])
        .node("Add", &["a", "v"], &["b"], &[])
        .output("a")
        .output("b")
}

#[test]
fn only_the_outputs_that_are_asked_for_are_left_with_what_they_need() {
    let mut small = two();
    small.options.outputs = vec!["a".into()];
    let (model, _) = small.rewritten().unwrap();
    let graph = model.graph.unwrap();
    let names = |n: Vec<&str>| n.join(" ");
    assert_eq!(names(graph.node.iter().map(|n| n.op_type.as_str()).collect()), "Mul");
    assert_eq!(names(graph.initializer.iter().map(|t| t.name.as_str()).collect()), "w");
    let got = small.run(&[tensor1(&[1f32, 1.0])]);
    assert_eq!(got.len(), 1);
    near(&got[0], &[2], &[2.0, 3.0]);
    small.options.outputs = vec!["c".into()];
    assert!(small.refusal().contains("no output \"c\"; it has a, b"), "{}", small.refusal());
}

#[test]
fn a_node_that_only_a_dropped_output_needs_is_not_refused() {
    let mut small = two().node("own:Odd", &["x"], &["z"], &[]).output("z");
    assert!(small.refusal().contains("Odd \"z\""), "{}", small.refusal());
    small.options.outputs = vec!["b".into()];
    near(&small.run(&[tensor1(&[1f32, 1.0])])[0], &[2], &[7.0, 8.0]);
}

#[test]
fn repeated_passed_through_and_constant_outputs_keep_their_values() {
    let small = two().output("a").output("x").output("v").node("Identity", &["a"], &["c"], &[]).output("c");
    let got = small.run(&[tensor1(&[1f32, -1.0])]);
    let want: [&[f32]; 5] = [&[2.0, -3.0], &[7.0, 2.0], &[1.0, -1.0], &[5.0, 5.0], &[2.0, -3.0]];
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        near(got, &[2], want);
    }
}

#[test]
fn unused_inputs_stay_and_weights_among_the_inputs_go() {
    let small = two().input("unused", &[3]).input("w", &[2]);
    let (model, _) = small.rewritten().unwrap();
    let names: Vec<String> = model.graph.unwrap().input.into_iter().map(|i| i.name).collect();
    assert_eq!(names, ["x", "unused"]);
}

#[test]
fn all_unknown_nodes_are_told_at_once_and_random_ones_by_their_reason() {
    let small = two()
        .node("own:Odd", &["a"], &["p"], &[])
        .node("RandomNormalLike", &["p"], &["q"], &[])
        .node("Det", &["q"], &["r"], &[])
        .output("r");
    let refusal = small.refusal();
    for words in ["3 unsupported", "Odd \"p\"", "RandomNormalLike \"q\"", "draws random numbers", "Det \"r\""] {
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[test]
fn nodes_of_one_name_or_none_are_told_apart() {
    let mut small = two();
    small.graph.node[0].name = "same".into();
    small.graph.node[1].name = "same".into();
    near(&small.run(&[tensor1(&[1f32, 1.0])])[1], &[2], &[7.0, 8.0]);
    small.graph.node.iter_mut().for_each(|n| n.name.clear());
    near(&small.run(&[random(&[2], 1).cast_to_dt(DatumType::F32).unwrap().into_owned()])[0].clone(), &[2], &{
        let x = super::numbers(2, 1);
        [2.0 * x[0], 3.0 * x[1]]
    });
}

#[test]
fn lists_that_are_outputs_are_given_as_their_tensors() {
    let small = Small::new(17)
        .input("x", &[2])
        .node("Neg", &["x"], &["less"], &[])
        .node("SequenceConstruct", &["x", "less"], &["both"], &[])
        .output("both");
    let (model, notes) = small.rewritten().unwrap();
    assert_eq!(notes, ["output \"both\" is a list, given as the outputs \"both/0\", \"both/1\""]);
    let names: Vec<&str> = model.graph.as_ref().unwrap().output.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["both/0", "both/1"]);
    let values = small.run(&[tensor1(&[1f32, 2.0])]);
    near(&values[0], &[2], &[1.0, 2.0]);
    near(&values[1], &[2], &[-1.0, -2.0]);
}

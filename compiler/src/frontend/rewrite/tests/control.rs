use super::{Small, make, near};
use crate::frontend::rewrite::{facts::FLOAT, node, tensor};
use tract_onnx::{
    pb::{
        AttributeProto, GraphProto, NodeProto, ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType,
    },
    prelude::*,
};

fn graph(name: &str, inputs: &[&str], nodes: Vec<NodeProto>, outputs: &[&str]) -> AttributeProto {
    let info = |n: &&str| ValueInfoProto { name: (*n).into(), ..Default::default() };
    let graph = GraphProto {
        node: nodes,
        input: inputs.iter().map(info).collect(),
        output: outputs.iter().map(info).collect(),
        ..Default::default()
    };
    AttributeProto { name: name.into(), g: Some(graph), r#type: AttributeType::Graph as i32, ..Default::default() }
}

/// x or -x, by the input `negate`.
fn conditional() -> Small {
    let branch = |name: &str, op: &str| graph(name, &[], vec![make(op, &["x"], &["r"], &[])], &["r"]);
    let branches = [branch("then_branch", "Neg"), branch("else_branch", "Abs")];
    Small::new(17)
        .input("x", &[2])
        .typed_input("negate", DataType::Bool as i32, &[1])
        .node("If", &["negate"], &["y"], &branches)
        .output("y")
}

#[test]
fn a_condition_is_settled_by_the_model_or_by_the_user() {
    let x = tensor1(&[1f32, -3.0]);
    for (set, want) in [(1.0, [-1.0, 3.0]), (0.0, [1.0, 3.0])] {
        let mut small = conditional();
        small.options.set.insert("negate".into(), crate::setting::Setting(set));
        near(&small.run(std::slice::from_ref(&x))[0], &[2], &want);
    }
    // From a shape: the first axis of x has length 2.
    let mut small = conditional();
    small.graph.input.pop();
    small = small.constant("two", tensor1(&[2i64])).node("Shape", &["x"], &["s"], &[]);
    small = small.node("Equal", &["s", "two"], &["negate"], &[]);
    near(&small.run(&[x])[0], &[2], &[-1.0, 3.0]);
}

#[test]
fn a_condition_that_is_open_is_refused_with_the_way_to_settle_it() {
    let refusal = conditional().refusal();
    assert!(refusal.contains("If \"y\"") && refusal.contains("`--set negate=VALUE`"), "{refusal}");
}

/// `If` the greatest element of x is positive.
fn decided_by_data(branches: [AttributeProto; 2]) -> Small {
    let small = Small::new(17).input("x", &[2]).constant("zero", tensor0(0f32)).output("y");
    small.node("ReduceMax", &["x"], &["m"], &[]).node("Greater", &["m", "zero"], &["negate"], &[]).node(
        "If",
        &["negate"],
        &["y"],
        &branches,
    )
}

#[test]
fn of_branches_that_data_decides_the_condition_chooses_one() {
    let branch = |name: &str, op: &str| graph(name, &[], vec![make(op, &["x"], &["r"], &[])], &["r"]);
    let small = decided_by_data([branch("then_branch", "Neg"), branch("else_branch", "Abs")]);
    for (x, want) in [([1f32, -3.0], [-1.0, 3.0]), ([-1.0, -3.0], [1.0, 3.0])] {
        near(&small.run(&[tensor1(&x)])[0], &[2], &want);
    }
    let (_, notes) = small.rewritten().unwrap();
    assert!(notes[0].starts_with("both branches of \"y\" are computed"), "{notes:?}");
    let longer = graph("else_branch", &[], vec![make("Concat", &["x", "x"], &["r"], &[node::int("axis", 0)])], &["r"]);
    let refusal = decided_by_data([branch("then_branch", "Neg"), longer]).refusal();
    assert!(refusal.contains("its branches give shapes [2] and [4]"), "{refusal}");
    assert!(refusal.contains("computed from the input \"x\""), "{refusal}");
}

/// s = s * 2 + number, `trips` times, collecting s.
fn counting(trips: i64) -> Small {
    let body = vec![
        make("Cast", &["i"], &["n"], &[node::int("to", FLOAT.into())]),
        make("Add", &["s", "s"], &["d"], &[]),
        make("Add", &["d", "n"], &["t"], &[]),
        make("Identity", &["c"], &["d_out"], &[]),
    ];
    let body = graph("body", &["i", "c", "s"], body, &["d_out", "t", "t"]);
    Small::new(17)
        .input("x", &[2])
        .constant("trips", tensor0(trips))
        .node("Loop", &["trips", "", "x"], &["y", "all"], &[body])
        .output("y")
        .output("all")
}

/// torch's exporter says so of a loop over the bags of an `EmbeddingBag`.
#[test]
fn a_loop_that_goes_on_by_a_constant_from_outside_has_its_length() {
    let body = vec![make("Add", &["s", "s"], &["t"], &[]), make("Cast", &["always"], &["go"], &[node::int("to", 9)])];
    let looped = |always: bool| {
        Small::new(17)
            .input("x", &[2])
            .constant("trips", tensor0(3i64))
            .constant("always", tensor0(always))
            .node(
                "Loop",
                &["trips", "always", "x"],
                &["y"],
                &[graph("body", &["i", "c", "s"], body.clone(), &["go", "t"])],
            )
            .output("y")
    };
    near(&looped(true).run(&[tensor1(&[1f32, -1.0])])[0], &[2], &[8.0, -8.0]);
    near(&looped(false).run(&[tensor1(&[1f32, -1.0])])[0], &[2], &[1.0, -1.0]);
}

/// So does the newer exporter of a loop over bags: it counts itself.
#[test]
fn a_loop_that_counts_by_a_state_of_its_own_ends() {
    let body = vec![
        make("Add", &["s", "s"], &["t"], &[]),
        make("Add", &["n", "one"], &["m"], &[]),
        make("Less", &["m", "end"], &["go"], &[]),
    ];
    let counted = |constant: bool, trips: &str| {
        let small = Small::new(17)
            .input("x", &[2])
            .constant("true", tensor0(true))
            .constant("one", tensor0(1i64))
            .constant("two", tensor0(2i64))
            .constant("end", tensor0(5i64));
        let small = match constant {
            true => small.constant("start", tensor0(0i64)),
            false => small.typed_input("start", 7, &[]),
        };
        let body = graph("body", &["i", "c", "n", "s"], body.clone(), &["go", "m", "t"]);
        small.node("Loop", &[trips, "true", "start", "x"], &["k", "y"], &[body]).output("y")
    };
    near(&counted(true, "").run(&[tensor1(&[1f32, -1.0])])[0], &[2], &[32.0, -32.0]);
    near(&counted(true, "two").run(&[tensor1(&[1f32, -1.0])])[0], &[2], &[4.0, -4.0]);
    let refusal = counted(false, "").refusal();
    assert!(refusal.contains("how often it runs is") && refusal.contains("--set start=VALUE"), "{refusal}");
}

#[test]
fn loops_of_known_length_are_unrolled() {
    let got = counting(3).run(&[tensor1(&[1f32, -1.0])]);
    // 1 -> 2 -> 5 -> 12 and -1 -> -2 -> -3 -> -4.
    near(&got[0], &[2], &[12.0, -4.0]);
    near(&got[1], &[3, 2], &[2.0, -2.0, 5.0, -3.0, 12.0, -4.0]);
    let (model, _) = counting(2).rewritten().unwrap();
    let names: Vec<String> = model.graph.unwrap().node.into_iter().map(|n| n.name).collect();
    assert!(names.iter().all(|n| n.starts_with('y')), "{names:?}");
}

#[test]
fn loops_that_are_too_long_or_of_unknown_length_are_refused() {
    assert!(counting(1 << 40).refusal().contains("expands to more than"));
    let mut open = counting(1).typed_input("trips", DataType::Int64 as i32, &[]);
    open.graph.initializer.clear();
    let refusal = open.refusal();
    assert!(refusal.contains("Loop \"y\"") && refusal.contains("`--set trips=VALUE`"), "{refusal}");
    let mut small = counting(3);
    let body = small.graph.node[0].attribute[0].g.as_mut().unwrap();
    body.node[3] = make("Less", &["s", "s"], &["d_out"], &[]);
    assert!(small.refusal().contains("stops on a condition"), "{}", small.refusal());
}

#[test]
fn nested_bodies_keep_what_they_read_apart() {
    // Both loops call their state s; the inner one also reads the outer number.
    let inner = vec![make("Add", &["s", "n"], &["t"], &[]), make("Identity", &["c"], &["go"], &[])];
    let inner = graph("body", &["i", "c", "s"], inner, &["go", "t"]);
    let outer = vec![
        make("Cast", &["i"], &["n"], &[node::int("to", FLOAT.into())]),
        make("Loop", &["two", "", "s"], &["r"], &[inner]),
        make("Identity", &["c"], &["go"], &[]),
    ];
    let outer = graph("body", &["i", "c", "s"], outer, &["go", "r"]);
    let small = Small::new(17)
        .input("x", &[1])
        .constant("two", tensor0(2i64))
        .constant("three", tensor0(3i64))
        .node("Loop", &["three", "", "x"], &["y"], &[outer])
        .output("y");
    near(&small.run(&[tensor1(&[10f32])])[0], &[1], &[10.0 + 2.0 * (0.0 + 1.0 + 2.0)]);
}

#[test]
fn sequences_of_known_length_become_their_tensors() {
    let x = tensor1(&[1f32, 2.0, 3.0, 4.0, 5.0]);
    let base = || Small::new(17).input("x", &[5]).constant("two", tensor0(2i64)).constant("last", tensor0(-1i64));
    let axis = [node::int("axis", 0)];
    // Parts of two: [1, 2], [3, 4], [5]; the last one first.
    let small = base()
        .node("SplitToSequence", &["x", "two"], &["s"], &axis)
        .node("SequenceAt", &["s", "last"], &["e"], &[])
        .node("SequenceErase", &["s"], &["r"], &[])
        .constant("zero", tensor0(0i64))
        .node("SequenceInsert", &["r", "e", "zero"], &["t"], &[])
        .node("ConcatFromSequence", &["t"], &["y"], &axis)
        .node("SequenceLength", &["t"], &["n"], &[])
        .output("y")
        .output("n");
    let got = small.run(std::slice::from_ref(&x));
    near(&got[0], &[5], &[5.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(tensor::integers(&got[1]).unwrap(), [3]);
    // Elements of their own, on top of each other, by sizes.
    let small = base()
        .node("SplitToSequence", &["x"], &["s"], &[node::int("keepdims", 0)])
        .node("ConcatFromSequence", &["s"], &["y"], &[node::int("axis", 0), node::int("new_axis", 1)])
        .output("y");
    near(&small.run(std::slice::from_ref(&x))[0], &[5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
    let small = base()
        .constant("sizes", tensor1(&[1i64, 4]))
        .node("SplitToSequence", &["x", "sizes"], &["s"], &axis)
        .node("SequenceAt", &["s", "last"], &["y"], &[])
        .output("y");
    near(&small.run(&[x])[0], &[4], &[2.0, 3.0, 4.0, 5.0]);
    let beyond = base()
        .node("SplitToSequence", &["x", "two"], &["s"], &axis)
        .constant("five", tensor0(5i64))
        .node("SequenceAt", &["s", "five"], &["y"], &[])
        .output("y");
    assert!(beyond.refusal().contains("position 5 is not in a sequence of 3"), "{}", beyond.refusal());
}

#[test]
fn a_sequence_that_a_loop_fills_is_known_behind_it() {
    let body = vec![
        make("Neg", &["v"], &["w"], &[]),
        make("SequenceInsert", &["s", "w"], &["t"], &[]),
        make("Identity", &["c"], &["go"], &[]),
    ];
    let body = graph("body", &["i", "c", "s", "v"], body, &["go", "t", "w"]);
    let small = Small::new(17)
        .input("x", &[1])
        .constant("two", tensor0(2i64))
        .node("SequenceEmpty", &[], &["none"], &[])
        .node("Loop", &["two", "", "none", "x"], &["all", "v"], &[body])
        .node("ConcatFromSequence", &["all"], &["y"], &[node::int("axis", 0)])
        .output("y");
    near(&small.run(&[tensor1(&[3f32])])[0], &[2], &[-3.0, 3.0]);
}

#[test]
fn values_depending_on_themselves_are_refused() {
    let small = Small::new(17).input("x", &[1]).node("Add", &["x", "b"], &["a"], &[]);
    let small = small.node("Neg", &["a"], &["b"], &[]).output("b");
    assert!(small.refusal().contains("depends on itself"), "{}", small.refusal());
}

/// s = s + a step of x, and what s was; with attributes.
fn scanning(attributes: &[AttributeProto]) -> Small {
    let body = vec![make("Add", &["s", "e"], &["t"], &[]), make("Identity", &["s"], &["before"], &[])];
    let body = graph("body", &["s", "e"], body, &["t", "before"]);
    let attributes = [&[body, node::int("num_scan_inputs", 1)], attributes].concat();
    Small::new(17)
        .input("x", &[2, 3])
        .input("start", &[2])
        .node("Scan", &["start", "x"], &["y", "all"], &attributes)
        .output("y")
        .output("all")
}

#[test]
fn scans_are_unrolled() {
    let x = tensor1(&[1f32, 2.0, 3.0, 10.0, 20.0, 30.0]).into_shape(&[2, 3]).unwrap();
    let along = |direction: i64, others: &[AttributeProto]| {
        let axis = [node::ints("scan_input_axes", &[-1]), node::ints("scan_input_directions", &[direction])];
        scanning(&[&axis, others].concat()).run(&[x.clone(), tensor1(&[0.5f32, 0.0])])
    };
    let got = along(0, &[]);
    near(&got[0], &[2], &[6.5, 60.0]);
    near(&got[1], &[3, 2], &[0.5, 0.0, 1.5, 10.0, 3.5, 30.0]);
    let got = along(1, &[node::ints("scan_output_axes", &[1]), node::ints("scan_output_directions", &[1])]);
    near(&got[0], &[2], &[6.5, 60.0]);
    near(&got[1], &[2, 3], &[5.5, 3.5, 0.5, 50.0, 30.0, 0.0]);
}

#[test]
fn scans_that_cannot_be_unrolled_are_refused() {
    let empty = scanning(&[node::ints("scan_input_axes", &[5])]).refusal();
    assert!(empty.contains("Scan \"y\"") && empty.contains("scans an axis that is"), "{empty}");
    let batch = Small { opset: 8, ..scanning(&[]) }.refusal();
    assert!(batch.contains("export the model with a later one"), "{batch}");
}

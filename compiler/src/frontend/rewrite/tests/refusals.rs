//! Operands that must be fixed and are computed.

use super::{Small, near, node, run};
use tract_onnx::prelude::*;

/// Operators, the operands behind their data with `?` for the one that is computed, and what they say of it.
const COMPUTED: [(&str, &[&str], &str); 20] = [
    ("CenterCropPad", &["?"], "the shape of its result"),
    ("CumSum", &["?"], "which axis it means"),
    ("CumProd", &["?"], "which axis it means"),
    ("Expand", &["?"], "the shape of its result"),
    ("OneHot", &["?", "ends"], "the length of its rows"),
    ("Pad", &["?"], "how much it adds"),
    ("Pad", &["list", "half", "?"], "along which axes it adds"),
    ("ReduceSum", &["?"], "along which axes it reduces"),
    ("ReduceMax", &["?"], "along which axes it reduces"),
    ("ReduceLogSumExp", &["?"], "along which axes it reduces"),
    ("Reshape", &["?"], "the shape of its result"),
    ("Resize", &["", "", "?"], "the size of its result"),
    ("Slice", &["?", "list"], "where it cuts"),
    ("Slice", &["list", "?"], "where it cuts"),
    ("Slice", &["list", "list", "?"], "along which axes it cuts"),
    ("Squeeze", &["?"], "which axis it means"),
    ("Tile", &["?"], "how often it repeats its input"),
    ("TopK", &["?"], "how many elements it takes"),
    ("Trilu", &["?"], "which diagonal it means"),
    ("Unsqueeze", &["?"], "which axis it means"),
];

/// A node of which one operand is made of the input `s`.
fn computed(op: &str, operands: &[&str], length: i64) -> Small {
    let inputs: Vec<&str> =
        std::iter::once("x").chain(operands.iter().map(|o| if *o == "?" { "whole" } else { o })).collect();
    Small::new(20)
        .input("x", &[2, 4])
        .input("s", &[length])
        .constant("list", tensor1(&[1i64]))
        .constant("half", tensor0(0.5f32))
        .constant("ends", tensor1(&[0f32, 1.0]))
        .node("Cast", &["s"], &["whole"], &[node::int("to", 7)])
        .node(op, &inputs, &["y"], &[])
        .output("y")
}

#[test]
fn computed_operands_are_refused_with_what_decides_them() {
    for (op, operands, what) in COMPUTED {
        let said = computed(op, operands, 2).refusal();
        let whole = format!(
            "{op} \"y\": {what} is computed from the input \"s\", and a circuit is fixed; export the model with a fixed one"
        );
        assert!(said.ends_with(&whole), "{op} {operands:?}: {said}");
        let said = computed(op, operands, 1).refusal();
        assert!(said.ends_with("settle it with `--set s=VALUE`"), "{op} {operands:?}: {said}");
    }
}

#[test]
fn computed_lengths_without_data_are_refused() {
    for op in ["ConstantOfShape", "HannWindow", "BlackmanWindow", "HammingWindow"] {
        let small = Small::new(17)
            .input("s", &[2])
            .node("Cast", &["s"], &["whole"], &[node::int("to", 7)])
            .node(op, &["whole"], &["y"], &[])
            .output("y");
        assert!(small.refusal().contains("is computed from the input \"s\", and a circuit is fixed; "), "{op}");
    }
}

#[test]
fn lists_whose_length_is_data_are_refused() {
    for (op, inputs) in [("NonMaxSuppression", &["x", "x"][..]), ("Unique", &["x"])] {
        let small = Small::new(17).input("x", &[1, 2, 4]).node(op, inputs, &["y"], &[]).output("y");
        let said = small.refusal();
        assert!(said.contains(&format!("{op} \"y\": how many values it gives depends on data")), "{said}");
    }
    let small = Small::new(17)
        .input("x", &[4])
        .typed_input("marks", 9, &[4])
        .node("Compress", &["x", "marks"], &["y"], &[node::int("axis", 0)])
        .output("y");
    assert!(small.refusal().contains("Compress \"y\": its length depends on data"), "{}", small.refusal());
}

/// A condition that is fixed selects fixed elements; one that is data, rows that are put back.
#[test]
fn marked_elements_are_read() {
    let fixed = Small::new(17)
        .input("x", &[2, 3])
        .constant("marks", tensor1(&[true, false, true]))
        .node("Compress", &["x", "marks"], &["y"], &[node::int("axis", 1)])
        .output("y");
    let x = tensor2(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    near(&fixed.run(&[x])[0], &[2, 2], &[1.0, 3.0, 4.0, 6.0]);
}

/// `x[a..a + 2]` and the positions `a..a + 2`, with `a` as an input.
#[test]
fn stretches_of_fixed_length_may_begin_at_a_computed_place() {
    let small = Small::new(17)
        .input("x", &[2, 4])
        .typed_input("a", 7, &[1])
        .constant("two", tensor1(&[2i64]))
        .constant("one", tensor0(1i64))
        .constant("axis", tensor1(&[-1i64]))
        .constant("none", tensor1::<i64>(&[]))
        .node("Add", &["two", "a"], &["end"], &[])
        .node("Slice", &["x", "a", "end", "axis"], &["cut"], &[])
        .node("Reshape", &["a", "none"], &["from"], &[])
        .node("Reshape", &["end", "none"], &["to"], &[])
        .node("Range", &["from", "to", "one"], &["places"], &[])
        .node("Cast", &["places"], &["floats"], &[node::int("to", 1)])
        .node("Add", &["cut", "floats"], &["y"], &[])
        .output("y");
    let x = tensor2(&[[1f32, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]);
    for a in 0..3i64 {
        let at = |row: usize, i: usize| (row * 4 + a as usize + i + 1) as f32 + (a as usize + i) as f32;
        let want = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];
        near(&small.run(&[x.clone(), tensor1(&[a])])[0], &[2, 2], &want);
    }
}

/// A place that counts from the end; one whose stretch would go on at the start is beyond the axis.
#[test]
fn stretches_may_begin_at_places_that_count_from_the_end() {
    let small = Small::new(17)
        .input("x", &[4])
        .typed_input("a", 7, &[1])
        .constant("two", tensor1(&[2i64]))
        .node("Add", &["a", "two"], &["end"], &[])
        .node("Slice", &["x", "a", "end"], &["y"], &[])
        .output("y");
    let x = tensor1(&[1f32, 2.0, 3.0, 4.0]);
    near(&small.run(&[x.clone(), tensor1(&[-3i64])])[0], &[2], &[2.0, 3.0]);
    let (model, _) = small.rewritten().unwrap();
    let beyond = || run(&model, None, &[x, tensor1(&[-1i64])]);
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(beyond)).is_ok_and(|y| y.is_ok());
    assert!(!read);
}

/// `Pad` by a number that the model computes.
#[test]
fn computed_fillings_are_added_around() {
    let small = Small::new(17)
        .input("x", &[2, 2])
        .input("f", &[1])
        .constant("pads", tensor1(&[0i64, 1, 0, 0]))
        .constant("first", tensor1(&[0i64]))
        .node("Squeeze", &["f", "first"], &["filling"], &[])
        .node("Pad", &["x", "pads", "filling"], &["y"], &[])
        .output("y");
    let x = tensor2(&[[1f32, 2.0], [3.0, 4.0]]);
    near(&small.run(&[x, tensor1(&[7f32])])[0], &[2, 3], &[7.0, 1.0, 2.0, 7.0, 3.0, 4.0]);
}

/// Lists of one number, where other readers take scalars.
#[test]
fn ranges_may_be_given_by_lists_of_one() {
    let small = Small::new(17)
        .input("x", &[3])
        .constant("from", tensor1(&[2i64]))
        .constant("to", tensor0(5i64))
        .constant("step", tensor1(&[1i64]))
        .node("Range", &["from", "to", "step"], &["places"], &[])
        .node("Cast", &["places"], &["floats"], &[node::int("to", 1)])
        .node("Add", &["x", "floats"], &["y"], &[])
        .output("y");
    near(&small.run(&[tensor1(&[0f32, 0.0, 0.5])])[0], &[3], &[2.0, 3.0, 4.5]);
}

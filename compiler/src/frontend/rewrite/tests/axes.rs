//! Axes that are not there.

use super::{Small, node};
use tract_onnx::{pb::AttributeProto, prelude::*};

/// Models with one node on `x` of three axes, and on what a reshape by a computed shape makes of it.
fn models(opset: i64, op: &str, attributes: &[AttributeProto], inputs: &[(&str, Tensor)]) -> [Small; 2] {
    ["x", "cube"].map(|x| {
        let names: Vec<&str> = std::iter::once(x).chain(inputs.iter().map(|(name, _)| *name)).collect();
        let small = Small::new(opset).input("x", &[2, 3, 4]).output("y");
        let small = inputs.iter().fold(small, |small, (name, value)| small.constant(name, value.clone()));
        small.node("Shape", &["x"], &["shape"], &[]).node("Reshape", &["x", "shape"], &["cube"], &[]).node(
            op,
            &names,
            &["y"],
            attributes,
        )
    })
}

/// Operators that name one axis, with their version of the operator set and the axes that they can name.
const ONE_AXIS: [(&str, i64, [i64; 2]); 16] = [
    ("ArgMax", 17, [-3, 2]),
    ("Concat", 17, [-3, 2]),
    ("Flatten", 17, [-3, 3]),
    ("Gather", 17, [-3, 2]),
    ("GatherElements", 17, [-3, 2]),
    ("Hardmax", 17, [-3, 2]),
    ("LayerNormalization", 17, [-3, 2]),
    ("LogSoftmax", 17, [-3, 2]),
    ("LpNormalization", 17, [-3, 2]),
    ("OneHot", 17, [-4, 3]),
    ("RMSNormalization", 23, [-3, 2]),
    ("ReduceMax", 11, [-3, 2]),
    ("ReduceSum", 11, [-3, 2]),
    ("Softmax", 17, [-3, 2]),
    ("Split", 17, [-3, 2]),
    ("TopK", 17, [-3, 2]),
];

/// What such an operator reads besides its first input.
fn others(op: &str) -> Vec<(&'static str, Tensor)> {
    match op {
        "Concat" => vec![("other", tensor3(&[[[0f32; 4]; 3]; 2]))],
        "Gather" => vec![("ids", tensor1(&[0i64]))],
        "GatherElements" => vec![("places", tensor3(&[[[0i64; 4]; 3]; 2]))],
        "LayerNormalization" | "RMSNormalization" => vec![("gain", tensor1(&[1f32; 4]))],
        "OneHot" => vec![("depth", tensor0(4i64)), ("ends", tensor1(&[0f32, 1.0]))],
        "TopK" => vec![("k", tensor1(&[1i64]))],
        _ => Vec::new(),
    }
}

#[test]
fn attributes_that_name_axes_which_are_not_there_are_refused() {
    for (op, opset, [least, most]) in ONE_AXIS {
        let name = |axis: i64| match op.starts_with("Reduce") {
            true => node::ints("axes", &[axis]),
            false => node::int("axis", axis),
        };
        for axis in [-64, least - 1, most + 1, 64] {
            for small in models(opset, op, &[name(axis)], &others(op)) {
                let said = small.refusal();
                let range = format!("{op} \"y\": it names axis {axis}, and of the 3 axes of ");
                assert!(said.contains(&range), "{op} {axis}: {said}");
                let can = format!("it can name {least} to {most}; correct the model");
                assert!(said.ends_with(&can), "{op} {axis}: {said}");
            }
        }
        let there = &models(opset, op, &[name(-1)], &others(op))[0];
        assert!(!there.refusal().contains("it names axis"), "{op}");
    }
}

#[test]
fn orders_of_axes_that_are_not_there_are_refused() {
    for small in models(17, "Transpose", &[node::ints("perm", &[0, 3, 1])], &[]) {
        let said = small.refusal();
        assert!(said.contains("Transpose \"y\": it names axis 3, and of the 3 axes of "), "{said}");
        assert!(said.ends_with("it can name 0 to 2; correct the model"), "{said}");
    }
}

#[test]
fn inputs_that_name_axes_which_are_not_there_are_refused() {
    let list = |name, v: i64| (name, tensor1(&[v]));
    for axis in [-64, -5, 4, 64, i64::MIN, i64::MAX] {
        let cases: [(&str, Vec<(&str, Tensor)>); 7] = [
            ("CumSum", vec![("axis", tensor0(axis))]),
            ("ReduceMean", vec![list("axes", axis)]),
            ("ReduceSum", vec![list("axes", axis)]),
            ("ReduceL2", vec![list("axes", axis)]),
            ("Slice", vec![list("starts", 0), list("ends", 1), list("axes", axis)]),
            ("Squeeze", vec![list("axes", axis)]),
            ("Unsqueeze", vec![list("axes", axis)]),
        ];
        for (op, inputs) in cases {
            for small in models(18, op, &[], &inputs) {
                let said = small.refusal();
                assert!(
                    said.contains(&format!("{op} \"y\": it names axis {axis}, and of the 3 axes of ")),
                    "{op}: {said}"
                );
            }
        }
    }
}

#[test]
fn a_number_has_no_last_axis() {
    let small = Small::new(17).input("x", &[]).constant("gain", tensor0(1f32)).output("y");
    let said = small.node("LayerNormalization", &["x", "gain"], &["y"], &[]).refusal();
    assert!(said.ends_with("it names axis -1, and \"x\" has none; correct the model"), "{said}");
}

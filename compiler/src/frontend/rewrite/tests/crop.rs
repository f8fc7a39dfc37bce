use super::{Small, near};
use crate::frontend::rewrite::node;
use tract_onnx::prelude::*;

fn x() -> Tensor {
    tensor1(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).into_shape(&[2, 3]).unwrap()
}

#[test]
fn negative_amounts_cut_off() {
    // One more row before and one less after, as a shift in time is exported.
    let shift = Small::new(17)
        .input("x", &[2, 3])
        .constant("pads", tensor1(&[1i64, 0, -1, 0]))
        .node("Pad", &["x", "pads"], &["y"], &[])
        .output("y");
    near(&shift.run(&[x()])[0], &[2, 3], &[0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
    let by_attribute = Small::new(10)
        .input("x", &[2, 3])
        .node("Pad", &["x"], &["y"], &[node::ints("pads", &[0, -1, 0, -1])])
        .output("y");
    near(&by_attribute.run(&[x()])[0], &[2, 1], &[2.0, 5.0]);
}

#[test]
fn amounts_of_some_axes_that_follow_from_shapes() {
    let small = Small::new(18)
        .input("x", &[2, 3])
        .constant("axes", tensor1(&[-1i64]))
        .constant("value", tensor0(9f32))
        .node("Shape", &["x"], &["pads"], &[])
        .node("Neg", &["pads"], &["less"], &[])
        .constant("three", tensor1(&[3i64, 2]))
        .node("Add", &["less", "three"], &["amounts"], &[])
        .node("Pad", &["x", "amounts", "value", "axes"], &["y"], &[])
        .output("y");
    // One more before, one less after.
    near(&small.run(&[x()])[0], &[2, 3], &[9.0, 1.0, 2.0, 9.0, 4.0, 5.0]);
}

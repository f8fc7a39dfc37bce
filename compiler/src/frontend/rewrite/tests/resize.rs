//! Resized axes.

use super::{Small, near};
use crate::frontend::rewrite::node::{float, text};
use tract_onnx::{pb::AttributeProto, prelude::*};

/// `x` resized by these scales.
fn resized(x: Tensor, scales: &[f32], attributes: &[AttributeProto]) -> Tensor {
    let dims: Vec<i64> = x.shape().iter().map(|&d| d as i64).collect();
    let model = Small::new(13)
        .input("x", &dims)
        .constant("roi", tensor1(&[0f32; 0]))
        .constant("scales", tensor1(scales))
        .node("Resize", &["x", "roi", "scales"], &["y"], attributes)
        .output("y");
    model.run(&[x]).remove(0)
}

fn row(values: &[f32]) -> Tensor {
    tensor1(values).into_shape(&[1, 1, values.len()]).unwrap()
}

#[test]
fn nearest_rows_are_chosen() {
    let y = resized(row(&[1.0, 2.0, 3.0]), &[1.0, 1.0, 2.0], &[]);
    near(&y, &[1, 1, 6], &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    let modes = [text("coordinate_transformation_mode", "asymmetric"), text("nearest_mode", "ceil")];
    let y = resized(row(&[1.0, 2.0, 3.0]), &[1.0, 1.0, 2.0], &modes);
    near(&y, &[1, 1, 6], &[1.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
}

#[test]
fn linear_rows_are_means_of_neighbours() {
    let x = tensor1(&[1f32, 2.0, 3.0, 5.0]).into_shape(&[1, 1, 2, 2]).unwrap();
    let y = resized(x, &[1.0, 1.0, 2.0, 1.0], &[text("mode", "linear")]);
    near(&y, &[1, 1, 4, 2], &[1.0, 2.0, 1.5, 2.75, 2.5, 4.25, 3.0, 5.0]);
    let corners = [text("mode", "linear"), text("coordinate_transformation_mode", "align_corners")];
    near(&resized(row(&[0.0, 3.0]), &[1.0, 1.0, 2.0], &corners), &[1, 1, 4], &[0.0, 1.0, 2.0, 3.0]);
}

/// With a coefficient of -1/2 cubic convolution is exact for straight lines, except at the ends.
#[test]
fn cubic_rows_keep_a_straight_line() {
    let ramp: Vec<f32> = (0..8).map(|i| i as f32).collect();
    let y = resized(row(&ramp), &[1.0, 1.0, 2.0], &[text("mode", "cubic"), float("cubic_coeff_a", -0.5)]);
    let y = y.cast_to::<f32>().unwrap().into_owned();
    let values = y.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap();
    assert_eq!(values.len(), 16);
    for (to, value) in values.iter().enumerate().take(12).skip(4) {
        let at = (to as f32 + 0.5) / 2.0 - 0.5;
        assert!((value - at).abs() < 1e-5, "{value} is not {at}");
    }
}

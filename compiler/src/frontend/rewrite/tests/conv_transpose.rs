//! Transposed convolutions.

use super::{Small, near, numbers, random};
use crate::frontend::rewrite::{
    node::{int, ints},
    tensor::floats,
};
use tract_onnx::prelude::*;

/// Two groups of two channels to three each, along one axis: `y[stride i + dilation k - pad] += x[i] w[k]`.
#[test]
fn every_element_adds_its_kernel() {
    let (length, taps, stride, dilation, pad, extra) = (5usize, 3usize, 2usize, 2usize, 1usize, 1usize);
    let (x, w, bias) = (random(&[1, 4, length], 1), random(&[4, 3, taps], 2), numbers(6, 3));
    let model = Small::new(13)
        .input("x", &[1, 4, length as i64])
        .constant("w", w.clone())
        .constant("b", tensor1(&bias))
        .node(
            "ConvTranspose",
            &["x", "w", "b"],
            &["y"],
            &[
                int("group", 2),
                ints("strides", &[stride as i64]),
                ints("dilations", &[dilation as i64]),
                ints("pads", &[pad as i64, pad as i64]),
                ints("output_padding", &[extra as i64]),
            ],
        )
        .output("y");
    let len = stride * (length - 1) + dilation * (taps - 1) + 1 + extra - 2 * pad;
    let (xs, ws) = (floats(&x).unwrap(), floats(&w).unwrap());
    let mut expected: Vec<f32> = (0..6 * len).map(|at| bias[at / len]).collect();
    for channel in 0..4 {
        for out in 0..3 {
            for i in 0..length {
                for k in 0..taps {
                    let Some(at) = (stride * i + dilation * k).checked_sub(pad).filter(|&at| at < len) else {
                        continue;
                    };
                    let row = channel / 2 * 3 + out;
                    expected[row * len + at] += xs[channel * length + i] * ws[(channel * 3 + out) * taps + k];
                }
            }
        }
    }
    near(&model.run(&[x])[0], &[1, 6, len], &expected);
}

/// Padding beyond the kernel crops the result.
#[test]
fn padding_beyond_the_kernel_crops() {
    let model = Small::new(13)
        .input("x", &[1, 1, 4])
        .constant("w", tensor1(&[2f32]).into_shape(&[1, 1, 1]).unwrap())
        .node("ConvTranspose", &["x", "w"], &["y"], &[ints("pads", &[1, 1])])
        .output("y");
    let x = tensor1(&[1f32, 2.0, 3.0, 4.0]).into_shape(&[1, 1, 4]).unwrap();
    near(&model.run(&[x])[0], &[1, 1, 2], &[4.0, 6.0]);
}

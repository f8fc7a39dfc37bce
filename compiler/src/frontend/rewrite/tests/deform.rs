use super::{Small, near, numbers, random};
use crate::frontend::rewrite::node::{float, int, ints, text};
use tract_onnx::{pb::AttributeProto, prelude::*};

/// The image between its pixels; beyond them it is 0.
fn between(image: &[f32], [height, width]: [usize; 2], [y, x]: [f32; 2]) -> f32 {
    let hat = |at: f32, pixel: usize| (1.0 - (at - pixel as f32).abs()).max(0.0);
    (0..height * width).map(|p| image[p] * hat(y, p / width) * hat(x, p % width)).sum()
}

/// A kernel of 2 x 2 over 4 channels of 3 x 4, in two groups of the kernel and two of the offsets.
#[test]
fn a_kernel_reads_beside_its_place() {
    let (x, w, moved, mask, bias) = (numbers(48, 1), numbers(16, 2), numbers(96, 3), numbers(48, 4), [0.5f32, -1.0]);
    let attributes = [
        int("group", 2),
        int("offset_group", 2),
        ints("kernel_shape", &[2, 2]),
        ints("strides", &[2, 1]),
        ints("pads", &[1, 0, 0, 0]),
        ints("dilations", &[1, 1]),
    ];
    let small = Small::new(19)
        .input("x", &[1, 4, 3, 4])
        .constant("w", random(&[2, 2, 2, 2], 2))
        .input("o", &[1, 16, 2, 3])
        .constant("b", tensor1(&bias))
        .input("m", &[1, 8, 2, 3])
        .node("DeformConv", &["x", "w", "o", "b", "m"], &["y"], &attributes)
        .output("y");
    let mut want = Vec::new();
    for (out, place) in (0..2).flat_map(|out| (0..6).map(move |place| (out, place))) {
        let mut sum = bias[out];
        for (c, k) in (0..2).flat_map(|c| (0..4).map(move |k| (c, k))) {
            let channel = 2 * out + c;
            let offset = |axis: usize| 2.0 * moved[(8 * out + 2 * k + axis) * 6 + place];
            let at = [
                (place / 3 * 2) as f32 - 1.0 + (k / 2) as f32 + offset(0),
                (place % 3) as f32 + (k % 2) as f32 + offset(1),
            ];
            let sample = between(&x[12 * channel..12 * (channel + 1)], [3, 4], at);
            sum += w[8 * out + 4 * c + k] * mask[(4 * out + k) * 6 + place] * sample;
        }
        want.push(sum);
    }
    let doubled: Vec<f32> = moved.iter().map(|v| 2.0 * v).collect();
    let doubled = tensor1(&doubled).into_shape(&[1, 16, 2, 3]).unwrap();
    let got = small.run(&[random(&[1, 4, 3, 4], 1), doubled, random(&[1, 8, 2, 3], 4)]);
    near(&got[0], &[1, 2, 2, 3], &want);
}

fn regions(opset: i64, attributes: &[AttributeProto]) -> Small {
    let size = [int("output_height", 2), int("output_width", 3), float("spatial_scale", 0.5)];
    Small::new(opset)
        .input("x", &[2, 1, 4, 5])
        .input("r", &[3, 4])
        .constant("i", tensor1(&[1i64, 0, 1]))
        .node("RoiAlign", &["x", "r", "i"], &["y"], &[&size[..], attributes].concat())
        .output("y")
}

#[test]
fn regions_are_means_of_samples() {
    let x = numbers(40, 5);
    // Within the image, partly and wholly beyond it.
    let boxes = [[1f32, 1.0, 6.5, 5.0], [-6.0, 2.0, 4.0, 30.0], [0.5, 0.25, 0.75, 0.5]];
    for opset in [10, 16] {
        let mut want = Vec::new();
        for (&[left, top, right, bottom], image) in boxes.iter().zip([1, 0, 1]) {
            let shift = if opset < 16 { 0.0 } else { 0.5 };
            let size = |from: f32, to: f32| if opset < 16 { ((to - from) / 2.0).max(1.0) } else { (to - from) / 2.0 };
            let at = |from: f32, to: f32, i: usize, cells: usize| {
                from / 2.0 - shift + size(from, to) * (i as f32 + 0.5) / (2 * cells) as f32
            };
            for (row, column) in (0..2).flat_map(|r| (0..3).map(move |c| (r, c))) {
                let sample = |s: usize| {
                    let (y, x_) = (at(top, bottom, 2 * row + s / 2, 2), at(left, right, 2 * column + s % 2, 3));
                    if !(-1.0..=4.0).contains(&y) || !(-1.0..=5.0).contains(&x_) {
                        return 0.0;
                    }
                    between(&x[20 * image..20 * (image + 1)], [4, 5], [y.clamp(0.0, 3.0), x_.clamp(0.0, 4.0)])
                };
                want.push((0..4).map(sample).sum::<f32>() / 4.0);
            }
        }
        let got = regions(opset, &[int("sampling_ratio", 2)]).run(&[random(&[2, 1, 4, 5], 5), tensor2(&boxes)]);
        near(&got[0], &[3, 1, 2, 3], &want);
    }
}

#[test]
fn samples_that_data_counts_are_refused() {
    let refusal = regions(16, &[]).refusal();
    assert!(refusal.contains("RoiAlign \"y") && refusal.contains("sampling_ratio of 2"), "{refusal}");
    let refusal = regions(16, &[int("sampling_ratio", 2), text("mode", "max")]).refusal();
    assert!(refusal.contains("mode \"avg\""), "{refusal}");
}

use super::{Small, near, numbers, product, random};
use crate::frontend::rewrite::{node, tensor};
use tract_onnx::{pb::tensor_proto::DataType, prelude::*};

/// The float that x stands for after rounding to unsigned bytes.
fn rounded(x: f32, scale: f32, zero: f32) -> f32 {
    (((x / scale).round_ties_even() + zero).clamp(0.0, 255.0) - zero) * scale
}

fn small(x: &[i64]) -> Small {
    Small::new(17).input("x", x).constant("s", tensor0(0.125f32)).constant("z", tensor0(3u8))
}

#[test]
fn fixed_scales_round_activations() {
    let small = small(&[8]).node("QuantizeLinear", &["x", "s", "z"], &["q"], &[]).node(
        "Flatten",
        &["q"],
        &["f"],
        &[node::int("axis", 0)],
    );
    let small = small.node("DequantizeLinear", &["f", "s", "z"], &["y"], &[]).output("y");
    // A tie, both ends of the range, and numbers in between.
    let x = [0.0625f32, 0.1875, -10.0, 100.0, 1.0, -0.3, 7.77, 31.5];
    near(&small.run(&[tensor1(&x)])[0], &[1, 8], &x.map(|v| rounded(v, 0.125, 3.0)));
}

#[test]
fn activations_have_scales_by_channel() {
    let scales = [0.5f32, 0.25];
    let of = |zeros: [i8; 2]| {
        Small::new(17)
            .input("x", &[1, 2, 3])
            .constant("s", tensor1(&scales))
            .constant("z", tensor1(&zeros))
            .node("QuantizeLinear", &["x", "s", "z"], &["q"], &[node::int("axis", -2)])
            .node("DequantizeLinear", &["q", "s", "z"], &["y"], &[node::int("axis", 1)])
            .output("y")
    };
    let x = [0.3f32, -1.1, 70.0, 0.3, -1.1, -70.0];
    let want: Vec<f32> = (0..6)
        .map(|i| ((x[i] / scales[i / 3]).round_ties_even() + 3.0).clamp(-128.0, 127.0) - 3.0)
        .enumerate()
        .map(|(i, steps)| steps * scales[i / 3])
        .collect();
    near(&of([3, 3]).run(&[tensor1(&x).into_shape(&[1, 2, 3]).unwrap()])[0], &[1, 2, 3], &want);
    assert!(of([3, 4]).refusal().contains("differs by channel"), "{}", of([3, 4]).refusal());
}

/// Without rounding only ends of a range that stand for an activation function are kept: 0 here.
#[test]
fn activations_may_stay_as_they_are() {
    let of = |zero: u8| {
        let mut small = Small::new(17)
            .input("x", &[3])
            .constant("s", tensor0(0.5f32))
            .constant("z", tensor0(zero))
            .node("QuantizeLinear", &["x", "s", "z"], &["q"], &[])
            .node("DequantizeLinear", &["q", "s", "z"], &["y"], &[])
            .output("y");
        small.options.rounding = crate::frontend::Rounding::None;
        small
    };
    let x = tensor1(&[0.3f32, -1.1, 70.3]);
    near(&of(100).run(std::slice::from_ref(&x))[0], &[3], &[0.3, -1.1, 70.3]);
    near(&of(0).run(std::slice::from_ref(&x))[0], &[3], &[0.3, 0.0, 70.3]);
    near(&of(0).rounded(&[x])[0], &[3], &[0.5, 0.0, 70.5]);
    let (_, notes) = of(0).rewritten().unwrap();
    assert!(notes[0].contains("1 activation(s) are not rounded") && notes[0].contains("fixed"), "{notes:?}");
}

#[test]
fn integers_that_leave_or_enter_the_model_stay_integers() {
    let out = small(&[3]).node("QuantizeLinear", &["x", "s", "z"], &["y"], &[]).output("y");
    let got = out.run(&[tensor1(&[0.25f32, -1.0, 50.0])]);
    assert_eq!((got[0].datum_type(), tensor::integers(&got[0]).unwrap()), (DatumType::U8, vec![5, 0, 255]));
    let mut read = small(&[2]).node("DequantizeLinear", &["x", "s", "z"], &["y"], &[]).output("y");
    read.graph.input.clear();
    let read = read.typed_input("x", DataType::Uint8 as i32, &[2]);
    near(&read.run(&[tensor1(&[3u8, 7])])[0], &[2], &[0.0, 0.5]);
}

#[test]
fn weights_become_floats_by_tensor_channel_and_block() {
    let q: Vec<i8> = vec![1, -2, 3, 4, -5, 6];
    let weights = |scale: Tensor, zero: Tensor, attributes: &[tract_onnx::pb::AttributeProto]| {
        let small = Small::new(21).input("x", &[1, 3]).constant("q", tensor1(&q).into_shape(&[3, 2]).unwrap());
        let small = small.constant("s", scale).constant("z", zero).node(
            "DequantizeLinear",
            &["q", "s", "z"],
            &["w"],
            attributes,
        );
        small.node("MatMul", &["x", "w"], &["y"], &[]).output("y")
    };
    let x = numbers(3, 1);
    let want =
        |w: &dyn Fn(usize, usize) -> f32| product(&x, &(0..6).map(|i| w(i / 2, i % 2)).collect::<Vec<_>>(), 3, 2);
    let at = |i: usize, j: usize| f32::from(q[i * 2 + j]);
    let run = |small: Small| small.run(&[random(&[1, 3], 1)]).remove(0);
    near(&run(weights(tensor0(0.5f32), tensor0(1i8), &[])), &[1, 2], &want(&|i, j| (at(i, j) - 1.0) * 0.5));
    let columns = weights(tensor1(&[0.5f32, 0.25]), tensor1(&[1i8, 2]), &[]);
    near(&run(columns), &[1, 2], &want(&|i, j| (at(i, j) - [1.0, 2.0][j]) * [0.5, 0.25][j]));
    let rows = weights(tensor1(&[0.5f32, 0.25, 1.0]), tensor1(&[0i8, 0, 1]), &[node::int("axis", 0)]);
    near(&run(rows), &[1, 2], &want(&|i, j| (at(i, j) - [0.0, 0.0, 1.0][i]) * [0.5, 0.25, 1.0][i]));
    let (scales, zeros) = ([[0.5f32, 0.25], [1.0, 2.0]], [[0i8, 1], [1, 0]]);
    let blocks = weights(tensor2(&scales), tensor2(&zeros), &[node::int("axis", 0), node::int("block_size", 2)]);
    let block = |i: usize, j: usize| (at(i, j) - f32::from(zeros[i / 2][j])) * scales[i / 2][j];
    near(&run(blocks), &[1, 2], &want(&block));
}

#[test]
fn rows_of_a_quantised_table_are_rows_of_floats() {
    let small = Small::new(17)
        .typed_input("i", DataType::Int64 as i32, &[2])
        .constant("q", tensor2(&[[1u8, 2], [3, 4], [5, 6]]))
        .constant("s", tensor0(0.5f32))
        .constant("z", tensor0(2u8))
        .node("Gather", &["q", "i"], &["g"], &[])
        .node("DequantizeLinear", &["g", "s", "z"], &["y"], &[])
        .output("y");
    near(&small.run(&[tensor1(&[2i64, 0])])[0], &[2, 2], &[1.5, 2.0, -0.5, 0.0]);
    let (model, _) = small.rewritten().unwrap();
    assert_eq!(model.graph.unwrap().node.len(), 1);
}

#[test]
fn a_scale_found_while_running_leaves_activations_as_they_are() {
    let weights = tensor2(&[[1i8, -2], [3, 4], [-5, 6]]);
    let dynamic = Small::new(17)
        .input("x", &[2, 3])
        .constant("w", weights)
        .constant("ws", tensor1(&[0.5f32, 0.25]))
        .constant("wz", tensor1(&[1i8, 0]))
        .node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[])
        .node("MatMulInteger", &["q", "w", "z", "wz"], &["i"], &[])
        .node("Cast", &["i"], &["f"], &[node::int("to", DataType::Float as i64)])
        .node("Mul", &["s", "ws"], &["r"], &[])
        .node("Mul", &["f", "r"], &["y"], &[])
        .output("y");
    let floats: Vec<f32> = vec![0.0, -0.5, 1.0, 1.0, -3.0, 1.5];
    near(&dynamic.run(&[random(&[2, 3], 1)])[0], &[2, 2], &product(&numbers(6, 1), &floats, 3, 2));
    let (model, notes) = dynamic.rewritten().unwrap();
    assert!(notes[0].contains("1 activation(s) are not rounded"), "{notes:?}");
    assert!(model.graph.unwrap().node.iter().all(|n| n.op_type != "Mul"));
    // What else is done with such a scale has no plain form.
    let misused = Small::new(17)
        .input("x", &[2])
        .node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[])
        .node("Mul", &["x", "s"], &["y"], &[])
        .output("y");
    assert!(misused.refusal().contains("a scale that depends on the data"), "{}", misused.refusal());
    let shown =
        Small::new(17).input("x", &[2]).node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[]).output("q");
    assert!(shown.refusal().contains("cannot be an output"), "{}", shown.refusal());
}

#[test]
fn integers_from_outside_have_zero_points_by_channel() {
    let small = Small::new(17)
        .typed_input("x", DataType::Uint8 as i32, &[1, 1, 2])
        .typed_input("w", DataType::Uint8 as i32, &[2, 1, 1])
        .constant("a", tensor0(1u8))
        .constant("b", tensor1(&[0u8, 1]))
        .node("ConvInteger", &["x", "w", "a", "b"], &["y"], &[])
        .output("y");
    let (x, w) =
        (tensor1(&[3u8, 5]).into_shape(&[1, 1, 2]).unwrap(), tensor1(&[2u8, 4]).into_shape(&[2, 1, 1]).unwrap());
    assert_eq!(tensor::integers(&small.run(&[x, w])[0]).unwrap(), [4, 8, 6, 12]);
}

#[test]
fn a_convolution_of_integers_has_a_scale_for_each_channel() {
    let small = Small::new(17)
        .input("x", &[1, 1, 3])
        .constant("w", tensor1(&[1i8, 2, -3, 4]).into_shape(&[2, 1, 2]).unwrap())
        .constant("ws", tensor1(&[0.5f32, 0.25]).into_shape(&[1, 2, 1]).unwrap())
        .node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[])
        .node("ConvInteger", &["q", "w", "z"], &["i"], &[])
        .node("Cast", &["i"], &["f"], &[node::int("to", DataType::Float as i64)])
        .node("Mul", &["s", "ws"], &["r"], &[])
        .node("Mul", &["r", "f"], &["y"], &[])
        .output("y");
    let x = [1f32, -2.0, 4.0];
    let at = |w: [f32; 2], i: usize| x[i] * w[0] + x[i + 1] * w[1];
    let want = [at([0.5, 1.0], 0), at([0.5, 1.0], 1), at([-0.75, 1.0], 0), at([-0.75, 1.0], 1)];
    near(&small.run(&[tensor1(&x).into_shape(&[1, 1, 3]).unwrap()])[0], &[1, 2, 2], &want);
}

#[test]
fn operators_between_scales_are_those_of_floats() {
    let small = Small::new(17)
        .input("x", &[2, 2])
        .constant("s", tensor0(0.125f32))
        .constant("z", tensor0(100u8))
        .constant("w", tensor2(&[[1i8, 2], [3, -4]]))
        .constant("ws", tensor0(0.5f32))
        .constant("wz", tensor0(0i8))
        .constant("b", tensor1(&[16i32, -32]))
        .node("QuantizeLinear", &["x", "s", "z"], &["q"], &[])
        .node("QLinearMatMul", &["q", "s", "z", "w", "ws", "wz", "s", "z"], &["m"], &[])
        .node("com.microsoft:QGemm", &["m", "s", "z", "w", "ws", "wz", "b", "s", "z"], &["g"], &[])
        .node("com.microsoft:QLinearAdd", &["g", "s", "z", "q", "s", "z", "s", "z"], &["a"], &[])
        .node("DequantizeLinear", &["a", "s", "z"], &["y"], &[])
        .output("y");
    let round = |v: f32| rounded(v, 0.125, 100.0);
    let w = [0.5f32, 1.0, 1.5, -2.0];
    let x: Vec<f32> = numbers(4, 1).into_iter().map(round).collect();
    let m: Vec<f32> = product(&x, &w, 2, 2).into_iter().map(round).collect();
    let biased = |(i, v): (usize, f32)| round(v + [1.0, -2.0][i % 2]);
    let g: Vec<f32> = product(&m, &w, 2, 2).into_iter().enumerate().map(biased).collect();
    let want: Vec<f32> = g.iter().zip(&x).map(|(a, b)| round(a + b)).collect();
    near(&small.run(&[random(&[2, 2], 1)])[0], &[2, 2], &want);
}

#[test]
fn integers_read_with_another_scale_or_computed_with_are_refused() {
    let base = || small(&[2]).node("QuantizeLinear", &["x", "s", "z"], &["q"], &[]);
    let other =
        base().constant("t", tensor0(0.5f32)).node("DequantizeLinear", &["q", "t", "z"], &["y"], &[]).output("y");
    assert!(other.refusal().contains("another scale"), "{}", other.refusal());
    let sum = base().node("Add", &["q", "q"], &["y"], &[]).output("y");
    assert!(sum.refusal().contains("computes on quantised integers"), "{}", sum.refusal());
}

#[test]
fn packed_weights_of_four_bits_are_unpacked() {
    // Two rows of three weights in blocks of two, each row two blocks of one byte: low nibble first.
    let small = Small::new(17)
        .input("x", &[1, 3])
        .constant("q", tensor1(&[0x21u8, 0x0f, 0x98, 0x07]).into_shape(&[2, 2, 1]).unwrap())
        .constant("s", tensor1(&[0.5f32, 1.0, 2.0, 0.25]))
        .constant("z", tensor1(&[0x03u8, 0x51]))
        .node(
            "com.microsoft:MatMulNBits",
            &["x", "q", "s", "z"],
            &["y"],
            &[node::int("K", 3), node::int("N", 2), node::int("bits", 4), node::int("block_size", 2)],
        )
        .output("y");
    // Zero points 3, 0 and 1, 5.
    let w = [(1.0 - 3.0) * 0.5, (8.0 - 1.0) * 2.0, (2.0 - 3.0) * 0.5, (9.0 - 1.0) * 2.0, 15.0, (7.0 - 5.0) * 0.25];
    near(&small.run(&[random(&[1, 3], 1)])[0], &[1, 2], &product(&numbers(3, 1), &w, 3, 2));
    let mut bad = small;
    bad.graph.node[0].attribute[0].i = 300;
    assert!(bad.refusal().contains("do not fit"), "{}", bad.refusal());
}

/// A product whose scale the model finds while it runs: exact for the circuit, rounded for what it is measured against.
#[test]
fn dynamic_scales_round_the_reference_alone() {
    let w = [1i8, -2, 3];
    let small = Small::new(17)
        .input("x", &[1, 3])
        .constant("w", tensor1(&w).into_shape(&[3, 1]).unwrap())
        .constant("unit", tensor0(0.5f32))
        .node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[])
        .node("MatMulInteger", &["q", "w", "z"], &["i"], &[])
        .node("Cast", &["i"], &["f"], &[node::int("to", DataType::Float as i64)])
        .node("Mul", &["s", "unit"], &["factor"], &[])
        .node("Mul", &["f", "factor"], &["y"], &[])
        .output("y");
    let sum = |x: [f32; 3]| x.iter().zip(w).map(|(a, b)| a * f32::from(b) * 0.5).sum::<f32>();
    for x in [[0.1f32, 1.0, -0.5], [100.0, 0.3, 0.2], [0.0, 0.0, 0.0], [-3.0, -1.0, -0.01]] {
        let input = tensor1(&x).into_shape(&[1, 3]).unwrap();
        near(&small.run(std::slice::from_ref(&input))[0], &[1, 1], &[sum(x)]);
        let (most, least) = (x.iter().fold(0f32, |a, &b| a.max(b)), x.iter().fold(0f32, |a, &b| a.min(b)));
        let scale = ((most - least) / 255.0).max(1e-30);
        let zero = (-least / scale).round_ties_even();
        near(&small.rounded(&[input])[0], &[1, 1], &[sum(x.map(|v| rounded(v, scale, zero)))]);
    }
    assert!(small.rewritten().unwrap().1[0].contains("measured from the rounded ones"));
}

//! Operators that become plain ones, against values found by hand or by their definitions.

use super::*;
use crate::frontend::rewrite::node::{float, int, ints, text};

fn floats(values: &[f32], shape: &[usize]) -> Tensor {
    tensor1(values).into_shape(shape).unwrap()
}

#[test]
fn activations_keep_their_parameter() {
    let x = [-2.0f32, -0.5, 0.0, 3.0];
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    let model = Small::new(24).input("x", &[4]).node("Swish", &["x"], &["y"], &[float("alpha", 2.0)]).output("y");
    near(&model.run(&[tensor1(&x)])[0], &[4], &x.map(|v| v * sigmoid(2.0 * v)));
    let celu = |v: f32| v.max(0.0) + (2.0 * ((v / 2.0).exp() - 1.0)).min(0.0);
    let model = Small::new(12).input("x", &[4]).node("Celu", &["x"], &["y"], &[float("alpha", 2.0)]).output("y");
    near(&model.run(&[tensor1(&x)])[0], &[4], &x.map(celu));
    let glu = Small::new(28).input("a", &[4]).input("b", &[4]).node("SwiGLU", &["a", "b"], &["y"], &[]).output("y");
    near(&glu.run(&[tensor1(&x), tensor1(&[2f32; 4])])[0], &[4], &x.map(|v| 2.0 * v * sigmoid(v)));
}

#[test]
fn blocks_go_to_channels_in_both_orders() {
    let x: Vec<f32> = (0..8).map(|v| v as f32).collect();
    let attributes = [int("blocksize", 2), text("mode", "CRD")];
    let model = Small::new(26).input("x", &[1, 2, 2, 2]).node("SpaceToDepth", &["x"], &["y"], &attributes).output("y");
    near(&model.run(&[floats(&x, &[1, 2, 2, 2])])[0], &[1, 8, 1, 1], &x);
}

#[test]
fn averages_count_what_their_attributes_say() {
    let x: Vec<f32> = (1..=5).map(|v| v as f32).collect();
    let run = |padding: i64| {
        let attributes = [
            ints("kernel_shape", &[3]),
            ints("strides", &[3]),
            ints("pads", &[1, 0]),
            int("ceil_mode", 1),
            int("count_include_pad", padding),
        ];
        let model = Small::new(19).input("x", &[1, 1, 5]).node("AveragePool", &["x"], &["y"], &attributes).output("y");
        model.run(&[floats(&x, &[1, 1, 5])]).remove(0)
    };
    near(&run(0), &[1, 1, 2], &[1.5, 4.0]);
    near(&run(1), &[1, 1, 2], &[1.0, 4.0]);
}

#[test]
fn losses_count_the_marked_classes() {
    let x = [0.1f32, 0.2, 0.7, 0.3, 0.4, 0.3];
    let labels = tensor1(&[2i64, 1]);
    let loss = |attributes: &[AttributeProto]| {
        let model = Small::new(13).input("x", &[2, 3]).typed_input("t", 7, &[2]);
        let model = model.node("NegativeLogLikelihoodLoss", &["x", "t"], &["y"], attributes).output("y");
        model.run(&[floats(&x, &[2, 3]), labels.clone()]).remove(0)
    };
    near(&loss(&[text("reduction", "none")]), &[2], &[-0.7, -0.4]);
    near(&loss(&[]), &[], &[-0.55]);
    near(&loss(&[int("ignore_index", 1)]), &[], &[-0.7]);
    let model = Small::new(13).input("x", &[2, 3]).typed_input("t", 7, &[2]);
    let model = model.node("SoftmaxCrossEntropyLoss", &["x", "t"], &["y"], &[text("reduction", "sum")]).output("y");
    let total = |r: &[f32]| r.iter().map(|v| v.exp()).sum::<f32>().ln();
    let want = total(&x[..3]) - 0.7 + total(&x[3..]) - 0.4;
    near(&model.run(&[floats(&x, &[2, 3]), labels])[0], &[], &[want]);
}

#[test]
fn grids_sample_between_pixels_and_beyond_them() {
    let grid = floats(&[0.0, 0.0, -1.5, 0.0, 0.5, 1.0], &[1, 1, 3, 2]);
    let run = |attributes: &[AttributeProto]| {
        let model = Small::new(16).input("x", &[1, 1, 2, 2]).input("g", &[1, 1, 3, 2]);
        let model = model.node("GridSample", &["x", "g"], &["y"], attributes).output("y");
        model.run(&[floats(&[1.0, 2.0, 3.0, 4.0], &[1, 1, 2, 2]), grid.clone()]).remove(0)
    };
    near(&run(&[int("align_corners", 1)]), &[1, 1, 1, 3], &[2.5, 1.5, 3.75]);
    near(&run(&[int("align_corners", 1), text("padding_mode", "border")]), &[1, 1, 1, 3], &[2.5, 2.0, 3.75]);
    near(&run(&[int("align_corners", 1), text("padding_mode", "reflection")]), &[1, 1, 1, 3], &[2.5, 2.25, 3.75]);
    near(
        &run(&[text("mode", "nearest"), int("align_corners", 1), text("padding_mode", "border")]),
        &[1, 1, 1, 3],
        &[1.0, 1.0, 4.0],
    );
}

/// Exporters compute the places of a mask from shapes: such a node stays, for a product would meet its -inf.
#[test]
fn places_that_follow_from_shapes_are_not_computed() {
    let model =
        Small::new(18).input("x", &[2, 1]).constant("one", tensor1(&[1i64])).constant("u", tensor1(&[f32::MIN]));
    let model = model.constant("start", tensor1(&[0i64])).constant("end", tensor1(&[1i64]));
    let model = model.node("Shape", &["x"], &["s"], &[]).node("Slice", &["s", "start", "end"], &["n"], &[]);
    let model = model.node("Sub", &["n", "one"], &["last"], &[]).node("Reshape", &["last", "square"], &["i"], &[]);
    let model = model.constant("square", tensor1(&[1i64, 1])).constant("flat", tensor1(&[2i64]));
    let model = model.node("Reshape", &["x", "flat"], &["row"], &[]).node("ScatterND", &["row", "i", "u"], &["y"], &[]);
    let model = model.output("y");
    let (rewritten, _) = model.rewritten().unwrap();
    let ops: Vec<_> = rewritten.graph.unwrap().node.into_iter().map(|node| node.op_type).collect();
    assert!(ops.contains(&"ScatterND".to_string()) && !ops.contains(&"MatMul".to_string()), "{ops:?}");
    near(&model.run(&[floats(&[3.0, 4.0], &[2, 1])])[0], &[2], &[3.0, f32::MIN]);
}

#[test]
fn elements_go_to_computed_places() {
    let run = |reduction: &str| {
        let model = Small::new(18).input("x", &[1, 4]).typed_input("i", 7, &[1, 2]).input("u", &[1, 2]);
        let attributes = [int("axis", 1), text("reduction", reduction)];
        let model = model.node("ScatterElements", &["x", "i", "u"], &["y"], &attributes).output("y");
        let ids = tensor1(&[1i64, -1]).into_shape(&[1, 2]).unwrap();
        model.run(&[floats(&[1.0, 2.0, 3.0, 4.0], &[1, 4]), ids, floats(&[9.0, -8.0], &[1, 2])]).remove(0)
    };
    near(&run("none"), &[1, 4], &[1.0, 9.0, 3.0, -8.0]);
    near(&run("add"), &[1, 4], &[1.0, 11.0, 3.0, -4.0]);
    near(&run("mul"), &[1, 4], &[1.0, 18.0, 3.0, -32.0]);
    near(&run("max"), &[1, 4], &[1.0, 9.0, 3.0, 4.0]);
    let model =
        Small::new(18).input("x", &[2, 2]).typed_input("i", 7, &[2, 2]).node("GatherND", &["x", "i"], &["y"], &[]);
    let ids = tensor1(&[0i64, 1, 1, -2]).into_shape(&[2, 2]).unwrap();
    near(&model.output("y").run(&[floats(&[1.0, 2.0, 3.0, 4.0], &[2, 2]), ids])[0], &[2], &[2.0, 3.0]);
}

#[test]
fn the_greatest_come_first_and_of_equals_the_first() {
    let model = Small::new(11).input("x", &[2, 4]).constant("k", tensor1(&[2i64]));
    let model = model.node("TopK", &["x", "k"], &["v", "i"], &[]).output("v").output("i");
    let out = model.run(&[floats(&[1.0, 5.0, 5.0, 2.0, -1.0, -2.0, -3.0, -1.0], &[2, 4])]);
    near(&out[0], &[2, 2], &[5.0, 5.0, -1.0, -1.0]);
    assert_eq!(tensor::integers(&out[1]).unwrap(), [1, 2, 0, 3]);
}

#[test]
fn a_count_that_is_an_input_is_settled_by_set() {
    let model = Small::new(11).input("x", &[1, 4]).typed_input("k", 7, &[1]);
    let mut model = model.node("TopK", &["x", "k"], &["v", "i"], &[]).output("v");
    let error = model.refusal();
    assert!(error.contains("TopK") && error.contains("; settle it with `--set k=VALUE`"), "{error}");
    model.options.set = [("k".to_owned(), 2.into())].into();
    near(&model.run(&[floats(&[1.0, 5.0, 6.0, 2.0], &[1, 4])])[0], &[1, 2], &[6.0, 5.0]);
}

#[test]
fn transforms_and_their_inverses_give_the_values_back() {
    let x = [1.0f32, 2.0, -1.0, 0.5];
    let run = |parts: i64, attributes: &[AttributeProto], x: &Tensor| {
        let dims: Vec<i64> = x.shape().iter().map(|&d| d as i64).collect();
        assert_eq!(dims[2], parts);
        let model = Small::new(17).input("x", &dims).node("DFT", &["x"], &["y"], attributes).output("y");
        model.run(std::slice::from_ref(x)).remove(0)
    };
    let x3 = floats(&x, &[1, 4, 1]);
    let one = run(1, &[int("onesided", 1)], &x3);
    near(&one, &[1, 3, 2], &[2.5, 0.0, 2.0, -1.5, -2.5, 0.0]);
    near(&run(2, &[int("onesided", 1), int("inverse", 1)], &one), &[1, 4, 1], &x);
    let full = run(1, &[], &x3);
    let back = run(2, &[int("inverse", 1)], &full);
    near(&back, &[1, 4, 2], &[1.0, 0.0, 2.0, 0.0, -1.0, 0.0, 0.5, 0.0]);
}

#[test]
fn sums_of_powers_do_not_overflow() {
    let model =
        Small::new(13).input("x", &[3]).node("ReduceLogSumExp", &["x"], &["y"], &[int("keepdims", 0)]).output("y");
    near(&model.run(&[tensor1(&[200f32, 200.0, 0.0])])[0], &[], &[200.0 + 2f32.ln()]);
}

#[test]
fn the_greatest_of_nothing_is_refused() {
    let model = Small::new(13).input("x", &[2, 0]).input("z", &[1]);
    let model = model.node("ReduceMax", &["x"], &["m"], &[]).node("Add", &["m", "z"], &["y"], &[]).output("y");
    assert!(model.refusal().contains("infinite"), "{}", model.refusal());
}

#[test]
fn a_query_that_sees_nothing_gets_nothing() {
    let model = Small::new(23).input("q", &[1, 1, 2, 1]).input("k", &[1, 1, 2, 1]).input("v", &[1, 1, 2, 1]);
    let mask = tensor1(&[true, true, false, false]).into_shape(&[2, 2]).unwrap();
    let model = model.constant("m", mask).node("Attention", &["q", "k", "v", "m"], &["y"], &[]).output("y");
    let one = floats(&[1.0, 1.0], &[1, 1, 2, 1]);
    let values = floats(&[2.0, 4.0], &[1, 1, 2, 1]);
    near(&model.run(&[one.clone(), one, values])[0], &[1, 1, 2, 1], &[3.0, 0.0]);
}

#[test]
fn values_that_follow_from_constants_need_no_computed_form() {
    let small = Small::new(18).input("x", &[2, 3]).typed_input("i", 7, &[2]);
    let constants = [("depth", tensor0(3i64)), ("off", tensor1(&[0f32])), ("on", tensor1(&[2f32]))];
    let small = constants.into_iter().fold(small, |model, (name, value)| model.constant(name, value));
    let model = small
        .node("Shape", &["x"], &["size"], &[])
        .node("Concat", &["off", "on"], &["values"], &[int("axis", 0)])
        .node("OneHot", &["i", "depth", "values"], &["hot"], &[])
        .node("Sub", &["size", "size"], &["first"], &[])
        .node("GatherND", &["x", "first"], &["corner"], &[])
        .node("Add", &["hot", "corner"], &["y"], &[])
        .output("y");
    let (rewritten, _) = model.rewritten().unwrap();
    let ops: Vec<String> = rewritten.graph.unwrap().node.into_iter().map(|n| n.op_type).collect();
    assert_eq!(ops, ["OneHot", "GatherND", "Add"]);
    let x = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
    near(&model.run(&[x, tensor1(&[0i64, 2])])[0], &[2, 3], &[3.0, 1.0, 1.0, 1.0, 1.0, 3.0]);
}

#[test]
fn products_along_diagonals_and_of_many_factors_are_taken_apart() {
    let (a, b, c) = (numbers(9, 1), numbers(9, 2), numbers(9, 3));
    let small = |equation: &str| {
        let small = Small::new(17).input("a", &[3, 3]).input("b", &[3, 3]).input("c", &[3, 3]);
        small.node("Einsum", &["a", "b", "c"], &["y"], &[text("equation", equation)]).output("y")
    };
    let inputs = || [1, 2, 3].map(|seed| random(&[3, 3], seed));
    let chain = product(&product(&a, &b, 3, 3), &c, 3, 3);
    near(&small("ij,jk,kl->il").run(&inputs())[0], &[3, 3], &chain);
    near(&small("ij, jk, kl").run(&inputs())[0], &[3, 3], &chain);
    near(
        &small("ii,ii,ik->i").run(&inputs())[0],
        &[3],
        &(0..3).map(|i| a[4 * i] * b[4 * i] * c[3 * i..3 * i + 3].iter().sum::<f32>()).collect::<Vec<_>>(),
    );
    let one = |equation: &str, dims: &[i64]| {
        let small = Small::new(17).input("x", dims);
        small.node("Einsum", &["x"], &["y"], &[text("equation", equation)]).output("y")
    };
    let x = numbers(18, 4);
    let batch: Vec<f32> = (0..6).map(|i| x[9 * (i / 3) + 4 * (i % 3)]).collect();
    near(&one("...ii->...i", &[2, 3, 3]).run(&[random(&[2, 3, 3], 4)])[0], &[2, 3], &batch);
    near(&one("ii", &[3, 3]).run(&[random(&[3, 3], 1)])[0], &[], &[a[0] + a[4] + a[8]]);
    assert!(one("ii->i", &[2, 3]).refusal().contains("diagonal of no square"));
}

#[test]
fn truth_values_are_compared() {
    let small = Small::new(17).typed_input("a", 9, &[4]).typed_input("b", 9, &[4]);
    let small = small.node("Equal", &["a", "b"], &["e"], &[]).node("Cast", &["e"], &["y"], &[int("to", 1)]).output("y");
    let got = small.run(&[tensor1(&[true, true, false, false]), tensor1(&[true, false, true, false])]);
    near(&got[0], &[4], &[1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn shifts_by_no_digit_of_the_type_leave_the_sign() {
    let shift = |direction: &str, kind: i32, x: Tensor, by: Tensor| {
        let model = Small::new(18).typed_input("x", kind, &[5]).typed_input("by", kind, &[5]).output("y");
        let model = model.node("BitShift", &["x", "by"], &["y"], &[text("direction", direction)]);
        let y = model.run(&[x, by]).remove(0);
        tensor::integers(&y).unwrap()
    };
    let by = [0i32, 2, 32, 100, -1];
    assert_eq!(shift("RIGHT", 6, tensor1(&[-9i32, -9, -9, 9, -9]), tensor1(&by)), [-9, -3, -1, 0, -1]);
    assert_eq!(shift("LEFT", 6, tensor1(&[-9i32, -9, -9, 9, 9]), tensor1(&by)), [-9, -36, 0, 0, 0]);
    let by = [0u8, 2, 7, 8, 255];
    assert_eq!(shift("RIGHT", 2, tensor1(&[200u8; 5]), tensor1(&by)), [200, 50, 1, 0, 0]);
}

/// The sum of the powers, not their mean.
#[test]
fn norms_of_whole_planes_are_of_sums() {
    for (p, want) in [(1, [10.0, 8.0]), (2, [30f32.sqrt(), 32f32.sqrt()]), (3, [100f32.cbrt(), 128f32.cbrt()])] {
        let small =
            Small::new(17).input("x", &[1, 2, 2, 2]).node("GlobalLpPool", &["x"], &["y"], &[int("p", p)]).output("y");
        let x = tensor1(&[1f32, -2.0, 3.0, 4.0, -4.0, 4.0, 0.0, 0.0]).into_shape(&[1, 2, 2, 2]).unwrap();
        near(&small.run(&[x])[0], &[1, 2, 1, 1], &want);
    }
}

/// The second operand along the first axis, as Caffe2 wrote biases of channels.
#[test]
fn operands_of_old_files_stand_along_given_axes() {
    let small = Small::new(6)
        .input("x", &[2, 3])
        .constant("w", tensor1(&[10f32, 20.0]))
        .node("Sub", &["x", "w"], &["y"], &[int("broadcast", 1), int("axis", 0)])
        .output("y");
    near(
        &small.run(&[floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])])[0],
        &[2, 3],
        &[-9., -8., -7., -16., -15., -14.],
    );
}

#[test]
fn integers_are_squared() {
    let small = Small::new(17)
        .typed_input("x", 7, &[3])
        .constant("two", tensor1(&[2i64]))
        .node("Pow", &["x", "two"], &["power"], &[])
        .node("Mul", &["x", "x"], &["product"], &[])
        .node("Add", &["power", "product"], &["y"], &[])
        .output("y");
    assert_eq!(small.run(&[tensor1(&[1i64, -3, 5])])[0], tensor1(&[2i64, 18, 50]));
}

/// What nothing says is full of 32-bit zeros, which take products with other floats.
#[test]
fn constants_of_a_shape_are_zeros_of_32_bits_by_default() {
    let model = Small::new(18).input("x", &[2, 2]).constant("shape", tensor1(&[2i64, 2]));
    let model = model.node("ConstantOfShape", &["shape"], &["z"], &[]).constant("i", tensor2(&[[1i64]]));
    let model = model.input("u", &[1, 2]).node("ScatterND", &["z", "i", "u"], &["w"], &[]);
    let model = model.node("MatMul", &["x", "w"], &["y"], &[]).output("y");
    let got = model.run(&[floats(&[1.0, 2.0, 3.0, 4.0], &[2, 2]), floats(&[5.0, -1.0], &[1, 2])]);
    near(&got[0], &[2, 2], &[10.0, -2.0, 20.0, -4.0]);
}

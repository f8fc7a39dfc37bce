//! Models that mix tokens, down to their integers.

use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::data::read_input;
use nanozk_compiler::onnx::{Onnx, float, int, ints};
use nanozk_compiler::pipeline::{CompileOptions, compile};

/// Numbers of both signs that have no order.
pub fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect()
}

/// The greatest difference of the integers from float on a sample of all inputs, relative to the greatest output.
fn gap(onnx: Onnx, sample: &[Vec<f32>]) -> f64 {
    compiled(onnx, sample).1
}

/// The compiled model, and that difference.
pub fn compiled(onnx: Onnx, sample: &[Vec<f32>]) -> (Artifact, f64) {
    let folder = tempfile::tempdir().unwrap();
    let path = onnx.write(folder.path()).unwrap();
    let data = folder.path().join("input.json");
    std::fs::write(&data, serde_json::json!({ "input_data": sample }).to_string()).unwrap();
    let artifact = compile(&path, &CompileOptions { data: vec![data.clone()], ..Default::default() }, &|_| {}).unwrap();
    let reference = artifact.source.reference(None).unwrap();
    let values: Vec<_> = read_input(&data, &artifact.inputs).unwrap().into_iter().map(|input| input.value).collect();
    let floats = reference.run(&values).unwrap();
    let gap = artifact.models().measure(&[values], &[floats]).unwrap().gap();
    (artifact, gap)
}

#[test]
fn least_of_all_is_the_greatest_of_the_negated() {
    let least = Onnx::default().input("x", &[1, 3, 4]).node("ReduceMin", &["x"], "y", &[]).output("y", &[1, 1, 1]);
    assert!(gap(least, &[numbers(12)]) < 0.01);
    let weights = numbers(9);
    let of_products = Onnx::default()
        .input("x", &[1, 4, 3])
        .constant("w", &[3, 3], &weights)
        .node("MatMul", &["x", "w"], "products", &[])
        .node("Neg", &["products"], "negated", &[])
        .node("ReduceMax", &["negated"], "most", &[])
        .node("Mul", &["most", "x"], "y", &[])
        .output("y", &[1, 4, 3]);
    assert!(gap(of_products, &[numbers(12)]) < 0.01);
}

/// How many of three neighbours have each label, as a share of their number, which could be 0 for all that is known.
#[test]
fn shares_of_a_count_are_computed_though_it_may_be_zero() {
    let shares = Onnx::default()
        .input("x", &[1, 3])
        .constant("half", &[], &[0.5])
        .node("Greater", &["x", "half"], "above", &[])
        .node("Cast", &["above"], "votes", &[int("to", 1)])
        .node("ReduceSum", &["votes"], "count", &[])
        .node("Div", &["votes", "count"], "y", &[])
        .output("y", &[1, 3]);
    assert!(gap(shares, &[vec![0.9, 0.1, 0.7]]) <= 0.02);
}

/// A token before all visible ones sees what the file leaves it: here itself, hidden as it is.
#[test]
fn padding_on_the_left_means_what_the_file_makes_of_it() {
    let low = -3e38;
    let onnx = Onnx::default()
        .input("x", &[1, 3, 4])
        .whole_input("mask", &[1, 3])
        .constant("later", &[3, 3], &[0.0, low, low, 0.0, 0.0, low, 0.0, 0.0, 0.0])
        .constant("low", &[], &[low])
        .constant("one", &[], &[1.0])
        .node("Cast", &["mask"], "m", &[int("to", 1)])
        .node("Sub", &["one", "m"], "hidden", &[])
        .node("Mul", &["hidden", "low"], "bias", &[])
        .node("Transpose", &["x"], "keys", &[ints("perm", &[0, 2, 1])])
        .node("MatMul", &["x", "keys"], "scores", &[])
        .node("Add", &["scores", "later"], "causal", &[])
        .node("Add", &["causal", "bias"], "masked", &[])
        .node("Softmax", &["masked"], "weights", &[int("axis", -1)])
        .node("MatMul", &["weights", "x"], "y", &[])
        .output("y", &[1, 3, 4]);
    assert!(gap(onnx, &[numbers(12), vec![0.0, 1.0, 1.0]]) < 0.01);
}

/// A cause that names its way out stands alone.
#[test]
fn each_unsupported_node_has_its_own_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = Onnx::default().input("x", &[1, 4]).node("NoSuch", &["x"], "y", &[]).output("y", &[1, 4]);
    let path = onnx.write(folder.path()).unwrap();
    let error = compile(&path, &CompileOptions::default(), &|_| {}).err().unwrap().to_string();
    assert!(error.ends_with("is not supported; compute it outside of the model or replace it"), "{error}");
}

/// Of the scores only the later ones have a bias, and there are more of them than the product has operands.
#[test]
fn a_bias_on_some_of_the_scores() {
    let bias = [0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -5.0, -5.0, 0.0, 0.0, -5.0, -5.0, 0.0];
    let onnx = Onnx::default()
        .input("x", &[1, 4, 2])
        .constant("bias", &[4, 4], &bias)
        .node("Transpose", &["x"], "keys", &[ints("perm", &[0, 2, 1])])
        .node("MatMul", &["x", "keys"], "scores", &[])
        .node("Add", &["scores", "bias"], "biased", &[])
        .node("Softmax", &["biased"], "weights", &[int("axis", -1)])
        .node("MatMul", &["weights", "x"], "y", &[])
        .output("y", &[1, 4, 2]);
    assert!(gap(onnx, &[numbers(8)]) < 0.01);
}

#[test]
fn a_function_whose_values_are_negated() {
    let onnx = Onnx::default()
        .input("x", &[1, 4])
        .node("Exp", &["x"], "e", &[])
        .node("Neg", &["e"], "y", &[])
        .output("y", &[1, 4]);
    assert!(gap(onnx, &[numbers(4)]) < 0.01);
}

/// A learned token that is all zeros, as it is before training, stands before the others of a normalisation with a tiny
/// epsilon.
#[test]
fn a_token_of_zeros_before_a_normalisation() {
    let (tokens, width) = (16, 32);
    let weights: Vec<f32> = numbers(width * width).into_iter().map(|w| w / 4.0).collect();
    let mut turned = numbers(width * width);
    turned.rotate_left(width);
    let onnx = Onnx::default()
        .input("x", &[1, tokens, width])
        .constant("w", &[width, width], &weights)
        .constant("v", &[width, width], &turned)
        .constant("first", &[1, 1, width], &vec![0.0; width])
        .constant("gain", &[width], &vec![1.0; width])
        .node("MatMul", &["x", "w"], "others", &[])
        .node("Concat", &["first", "others"], "all", &[int("axis", 1)])
        .node("LayerNormalization", &["all", "gain"], "normalised", &[float("epsilon", 1e-12)])
        .node("MatMul", &["normalised", "v"], "mixed", &[])
        .node("ReduceMean", &["mixed"], "y", &[ints("axes", &[1]), int("keepdims", 0)])
        .output("y", &[1, width]);
    assert!(gap(onnx, &[numbers(tokens * width)]) < 0.02);
}

/// A mask of great penalties is subtracted, from scores that have a bias of their own.
#[test]
fn a_subtracted_mask() {
    let onnx = Onnx::default()
        .input("x", &[1, 3, 4])
        .whole_input("mask", &[1, 3])
        .constant("penalty", &[], &[1e30])
        .constant("one", &[], &[1.0])
        .node("Cast", &["mask"], "m", &[int("to", 1)])
        .node("Sub", &["one", "m"], "hidden", &[])
        .node("Mul", &["penalty", "hidden"], "penalties", &[])
        .node("Transpose", &["x"], "keys", &[ints("perm", &[0, 2, 1])])
        .node("MatMul", &["x", "keys"], "scores", &[])
        .node("Sub", &["scores", "penalties"], "masked", &[])
        .node("Softmax", &["masked"], "weights", &[int("axis", -1)])
        .node("MatMul", &["weights", "x"], "y", &[])
        .output("y", &[1, 3, 4]);
    assert!(gap(onnx, &[numbers(12), vec![1.0, 1.0, 0.0]]) < 0.01);
}

/// The sample data says that no divisor is 0, so that none has to be tried.
#[test]
fn whole_numbers_are_divided_by_inputs_that_are_never_0() {
    let quotient = Onnx::default()
        .whole_input("a", &[6])
        .whole_input("b", &[6])
        .node("Div", &["a", "b"], "whole", &[])
        .node("Cast", &["whole"], "y", &[int("to", 1)])
        .output("y", &[6]);
    let sample = [vec![17.0, 9.0, 100.0, 3.0, 0.0, 64.0], vec![5.0, 3.0, 7.0, 4.0, 1.0, 8.0]];
    assert_eq!(gap(quotient, &sample), 0.0);
}

/// Neither the greatest nor its place is one that a mask hides by infinity.
#[test]
fn the_greatest_is_one_that_a_mask_leaves_visible() {
    let masked = || {
        Onnx::default()
            .input("x", &[3, 5])
            .whole_input("mask", &[5])
            .constant("low", &[], &[f32::NEG_INFINITY])
            .node("Cast", &["mask"], "shown", &[int("to", 9)])
            .node("Where", &["shown", "x", "low"], "scores", &[])
    };
    let sample = [numbers(15), vec![1.0, 0.0, 1.0, 0.0, 1.0]];
    let most = masked().node("ReduceMax", &["scores"], "y", &[int("keepdims", 0), ints("axes", &[1])]);
    assert!(gap(most.output("y", &[3]), &sample) < 0.01);
    let place = masked().node("ArgMax", &["scores"], "at", &[int("axis", 1), int("keepdims", 0)]);
    assert_eq!(gap(place.node("Cast", &["at"], "y", &[int("to", 1)]).output("y", &[3]), &sample), 0.0);
}

/// A product of quotients may be far greater than it ever is: what is added to it keeps its resolution all the same.
#[test]
fn far_bounds_of_products_cost_what_follows_nothing() {
    let mean = |axis: i64| [ints("axes", &[axis]), int("keepdims", 1)];
    let onnx = Onnx::default()
        .input("x", &[3, 8])
        .constant("wa", &[8, 8], &numbers(64))
        .constant("wb", &[8, 8], &numbers(72)[8..])
        .constant("wc", &[8, 8], &numbers(80)[16..])
        .constant("eps", &[], &[1e-5])
        .node("MatMul", &["x", "wa"], "a", &[])
        .node("MatMul", &["x", "wb"], "b", &[])
        .node("Mul", &["a", "a"], "squares", &[])
        .node("ReduceMean", &["squares"], "power", &mean(-1))
        .node("Div", &["a", "power"], "once", &[])
        .node("Mul", &["once", "b"], "product", &[])
        .node("Div", &["product", "power"], "twice", &[])
        .node("ReduceMean", &["x"], "mixed", &mean(0))
        .node("Add", &["x", "twice"], "sum", &[])
        .node("Add", &["sum", "mixed"], "stream", &[])
        .node("Mul", &["stream", "stream"], "squared", &[])
        .node("ReduceMean", &["squared"], "mean", &mean(-1))
        .node("Add", &["mean", "eps"], "safe", &[])
        .node("Sqrt", &["safe"], "size", &[])
        .node("Div", &["stream", "size"], "unit", &[])
        .node("MatMul", &["unit", "wc"], "y", &[])
        .output("y", &[3, 8]);
    assert!(gap(onnx, &[numbers(24)]) < 0.02);
}

/// A graph attention layer: a matrix of real numbers says which nodes are neighbours.
#[test]
fn real_numbers_are_compared_for_equality() {
    let onnx = Onnx::default()
        .input("x", &[1, 4, 3])
        .input("near", &[1, 4, 4])
        .constant("zero", &[], &[0.0])
        .constant("low", &[], &[-9e15])
        .node("Transpose", &["x"], "turned", &[ints("perm", &[0, 2, 1])])
        .node("MatMul", &["x", "turned"], "scores", &[])
        .node("Equal", &["near", "zero"], "apart", &[])
        .node("Where", &["apart", "low", "scores"], "masked", &[])
        .node("Softmax", &["masked"], "weights", &[int("axis", -1)])
        .node("MatMul", &["weights", "x"], "y", &[])
        .output("y", &[1, 4, 3]);
    let near = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    let gap = gap(onnx, &[numbers(12), near.to_vec()]);
    assert!(gap <= 0.02, "{gap}");
}

/// As scikit-learn's PowerTransformer has it: an exponent for each feature.
#[test]
fn features_have_exponents_of_their_own() {
    let onnx = Onnx::default()
        .input("x", &[1, 4])
        .constant("one", &[], &[1.5])
        .constant("e", &[4], &[0.5, 1.25, 0.5, -0.75])
        .node("Add", &["x", "one"], "positive", &[])
        .node("Pow", &["positive", "e"], "y", &[])
        .output("y", &[1, 4]);
    assert!(gap(onnx, &[numbers(4)]) < 0.01);
}

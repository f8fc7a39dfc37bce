//! Models that mix tokens, down to their integers.

use crate::onnx::Onnx;
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_ir::float::InputValue;

/// Numbers of both signs that have no order.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect()
}

/// The greatest difference of the integers from float on the sample `x`, relative to the greatest output.
fn gap(onnx: Onnx, x: Vec<f32>) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let path = onnx.write(folder.path());
    let data = folder.path().join("input.json");
    std::fs::write(&data, serde_json::json!({ "input_data": [x] }).to_string()).unwrap();
    let artifact = compile(&path, &CompileOptions { data: vec![data], ..Default::default() }, &|_| {}).unwrap();
    let reference = artifact.source.reference(None).unwrap();
    artifact.models(&reference).measure(&[vec![InputValue::Float(x)]]).unwrap().gap()
}

#[test]
fn least_of_all_is_the_greatest_of_the_negated() {
    let least = Onnx::default().input("x", &[1, 3, 4]).node("ReduceMin", &["x"], "y", &[]).output("y", &[1, 1, 1]);
    assert!(gap(least, numbers(12)) < 0.01);
    let weights = numbers(9);
    let of_products = Onnx::default()
        .input("x", &[1, 4, 3])
        .constant("w", &[3, 3], &weights)
        .node("MatMul", &["x", "w"], "products", &[])
        .node("Neg", &["products"], "negated", &[])
        .node("ReduceMax", &["negated"], "most", &[])
        .node("Mul", &["most", "x"], "y", &[])
        .output("y", &[1, 4, 3]);
    assert!(gap(of_products, numbers(12)) < 0.01);
}

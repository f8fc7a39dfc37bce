//! Lengths of dynamic dimensions.

use nanozk_compiler::error::CompileError;
use nanozk_compiler::onnx::{Onnx, int, ints};
use nanozk_compiler::pipeline::{CompileOptions, compile};

/// Attention over a million tokens is refused before anything of that length is made, with a length that may fit.
#[test]
fn a_length_that_no_circuit_takes_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let weights: Vec<f32> = (0..64).map(|i| ((i * 37) % 17) as f32 / 17.0 - 0.5).collect();
    let path = Onnx::default()
        .input("x", &[1, 4, 8])
        .constant("w", &[8, 8], &weights)
        .node("MatMul", &["x", "w"], "q", &[])
        .node("Transpose", &["x"], "keys", &[ints("perm", &[0, 2, 1])])
        .node("MatMul", &["q", "keys"], "scores", &[])
        .node("Softmax", &["scores"], "shares", &[int("axis", -1)])
        .node("MatMul", &["shares", "x"], "y", &[])
        .output("y", &[1, 4, 8])
        .open(1, "seq")
        .write(folder.path())
        .unwrap();
    let at = |length: usize| {
        let set = [("seq".to_owned(), length.into())].into();
        compile(&path, &CompileOptions { set, ..Default::default() }, &|_| ()).unwrap_err()
    };
    let refusal = at(1_000_000);
    let CompileError::TooLong { greatest, .. } = &refusal else { panic!("{refusal}") };
    assert!((129..1_000_000).contains(greatest), "{refusal}");
    assert!(refusal.to_string().contains("seq=1000000"), "{refusal}");
    // Short ones are refused for what they lack: sample data.
    assert!(!matches!(at(64), CompileError::TooLong { .. }));
}

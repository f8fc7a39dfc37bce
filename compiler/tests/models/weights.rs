//! How many weights are committed.

use super::general::compiled;
use nanozk_compiler::onnx::{Onnx, int};

const STEPS: usize = 8;
const HIDDEN: usize = 6;

/// Numbers of both signs that have no order.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + 11 * seed) % 101) as f32 / 101.0 - 0.5).collect()
}

/// The steps of a recurrence read one committed matrix, whichever states leave the model.
#[test]
fn recurrent_models_commit_their_weights_once() {
    for (kind, gates) in [("LSTM", 4), ("GRU", 3)] {
        for (output, dims) in [("all", vec![STEPS, 1, 1, HIDDEN]), ("last", vec![1, 1, HIDDEN])] {
            let rows = gates * HIDDEN;
            let onnx = Onnx::default()
                .input("x", &[STEPS, 1, 3])
                .constant("w", &[1, rows, 3], &numbers(rows * 3, 1))
                .constant("r", &[1, rows, HIDDEN], &numbers(rows * HIDDEN, 2))
                .constant("b", &[1, 2 * rows], &numbers(2 * rows, 3))
                .node(kind, &["x", "w", "r", "b"], "all", &[int("hidden_size", HIDDEN as i64)])
                .and(&["last"])
                .output(output, &dims);
            let (artifact, gap) = compiled(onnx, &[numbers(STEPS * 3, 4)]);
            let weights = artifact.weights();
            assert_eq!(weights.parameters, (rows * (3 + HIDDEN + 2)) as u64);
            let most = weights.parameters * 6 / 5;
            assert!(weights.committed <= most, "{kind}, {output}: {weights:?}");
            assert!(gap < 0.01, "{kind}, {output}: {gap}");
        }
    }
}

/// One matrix serves all places of a convolution.
#[test]
fn a_convolution_commits_its_weights_once() {
    let onnx = Onnx::default()
        .input("x", &[1, 2, 6, 6])
        .constant("w", &[3, 2, 3, 3], &numbers(54, 1))
        .constant("b", &[3], &numbers(3, 2))
        .node("Conv", &["x", "w", "b"], "c", &[])
        .node("Relu", &["c"], "y", &[])
        .output("y", &[1, 3, 4, 4]);
    let (artifact, gap) = compiled(onnx, &[numbers(72, 3)]);
    let weights = artifact.weights();
    assert_eq!(weights.parameters, 57);
    assert!(weights.committed <= 57 + 3, "{weights:?}");
    assert!(gap < 0.01, "{gap}");
}

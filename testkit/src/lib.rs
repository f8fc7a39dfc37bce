//! What the tests of several crates share, below the compiler: [`net`] builds small integer models value by value,
//! [`models`] holds those of the shapes that real models have. Whole models with their keys and proofs are fixtures of
//! `nanozk-tests`; small ONNX files are written by `nanozk_compiler::onnx`.

pub mod models;
pub mod net;

use std::path::{Path, PathBuf};

/// The folder of a bundled model, `onnx-models/NAME`.
pub fn model_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx-models").join(name)
}

//! Why an input file cannot be used.

use super::malformed::{EXPECTED, Malformed};
use std::path::{Path, PathBuf};

/// Why an input file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{}: cannot read the input: {source}", path.display())]
    Io {
        /// Input file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is not in a known format.
    #[error("{}: {reason}", path.display())]
    Format {
        /// Input file.
        path: PathBuf,
        /// What is wrong.
        reason: Malformed,
    },
    /// The number of inputs differs from the model's.
    #[error("{}: {got} input(s) given, the model has {expected} ({names})", path.display())]
    Count {
        /// Input file.
        path: PathBuf,
        /// Inputs of the model.
        expected: usize,
        /// Inputs in the file.
        got: usize,
        /// Names of the model's inputs.
        names: String,
    },
    /// An input without values.
    #[error("{}: input {index} (\"{name}\") is empty", path.display())]
    Empty {
        /// Input file.
        path: PathBuf,
        /// Index of the input.
        index: usize,
        /// Its name.
        name: String,
        /// Number of values of the model's input.
        expected: usize,
    },
    /// A wrong number of values.
    #[error("{}: input {index} (\"{name}\") has {got} value(s), the model takes {expected} (shape {shape:?})", path.display())]
    Length {
        /// Input file.
        path: PathBuf,
        /// Index of the input.
        index: usize,
        /// Its name.
        name: String,
        /// Number of values given.
        got: usize,
        /// Number of values of the model's input.
        expected: usize,
        /// Shape of the model's input.
        shape: Vec<usize>,
    },
    /// A shape that is not the model's.
    #[error("{}: input {index} (\"{name}\") has shape {got:?}, the model takes {expected:?}", path.display())]
    Shape {
        /// Input file.
        path: PathBuf,
        /// Index of the input.
        index: usize,
        /// Its name.
        name: String,
        /// Shape given.
        got: Vec<usize>,
        /// Shape of the model's input.
        expected: Vec<usize>,
    },
    /// A value of an input that the model does not have, for compilation settled it, and to another value or one that is not
    /// known here.
    #[error("{}: {name} has the value {value}, and the model no such input{}", path.display(), settled)]
    Settled {
        /// Input file.
        path: PathBuf,
        /// Where it stands in the file.
        name: String,
        /// The value.
        value: f64,
        /// What is known of the value that it was settled to.
        settled: &'static str,
    },
    /// A value the input cannot hold.
    #[error("{}: input {index} (\"{name}\"), value {position}: {value} is not {expected}", path.display())]
    Value {
        /// Input file.
        path: PathBuf,
        /// Index of the input.
        index: usize,
        /// Its name.
        name: String,
        /// Flat position.
        position: usize,
        /// The value.
        value: f64,
        /// What it should be.
        expected: String,
    },
}

impl DataError {
    /// A file of `got` inputs for a model of these.
    pub(super) fn count(path: &Path, inputs: &[&str], got: usize) -> Self {
        DataError::Count { path: path.to_owned(), expected: inputs.len(), got, names: inputs.join(", ") }
    }

    /// What helps.
    pub fn way_out(&self) -> String {
        match self {
            DataError::Io { .. } => "check the path".to_owned(),
            DataError::Format { reason, .. } => reason.way_out(),
            DataError::Empty { expected, .. } => format!("give {expected} value(s)"),
            DataError::Settled { .. } => "take it out of the file".to_owned(),
            DataError::Value { .. } => "correct the value".to_owned(),
            DataError::Count { .. } | DataError::Length { .. } | DataError::Shape { .. } => EXPECTED.to_owned(),
        }
    }
}

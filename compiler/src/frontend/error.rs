//! What can go wrong between an ONNX file and the canonical graph.

use super::refusal::Refusal;
use crate::setting::{Setting, setting};
use std::{fmt, path::PathBuf};

/// A node of the source model that has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the node in the source model.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// Shapes of its operands and of its result; empty when they were not worked out.
    pub shapes: String,
    /// What stands in the way.
    pub refusal: Refusal,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes = if self.shapes.is_empty() { String::new() } else { format!(" ({})", self.shapes) };
        write!(f, "{} \"{}\"{shapes}: {}", self.op, self.node, self.refusal)
    }
}

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum FrontendError {
    /// The file cannot be read.
    #[error("{}: cannot read the model: {source}", path.display())]
    Io {
        /// Model file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is a git-LFS pointer.
    #[error("{}: this is a git-LFS pointer, not the model itself; fetch it with `git lfs pull`", path.display())]
    LfsPointer {
        /// Model file.
        path: PathBuf,
    },
    /// The file is not ONNX.
    #[error("{}: not an ONNX file ({reason}); export the model to ONNX and give that file", path.display())]
    NotOnnx {
        /// Model file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The file ends early.
    #[error("{}: the ONNX file is truncated ({size} bytes, {reason}); download or export it again", path.display())]
    Truncated {
        /// Model file.
        path: PathBuf,
        /// Size of the file.
        size: usize,
        /// Where parsing stopped.
        reason: String,
    },
    /// A file with external weights is absent.
    #[error("{}: the weights file \"{location}\" (external data) is missing; put it next to the model", path.display())]
    MissingExternalData {
        /// Model file.
        path: PathBuf,
        /// Location named by the model.
        location: String,
    },
    /// A file with external weights ends early.
    #[error("{}: the weights file \"{location}\" (external data) has {size} bytes, the model reads up to byte {end}; copy or export it again", path.display())]
    ShortExternalData {
        /// Model file.
        path: PathBuf,
        /// Location named by the model.
        location: String,
        /// Size of the file.
        size: u64,
        /// Where the last tensor ends.
        end: u64,
    },
    /// A file with external weights outside the folder of the model.
    #[error("{}: the weights file \"{location}\" (external data) is not inside the folder of the model; export the model again", path.display())]
    OutsideExternalData {
        /// Model file.
        path: PathBuf,
        /// Location named by the model.
        location: String,
    },
    /// A dimension has no value.
    #[error("{}: dimension {axis} of input \"{input}\" is not fixed; give it with `--set {}`", path.display(), setting(symbol, length(*.sample)))]
    DynamicDim {
        /// Model file.
        path: PathBuf,
        /// Input.
        input: String,
        /// Axis of the input.
        axis: usize,
        /// What to set.
        symbol: String,
        /// Its length in the sample data.
        sample: Option<usize>,
    },
    /// A `--set` that names nothing in the model, or contradicts it.
    #[error("{}: `--set {}`: {refusal}", path.display(), setting(name, value))]
    BadSet {
        /// Model file.
        path: PathBuf,
        /// Symbol.
        name: String,
        /// Value.
        value: Setting,
        /// What is wrong with it.
        refusal: Refusal,
    },
    /// NaN or infinity in a weight.
    #[error("{}: weight \"{node}\" holds {value} at index {index}; train or export the model again", path.display())]
    NonFiniteWeight {
        /// Model file.
        path: PathBuf,
        /// Constant.
        node: String,
        /// Flat index.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The model is refused as a whole.
    #[error("{}: the model cannot be analysed: {refusal}", path.display())]
    Analysis {
        /// Model file.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// Nodes without a canonical form, all of them.
    #[error("{}: {} unsupported node(s): {}", path.display(), problems.len(), list(problems))]
    Unsupported {
        /// Model file.
        path: PathBuf,
        /// Every such node.
        problems: Vec<Problem>,
    },
    /// The canonical graph does not compute what the model computes.
    #[error("{}: {}", path.display(), differs(input, *output, *error, suspect.as_ref()))]
    SelfCheck {
        /// Model file.
        path: PathBuf,
        /// What it was run on.
        input: String,
        /// Index of the output.
        output: usize,
        /// Largest difference relative to the largest output value.
        error: f64,
        /// What may be the cause.
        suspect: Option<Suspect>,
    },
    /// Another file than the model was compiled from.
    #[error("{}: this is not the file that the model was compiled from", path.display())]
    OtherSource {
        /// Model file.
        path: PathBuf,
    },
    /// The float reference failed.
    #[error("the float reference run failed: {0}")]
    Reference(String),
}

/// A node at which the canonical graph may part from the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// The first that gives no number.
    Undefined(String),
    /// The first softmax all of whose scores in a row are as low as what a mask hides.
    Hidden(String),
}

/// The length to set, where the sample data tells it.
fn length(sample: Option<usize>) -> String {
    sample.map_or_else(|| "N".to_owned(), |n| n.to_string())
}

fn differs(input: &str, output: usize, error: f64, suspect: Option<&Suspect>) -> String {
    match suspect {
        Some(Suspect::Undefined(node)) => format!(
            "node \"{node}\" gives no number (NaN) on {input}, and a circuit computes with numbers alone; keep what it reads \
             where it is defined (Clip, Max)"
        ),
        Some(Suspect::Hidden(node)) => format!(
            "on {input} masks hide all of a row of the softmax \"{node}\", or its scores are as low as hidden ones, and floats of 32 \
             bits give output {output} another value ({error:.1e} of its greatest) than real numbers do; give data that \
             leaves an entry of each row visible, or a mask as integers or booleans"
        ),
        None => format!(
            "the lowered graph differs from the model by {error:e} on {input} at output {output}; please report this model"
        ),
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

//! What can go wrong in a run.

use crate::int::ops::Misfit;
use crate::int::{HeldError, TensorId};

/// A value outside the range its op or node allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Row.
    pub token: usize,
    /// Column.
    pub feature: usize,
    /// The offending value: an operand outside an op's domain, or a result outside its range.
    pub value: i128,
    /// Least allowed value.
    pub lo: i64,
    /// Greatest allowed value.
    pub hi: i64,
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The weights of a layer cannot be read.
    #[error(transparent)]
    Weights(#[from] HeldError),
    /// The layer index does not exist.
    #[error("the model has no layer {layer}")]
    NoLayer {
        /// The index asked for.
        layer: usize,
    },
    /// The layer's structure or data is inconsistent.
    #[error("layer `{layer}`, node {node} `{name}`: {why}; compile the model again")]
    Malformed {
        /// Layer name.
        layer: String,
        /// Node index.
        node: u32,
        /// Node name.
        name: String,
        /// What does not fit.
        why: Misfit,
    },
    /// Another number of inputs than ports.
    #[error("`{layer}` takes {expected} inputs, {got} were given")]
    InputCount {
        /// Layer name, or `model`.
        layer: String,
        /// Ports.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// An input tensor of another length than tokens * features.
    #[error("layer `{layer}`, input `{node}`: {expected} values expected, {got} given")]
    InputLength {
        /// Layer name.
        layer: String,
        /// Input node name.
        node: String,
        /// Tokens * features.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// A tensor is read that nothing wrote.
    #[error("`{layer}`: tensor {tensor} is never written; compile the model again")]
    Unwritten {
        /// Layer name, or `model`.
        layer: String,
        /// The tensor.
        tensor: TensorId,
    },
    /// The model has no answer to this input.
    #[error("layer `{layer}`, node `{name}`, {what} {feature}: {why}")]
    Refused {
        /// Layer name.
        layer: String,
        /// Node name.
        name: String,
        /// What each of the node's features stands for: a row, a divisor.
        what: &'static str,
        /// Which of them.
        feature: usize,
        /// What is wrong with the input, and the way out.
        why: &'static str,
    },
    /// A value is out of range: the input is beyond what the model was compiled for.
    #[error(
        "layer `{layer}`, node {node} `{name}`, token {}, feature {}: value {} outside [{}, {}]; \
         compile with sample data that covers this input",
        fault.token, fault.feature, fault.value, fault.lo, fault.hi
    )]
    Value {
        /// Layer name.
        layer: String,
        /// Node index.
        node: u32,
        /// Node name.
        name: String,
        /// Where and what.
        fault: Fault,
    },
}

//! Why a float graph could not be evaluated.

use std::io;

/// Why a graph could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The number of inputs differs from the graph's.
    #[error("the graph has {expected} input(s), {got} given")]
    InputCount {
        /// Inputs of the graph.
        expected: usize,
        /// Inputs given.
        got: usize,
    },
    /// An input is of another kind than the graph's.
    #[error("input {name}: wrong kind of value, a {expected} input is expected")]
    InputKind {
        /// Name of the input.
        name: String,
        /// Kind of the graph's input.
        expected: &'static str,
    },
    /// An input has a wrong number of elements.
    #[error("input {name}: {got} values given, {expected} expected")]
    InputLength {
        /// Name of the input.
        name: String,
        /// Elements of the graph's input.
        expected: usize,
        /// Elements given.
        got: usize,
    },
    /// Numbers that were left in a file and are not to be had again.
    #[error("node {name}: reading its weights again: {source}")]
    Stored {
        /// Name of the node.
        name: String,
        /// Cause.
        source: io::Error,
    },
    /// A token id outside the embedding.
    #[error("input {name}: token id {id} at position {position} is outside the vocabulary of {vocab}")]
    TokenId {
        /// Name of the input.
        name: String,
        /// Position in the sequence.
        position: usize,
        /// The id.
        id: u32,
        /// Rows of the embedding.
        vocab: usize,
    },
    /// A whole number outside the range of its input.
    #[error("input {name}: the number {value} at position {position} is outside {lo}..={hi}")]
    Integer {
        /// Name of the input.
        name: String,
        /// Position.
        position: usize,
        /// The number.
        value: i64,
        /// Least number allowed.
        lo: i64,
        /// Greatest number allowed.
        hi: i64,
    },
    /// A row number outside an embedding.
    #[error("node {name}: row {row} is outside the table of {vocab}")]
    Row {
        /// Node.
        name: String,
        /// The number.
        row: f32,
        /// Rows of the table.
        vocab: usize,
    },
    /// An embedding that does not read a token input, or a mask that is not a mask input.
    #[error("node {name}: operand {operand} must be a {expected} input")]
    Operand {
        /// Node.
        name: String,
        /// Operand index.
        operand: usize,
        /// Kind of input it must be.
        expected: &'static str,
    },
}

//! Why a layer has no keys, no proof, or none that holds.

use crate::misfit::{RangesMisfit, ShapeMisfit};

/// Why a layer could not be proven.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The witness, the layer data and the plan do not belong together.
    #[error("{0} does not match the plan of the layer; run setup again")]
    Mismatch(&'static str),
    /// A challenge was 0 (probability below 2^-250).
    #[error("a challenge was zero; prove again with a new seed")]
    ZeroChallenge,
    /// The transcript could not be written.
    #[error("cannot write the proof: {0}")]
    Transcript(#[from] std::io::Error),
    /// The ranges of weights are not those of the model.
    #[error(transparent)]
    Ranges(#[from] RangesMisfit),
    /// The circuits of a verifier file's own proof could not be made.
    #[error(transparent)]
    Keys(#[from] ShapeMisfit),
}

/// Why a layer proof was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// A part could not be read: truncated, a point outside the subgroup, a scalar out of range.
    #[error("the proof is malformed: {0}")]
    Malformed(String),
    /// Bytes follow the proof.
    #[error("bytes follow the proof")]
    TrailingBytes,
    /// Public data or commitments do not fit the layer.
    #[error("{0} does not fit the layer")]
    Mismatch(&'static str),
    /// The weights used are not the committed ones.
    #[error("the weight fold is not that of the committed weights")]
    Weights,
    /// The constraint system rejects.
    #[error("the proof does not hold: {0}")]
    Rejected(String),
}

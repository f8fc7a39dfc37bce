//! The integer graphs that the plans of a verifier file follow from.

use nanozk_ir::int::Graph;
use nanozk_layout::Choices;
use serde::{Deserialize, Serialize};

/// All that the plan of a shape depends on, beside the numbers that all shapes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Circuit {
    /// What is computed.
    pub graph: Graph,
    /// How its plan is laid out.
    pub choices: Choices,
}

/// The circuits of all shapes, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuits(Vec<u8>);

/// Bytes that are no circuits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableCircuits {
    /// Bytes of something else.
    #[error("its integer graphs cannot be read: {0}")]
    Bytes(#[from] postcard::Error),
    /// Bytes behind them.
    #[error("its integer graphs cannot be read: {0} unread bytes")]
    Rest(usize),
}

impl Circuits {
    /// The circuits as bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn new(circuits: &[Circuit]) -> Result<Self, UnreadableCircuits> {
        Ok(Circuits(postcard::to_stdvec(circuits)?))
    }

    /// Any bytes: they are read when they are needed.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Circuits(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The circuits.
    ///
    /// # Errors
    /// When the bytes are no circuits.
    pub fn read(&self) -> Result<Vec<Circuit>, UnreadableCircuits> {
        let (circuits, rest) = postcard::take_from_bytes(&self.0)?;
        match rest {
            [] => Ok(circuits),
            _ => Err(UnreadableCircuits::Rest(rest.len())),
        }
    }
}

//! What a rule for an operator is.

use super::{builder::Builder, net::Rewritten};
use tract_onnx::pb::NodeProto;

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its parts stand for it.
    Replaced,
    /// tract reads it as it is.
    Kept,
    /// Facts about its inputs are missing.
    Later,
}

/// Makes the parts of a node.
pub(super) type Rule = fn(&mut Builder<'_, '_>, &NodeProto) -> Rewritten<Outcome>;

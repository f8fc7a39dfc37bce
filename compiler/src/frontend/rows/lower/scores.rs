//! Scores of attention before it is recognised as a whole.

use crate::frontend::rows::matrix_graph::MatrixId;
use std::sync::Arc;

/// `scale * a b^T` per head, possibly masked and passed through a softmax.
#[derive(Clone, Debug)]
pub(super) struct Scores {
    pub a: MatrixId,
    pub b: MatrixId,
    pub heads: usize,
    /// Features of `a` in each head.
    pub a_features: Arc<Vec<Vec<usize>>>,
    /// Features of `b` in each head.
    pub b_features: Arc<Vec<Vec<usize>>>,
    pub scale: f32,
    /// Hidden pairs `[a token, b token]`.
    pub hidden: Option<Arc<Vec<bool>>>,
    /// Pairs whose score was multiplied by 0, which a mask must hide before the softmax.
    pub zeroed: Option<Arc<Vec<bool>>>,
    /// What is added to the scores, `[heads, a token, b token]`.
    pub bias: Option<Arc<Vec<f32>>>,
    /// Mask input over the tokens of `b` (true) or `a` (false).
    pub key_mask: Option<(MatrixId, bool)>,
    /// Masks that hide with a finite score.
    pub soft: Vec<SoftMask>,
    /// After the softmax, which always runs over the tokens of `b`.
    pub softmax: bool,
}

/// Position of an element of `[heads, tokens, tokens]`.
pub(super) fn place(flat: usize, tokens: usize) -> (usize, usize, usize) {
    (flat / tokens / tokens, flat / tokens % tokens, flat % tokens)
}

/// A mask that hides with a finite score, so that the source model leaves hidden keys some weight.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftMask {
    /// Attention node of the canonical graph; empty until the mask has met one.
    pub attention: String,
    /// Node of the source model that applies the mask.
    pub node: String,
    /// The score of hidden keys.
    pub value: f32,
    /// Whether it is added to the key's own score instead of replacing it.
    pub added: bool,
}

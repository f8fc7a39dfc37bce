//! Sizes of transformers.

/// Width, heads and tokens of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Features of the residual stream.
    pub width: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Tokens.
    pub tokens: usize,
}

/// What makes a language model of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language {
    /// Layers.
    pub layers: usize,
    /// Tokens that it tells apart.
    pub vocabulary: usize,
}

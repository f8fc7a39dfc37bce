//! Float ops: a closed set, one variant per meaning, whatever form the exporter wrote it in.

use super::Formula;
use serde::{Deserialize, Serialize};

/// What a model input carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum InputKind {
    /// Token ids in `0..vocab`, one per position: shape `[tokens]`.
    Tokens {
        /// Number of rows of the embedding matrix that reads it.
        vocab: usize,
    },
    /// Real activations: shape `[tokens, features]`.
    Float,
    /// A 0/1 attention mask over key positions: shape `[tokens]`.
    Mask,
}

/// Normalisation without gain: `x / sqrt(mean(x^2) + eps)`, after subtracting the mean for [`NormKind::Layer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NormKind {
    /// LayerNorm.
    Layer,
    /// RMSNorm.
    Rms,
}

/// Elementwise functions that are computed by table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum UnaryFn {
    /// `x * Phi(x)` with the exact normal CDF.
    GeluErf,
    /// The tanh approximation of GELU.
    GeluTanh,
    /// `x * sigmoid(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `x` for `x > 0`, else `slope * x`.
    LeakyRelu(f32),
    /// Logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Error function.
    Erf,
    /// Natural exponential.
    Exp,
    /// Square.
    Square,
    /// Square root (0 below 0).
    Sqrt,
    /// Absolute value.
    Abs,
    /// Natural logarithm.
    Ln,
    /// `1 / x`.
    Recip,
    /// `1 / sqrt(x)`.
    Rsqrt,
    /// -1, 0 or 1.
    Sign,
    /// `x * clamp(x / 6 + 1 / 2, 0, 1)`.
    HardSwish,
    /// `x` to a constant power.
    Pow(f32),
    /// Greatest integer that is not above.
    Floor,
    /// Least integer that is not below.
    Ceil,
    /// Nearest integer, the even one of two.
    Round,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// What has no name of its own.
    Formula(Formula),
}

/// One op of the float graph. Inputs are the incoming edges of the node, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Op {
    /// A model input.
    Input(InputKind),
    /// `[tokens] -> [tokens, features]`: row `token` of `table` (`[vocab, features]`, row-major).
    Embed {
        /// Row-major `[vocab, features]`.
        table: Vec<f32>,
    },
    /// A constant `[rows, features]` with `rows` either 1 (same for every token) or `tokens`.
    Const {
        /// 1 or the number of tokens.
        rows: usize,
        /// Row-major data.
        data: Vec<f32>,
    },
    /// `x W + b`, `W` row-major `[in, out]`.
    Linear {
        /// Row-major `[in, out]`.
        weight: Vec<f32>,
        /// `[out]`, absent when zero.
        bias: Option<Vec<f32>>,
    },
    /// LayerNorm or RMSNorm over features.
    Norm {
        /// Which.
        kind: NormKind,
        /// Added to the variance.
        eps: f32,
        /// Gain `[features]`, absent when all 1.
        gamma: Option<Vec<f32>>,
        /// Shift `[features]`, absent when all 0.
        beta: Option<Vec<f32>>,
    },
    /// `softmax(scale * q k^T + mask) v`, heads flattened into features. Inputs: q, k, v, and a mask input
    /// (node of kind [`InputKind::Mask`]) when `key_mask`.
    Attention {
        /// Query heads.
        heads: usize,
        /// Key/value heads; divides `heads` (grouped-query attention).
        kv_heads: usize,
        /// Features per head.
        head_dim: usize,
        /// Factor on the scores.
        scale: f32,
        /// Whether token t sees only tokens `<= t`.
        causal: bool,
        /// Whether a fourth input masks keys (0 = hidden).
        key_mask: bool,
    },
    /// Rotary embedding in the half-split form: with `h = head_dim / 2` and per head,
    /// `y[c] = x[c] cos[t, c] - x[c + h] sin[t, c]` for `c < h`, `y[c] = x[c] cos[t, c] + x[c - h] sin[t, c]` above.
    Rope {
        /// Heads in the features.
        heads: usize,
        /// `[tokens, head_dim]`.
        cos: Vec<f32>,
        /// `[tokens, head_dim]`.
        sin: Vec<f32>,
    },
    /// Elementwise function.
    Unary(UnaryFn),
    /// Elementwise sum of two activations of one shape.
    Add,
    /// Elementwise difference.
    Sub,
    /// Elementwise product.
    Mul,
    /// Product with a constant scalar.
    Scale(f32),
    /// Features `start..start + len`.
    Slice {
        /// First feature.
        start: usize,
        /// Number of features.
        len: usize,
    },
    /// Concatenation along features.
    Concat,
    /// Softmax over all features of a token.
    Softmax,
    /// A model output (identity).
    Output,
}

impl Op {
    /// Short name for tables and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(InputKind::Tokens { .. }) => "Tokens",
            Op::Input(InputKind::Float) => "Input",
            Op::Input(InputKind::Mask) => "Mask",
            Op::Embed { .. } => "Embed",
            Op::Const { .. } => "Const",
            Op::Linear { .. } => "Linear",
            Op::Norm { kind: NormKind::Layer, .. } => "LayerNorm",
            Op::Norm { kind: NormKind::Rms, .. } => "RmsNorm",
            Op::Attention { .. } => "Attention",
            Op::Rope { .. } => "Rope",
            Op::Unary(_) => "Unary",
            Op::Add => "Add",
            Op::Sub => "Sub",
            Op::Mul => "Mul",
            Op::Scale(_) => "Scale",
            Op::Slice { .. } => "Slice",
            Op::Concat => "Concat",
            Op::Softmax => "Softmax",
            Op::Output => "Output",
        }
    }
}

//! Float ops: a closed set, one variant per meaning, whatever form the exporter wrote it in.

use super::{Floats, Formula};
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
    /// Whole numbers, exact: shape `[features]`, in a model of one token.
    Integer {
        /// Least value.
        lo: i64,
        /// Greatest value.
        hi: i64,
    },
}

/// What a hidden entry of a softmax counts as.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hidden {
    /// Added to the hidden entry, or put in its place: far below every visible entry.
    pub value: f32,
    /// Whether it takes the entry's place.
    pub replaces: bool,
    /// Whether floats of 32 bits lose scores in the sum with it, so that integers may have it in their place.
    pub absorbs: bool,
    /// Whether a stretch without visible entries has the numbers of the source model. Where it has none, it has no proof.
    pub defined: bool,
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
    /// `-x`.
    Neg,
    /// 1 where x is 0, else 0.
    Not,
    /// Whole part: towards 0.
    Trunc,
    /// Nearest integer, halves away from 0.
    RoundAway,
    /// Tangent.
    Tan,
    /// Inverse sine.
    Asin,
    /// Inverse cosine.
    Acos,
    /// Inverse tangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Inverse hyperbolic sine.
    Asinh,
    /// Inverse hyperbolic cosine.
    Acosh,
    /// Inverse hyperbolic tangent.
    Atanh,
    /// What has no name of its own.
    Formula(Formula),
}

/// A score at or below this is as low as what a mask hides: it leaves no trace beside any other.
pub const HIDING: f64 = -1e3;

/// A bias of attention scores that leaves a key no weight.
pub const HIDDEN: f32 = f32::MIN;

/// A pick of the number 0.
pub const PICK_ZERO: (u32, u32) = (u32::MAX, 0);

/// One op of the float graph. Inputs are the incoming edges of the node, in order.
#[derive(Clone, Debug)]
pub enum Op {
    /// A model input.
    Input(InputKind),
    /// Each whole number of the operand becomes the row of `table` that it counts: `[tokens, n] -> [tokens, n * width]`.
    Embed {
        /// Row-major `[vocab, width]`.
        table: Floats,
    },
    /// A constant `[rows, features]` with `rows` either 1 (same for every token) or `tokens`.
    Const {
        /// 1 or the number of tokens.
        rows: usize,
        /// Row-major data.
        data: Vec<f32>,
    },
    /// `x W + b` at each of `positions` stretches of the features: `[positions, in] -> [positions, out]`.
    Linear {
        /// How often the map is applied side by side.
        positions: usize,
        /// Row-major `[in, out]`.
        weight: Floats,
        /// `[out]`, absent when zero.
        bias: Option<Vec<f32>>,
    },
    /// LayerNorm or RMSNorm over each of `groups` equal stretches of the features.
    Norm {
        /// Which.
        kind: NormKind,
        /// Number of stretches.
        groups: usize,
        /// Added to the variance.
        eps: f32,
        /// Gain `[features / groups]`, absent when all 1.
        gamma: Option<Vec<f32>>,
        /// Shift `[features / groups]`, absent when all 0.
        beta: Option<Vec<f32>>,
    },
    /// `softmax(scale * q k^T + bias + mask) v`, heads flattened into features. Inputs: q, k, v, a mask input (node of kind
    /// [`InputKind::Mask`]) when `key_mask`, and a constant `[tokens, heads * tokens]` when `bias`.
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
        /// Whether the last input is added to the scores; [`HIDDEN`] hides a key from a query.
        bias: bool,
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
    /// Softmax over each of `groups` equal stretches of the features. With `hidden` a second operand of the same width
    /// says which entries are visible (1) and which are hidden (0), and a third one, if there is one, how many times.
    Softmax {
        /// Number of stretches.
        groups: usize,
        /// What hidden entries count as.
        hidden: Option<Hidden>,
    },
    /// Features of the operands in a new order.
    Pick {
        /// `(operand, feature)` of each feature of the result, or [`PICK_ZERO`].
        picks: Vec<(u32, u32)>,
    },
    /// Products of two activations: `y[b, p, j] = sum_i x[b, p, i] z[b, i, j]`.
    MatMul {
        /// Number of independent products.
        batch: usize,
        /// Rows of the first operand and of the result.
        rows: usize,
        /// Columns of the first and rows of the second operand.
        inner: usize,
        /// Columns of the second operand and of the result.
        cols: usize,
    },
    /// Sums over consecutive stretches of the features, one feature each.
    Sum {
        /// Lengths of the stretches.
        sizes: Vec<u32>,
    },
    /// Greatest value of each of `groups` equal stretches of the features.
    Max {
        /// Number of stretches.
        groups: usize,
    },
    /// Index of the greatest value in each of `groups` equal stretches of the features; the lowest of equals.
    ArgMax {
        /// Number of stretches.
        groups: usize,
    },
    /// 1 where `x >= 0`, else 0.
    Step,
    /// Greatest whole number not above `x / divisor`.
    FloorDiv {
        /// At least 1.
        divisor: u32,
    },
    /// `floor(a / b)` of whole numbers. Where b is below 1 there is no proof.
    Quotient,
    /// Each whole number. Where one is not of `least..=most` there is no proof.
    Within {
        /// The least.
        least: i32,
        /// The greatest.
        most: i32,
    },
    /// The lowest binary digits of each whole number from 0, the lowest first.
    Bits {
        /// Digits of one number.
        count: u32,
    },
    /// The sum of the rows of some tokens, the same at every token: `y[t] = sum_{u in of} x[u]`.
    TokenSum {
        /// The tokens, each once.
        of: Vec<u32>,
    },
    /// The mean of the rows that a mask shows, the same at every token: `y[t] = sum_u m[u] x[u] / max(1, sum_u m[u])`.
    /// Inputs: x, and a mask input m (node of kind [`InputKind::Mask`]).
    TokenMean,
    /// A model output (identity).
    Output,
}

impl Op {
    /// Whether values next to each other may have results far apart, so that rounding decides between them.
    pub fn jumps(&self) -> bool {
        match self {
            Op::Unary(function) => function.jumps(),
            Op::Step | Op::FloorDiv { .. } | Op::ArgMax { .. } => true,
            _ => false,
        }
    }

    /// Short name for tables and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(InputKind::Tokens { .. }) => "Tokens",
            Op::Input(InputKind::Float) => "Input",
            Op::Input(InputKind::Mask) => "Mask",
            Op::Input(InputKind::Integer { .. }) => "Integer",
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
            Op::Softmax { .. } => "Softmax",
            Op::Pick { .. } => "Pick",
            Op::MatMul { .. } => "MatMul",
            Op::Sum { .. } => "Sum",
            Op::Max { .. } => "Max",
            Op::ArgMax { .. } => "ArgMax",
            Op::Step => "Step",
            Op::FloorDiv { .. } => "FloorDiv",
            Op::Quotient => "Quotient",
            Op::Within { .. } => "Within",
            Op::Bits { .. } => "Bits",
            Op::TokenSum { .. } => "TokenSum",
            Op::TokenMean => "TokenMean",
            Op::Output => "Output",
        }
    }
}

//! Integer primitives.
//!
//! Every value is a matrix of integers `[tokens, features]`. `b` below is the model's `limb_bits`: the width of the
//! range table that proofs look limbs up in.

use serde::{Deserialize, Serialize};

/// One summand of an [`Op::Affine`] row: `coef * inputs[input][t, feature]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Term {
    /// Operand index.
    pub input: u32,
    /// Feature of that operand.
    pub feature: u32,
    /// Factor.
    pub coef: i64,
}

/// An integer primitive. Operands are the node's `inputs`, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// Port of the layer: a committed boundary tensor (or a public one, by its [`super::Role`]).
    Input {
        /// Index into the layer's `inputs`.
        port: u32,
    },
    /// `raw[t, j] = table[token[t], j]`; `weight` is `[vocab, features]`. The operand is a token input (1 feature).
    Embed {
        /// Index into the layer's weights.
        weight: u32,
        /// Rows of the table.
        vocab: u32,
    },
    /// `raw[t, j] = w[t, j]`: hidden constants that differ per token; `weight` is `[tokens, features]`. No operand.
    TokenBias {
        /// Index into the layer's weights.
        weight: u32,
    },
    /// `raw[t, j] = sum_i x[t, i] w[i, j] + bias[j]`; `weight` is `[in, features]`, `bias` is `[1, features]`.
    Linear {
        /// Index into the layer's weights.
        weight: u32,
        /// Index into the layer's weights.
        bias: Option<u32>,
    },
    /// Public structural constants, `rows` = 1 (every token alike) or `tokens`; row-major `[rows, features]`.
    Const {
        /// 1 or the number of tokens.
        rows: u32,
        /// Row-major data.
        data: Vec<i64>,
    },
    /// Public per-layer constant: `params[first + j]` for every token.
    Param {
        /// Index of the first parameter; `features` consecutive ones are read.
        first: u32,
    },
    /// `out[t, j] = sum rows[j]`: views, sums, broadcasts, reductions over features.
    Affine {
        /// One sum per output feature.
        rows: Vec<Vec<Term>>,
    },
    /// `y = floor((x + 2^(s-1)) / 2^s)` with `s = limbs * b`; then, if `clamp`, limited to `[-2^(b-1), 2^(b-1))`
    /// (`out_limbs` must be 1). Without `clamp`, y must lie in `[-2^(m b - 1), 2^(m b - 1))`, m = `out_limbs`.
    Requant {
        /// Limbs dropped.
        limbs: u32,
        /// Limbs of the result.
        out_limbs: u32,
        /// Saturate instead of requiring the range.
        clamp: bool,
    },
    /// `y = table[x + 2^(b-1)]` for x in `[-2^(b-1), 2^(b-1))`. The operand is an [`Op::Requant`] with one output
    /// limb.
    Table {
        /// Index into the layer's tables, each of `2^b` entries.
        table: u32,
    },
    /// Elementwise product of two operands of one width.
    Mul,
    /// `r = floor(C / z)` for `z >= 1`, C = `params[param]`.
    Recip {
        /// Index of C.
        param: u32,
    },
    /// `r = floor(sqrt(C / v))` for `v >= 1`: the largest r with `r^2 v <= C`, C = `params[param]`.
    RSqrt {
        /// Index of C.
        param: u32,
    },
    /// `raw[t, h T + u] = sum_c q[t, h hd + c] k[u, kv(h) hd + c]`, `kv(h) = h / (heads / kv_heads)`.
    Scores {
        /// Query heads.
        heads: u32,
        /// Key heads.
        kv_heads: u32,
        /// Features per head.
        head_dim: u32,
    },
    /// Unnormalised softmax over the T keys of each head. With `s = floor((x + 2^(S-1)) / 2^S)`, `S = limbs * b`,
    /// `m[t, h] = max over visible u of s[t, h T + u]`, the result is `table[min(m - s, 2^b - 1)]` where u is visible
    /// and 0 elsewhere. `table[2^b - 1]` must be 0.
    Attend {
        /// Heads; the operand has `heads * tokens` features.
        heads: u32,
        /// Index into the layer's tables: `2^b` entries over the distance from the maximum.
        table: u32,
        /// Limbs dropped from the raw score.
        limbs: u32,
        /// Limbs that hold `m - s - min(m - s, 2^b - 1)`; 0 when that is impossible.
        over_limbs: u32,
        /// Whether u is visible only for `u <= t`.
        causal: bool,
    },
    /// `raw[t, h hd + c] = sum_u e[t, h T + u] v[u, kv(h) hd + c]`.
    Context {
        /// Query heads.
        heads: u32,
        /// Value heads.
        kv_heads: u32,
        /// Features per head.
        head_dim: u32,
    },
    /// Identity that proves `x` in `[-2^(limbs b - 1), 2^(limbs b - 1))`: for private inputs.
    Range {
        /// Limbs.
        limbs: u32,
    },
    /// `out[t, 0] =` the lowest index of the largest feature; differences proven over `limbs` limbs.
    ArgMax {
        /// Limbs of the differences.
        limbs: u32,
    },
    /// Port of the layer: writes the operand to a boundary tensor.
    Output {
        /// Index into the layer's `outputs`.
        port: u32,
    },
}

impl Op {
    /// Short name for tables and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "Input",
            Op::Embed { .. } => "Embed",
            Op::TokenBias { .. } => "TokenBias",
            Op::Linear { .. } => "Linear",
            Op::Const { .. } => "Const",
            Op::Param { .. } => "Param",
            Op::Affine { .. } => "Affine",
            Op::Requant { .. } => "Requant",
            Op::Table { .. } => "Table",
            Op::Mul => "Mul",
            Op::Recip { .. } => "Recip",
            Op::RSqrt { .. } => "RSqrt",
            Op::Scores { .. } => "Scores",
            Op::Attend { .. } => "Attend",
            Op::Context { .. } => "Context",
            Op::Range { .. } => "Range",
            Op::ArgMax { .. } => "ArgMax",
            Op::Output { .. } => "Output",
        }
    }
}

//! Integer primitives.
//!
//! Every value is a matrix of integers `[tokens, features]`. `b` below is the model's `limb_bits`: the width of the
//! range table that proofs look limbs up in.

use super::gadgets::Gadget;
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
    /// `raw[t, p n + j] = table[id[t, p], j]`; `weight` is `[vocab, n]`. The operand's features are ids in
    /// `[0, vocab)`, one for each of its positions p.
    Embed {
        /// Index into the layer's weights.
        weight: u32,
        /// Rows of the table.
        vocab: u32,
    },
    /// `raw[t, j] = w[t, j]`, or `w[0, j]` for every token: hidden constants; `weight` is `[tokens, features]` or
    /// `[1, features]`. No operand.
    TokenBias {
        /// Index into the layer's weights.
        weight: u32,
    },
    /// `raw[t, p n + j] = sum_i x[t, p k + i] w[i, j] + bias[j]` for p in `0..positions`; `weight` is `[k, n]`, `bias`
    /// is `[1, n]`. One matrix serves all positions, as in a convolution over patches.
    Linear {
        /// Index into the layer's weights.
        weight: u32,
        /// Index into the layer's weights.
        bias: Option<u32>,
        /// Rows of the matrix product within one token, at least 1.
        positions: u32,
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
    /// `y = table[x + 2^(b-1)]` for x in `[-2^(b-1), 2^(b-1))`.
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
    /// Unnormalised softmax over each of several groups of consecutive features: `keys[g]` of them belong to group g.
    /// With `s = floor((x + 2^(S-1)) / 2^S)`, `S = limbs * b`, and `m[t, g]` the greatest s among the visible keys of
    /// the group, the result is `table[min(m - s, 2^b - 1)]` at visible keys and 0 elsewhere. `table[2^b - 1]` must
    /// be 0.
    Attend {
        /// Features of each group, at least 1; the operand has as many features as they add up to.
        keys: Vec<u32>,
        /// Index into the layer's tables: `2^b` entries over the distance from the maximum.
        table: u32,
        /// Limbs dropped from the raw score.
        limbs: u32,
        /// Limbs that hold `m - s - min(m - s, 2^b - 1)`; 0 when that is impossible.
        over_limbs: u32,
        /// Whether key u of a group is visible only for `u <= t`; every group then has T keys. Otherwise all are.
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
    /// `out[t, g] =` the lowest index, within the group, of the greatest feature of group g: the operand's features are
    /// `groups` equal groups. The greatest less any other of its group is in `[0, 2^(limbs b))`. With two operands of one
    /// width it is that of their sum, the scores and their noise.
    ArgMax {
        /// Groups.
        groups: u32,
        /// Limbs of the differences.
        limbs: u32,
    },
    /// Port of the layer: writes the operand to a boundary tensor.
    Output {
        /// Index into the layer's `outputs`.
        port: u32,
    },
    /// An op of the registry: its struct says what it means.
    Gadget(Gadget),
    /// `raw[t, p n + j] = x[t, p n + j] w[j] + bias[j]` for p in `0..positions`; `weight` is `[n, 1]`, `bias` is `[1, n]`.
    /// The diagonal of a matrix that has nothing else, the same at all positions.
    Diagonal {
        /// Index into the layer's weights.
        weight: u32,
        /// Index into the layer's weights.
        bias: Option<u32>,
        /// Stretches of features, at least 1.
        positions: u32,
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
            Op::Diagonal { .. } => "Diagonal",
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
            Op::Gadget(gadget) => gadget.meaning().name(),
        }
    }

    /// Matrices that it reads, as indices into the layer's weights.
    pub fn weights(&self) -> Vec<u32> {
        match self {
            Op::Embed { weight, .. } | Op::TokenBias { weight } => vec![*weight],
            Op::Linear { weight, bias, .. } | Op::Diagonal { weight, bias, .. } => {
                bias.iter().chain([weight]).copied().collect()
            }
            Op::Input { .. } | Op::Const { .. } | Op::Param { .. } | Op::Affine { .. } | Op::Requant { .. } => {
                Vec::new()
            }
            Op::Table { .. } | Op::Mul | Op::Recip { .. } | Op::RSqrt { .. } | Op::Scores { .. } => Vec::new(),
            Op::Attend { .. } | Op::Context { .. } | Op::Range { .. } | Op::ArgMax { .. } => Vec::new(),
            Op::Output { .. } | Op::Gadget(_) => Vec::new(),
        }
    }
}

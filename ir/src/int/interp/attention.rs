//! `Scores`, `Attend` and `Context`.

use super::{
    Fault, par_rows,
    requant::round_shift,
    rows::{dot, narrow, peak},
};

/// Head geometry.
pub(in crate::int) struct Dims {
    pub tokens: usize,
    pub heads: usize,
    kv_heads: usize,
    pub head_dim: usize,
}

impl Dims {
    pub fn new(tokens: usize, heads: u32, kv_heads: u32, head_dim: u32) -> Self {
        Dims { tokens, heads: heads as usize, kv_heads: kv_heads as usize, head_dim: head_dim as usize }
    }

    /// Key/value head read by query head `h`.
    pub fn kv(&self, h: usize) -> usize {
        h / (self.heads / self.kv_heads)
    }
}

/// `q k^T` per head.
pub(super) fn scores(dims: &Dims, q: &[i64], k: &[i64]) -> Result<Vec<i64>, Fault> {
    let (tokens, hd) = (dims.tokens, dims.head_dim);
    let k_peak = u128::from(peak(k));
    par_rows(tokens, dims.heads * tokens, |t, row| {
        for (h, out) in row.chunks_exact_mut(tokens).enumerate() {
            let qs = &q[(t * dims.heads + h) * hd..][..hd];
            let bound = u128::from(peak(qs)) * k_peak * hd as u128;
            for (u, o) in out.iter_mut().enumerate() {
                let ks = &k[(u * dims.kv_heads + dims.kv(h)) * hd..][..hd];
                *o = narrow(dot(qs.iter().copied().zip(ks.iter().copied()), bound), t, h * tokens + u)?;
            }
        }
        Ok(())
    })
}

/// `e v` per head.
pub(super) fn context(dims: &Dims, e: &[i64], v: &[i64]) -> Result<Vec<i64>, Fault> {
    let (tokens, hd) = (dims.tokens, dims.head_dim);
    let v_peak = u128::from(peak(v));
    par_rows(tokens, dims.heads * hd, |t, row| {
        for (h, out) in row.chunks_exact_mut(hd).enumerate() {
            let es = &e[(t * dims.heads + h) * tokens..][..tokens];
            let bound = u128::from(peak(es)) * v_peak * tokens as u128;
            for (c, o) in out.iter_mut().enumerate() {
                let vs = (0..tokens).map(|u| v[(u * dims.kv_heads + dims.kv(h)) * hd + c]);
                *o = narrow(dot(es.iter().copied().zip(vs), bound), t, h * hd + c)?;
            }
        }
        Ok(())
    })
}

/// The cells of one softmax row (one token, one head). Every vector has one entry per key; entries of invisible keys
/// are 0. For visible ones: `x + 2^(S-1) = shifted 2^S + remainder` and `max - shifted = distance + over`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttendRow {
    /// Largest shifted score among the visible keys.
    pub max: i64,
    /// Shifted scores.
    pub shifted: Vec<i64>,
    /// Remainders of the shift, in `[0, 2^S)`.
    pub remainder: Vec<i64>,
    /// Table indices `min(max - shifted, table.len() - 1)`.
    pub distance: Vec<i64>,
    /// What the table's end took away, `>= 0`; non-zero only where `distance` is the last index.
    pub over: Vec<i64>,
    /// Table values.
    pub weight: Vec<i64>,
}

/// Computes one softmax row from raw scores `x` of which the first `visible >= 1` keys are visible.
pub fn attend_row(x: &[i64], visible: usize, table: &[i64], shift: u32) -> AttendRow {
    let n = x.len();
    let zeros = || vec![0i64; n];
    let mut row = AttendRow {
        max: i64::MIN,
        shifted: zeros(),
        remainder: zeros(),
        distance: zeros(),
        over: zeros(),
        weight: zeros(),
    };
    for (u, &v) in x.iter().enumerate().take(visible) {
        (row.shifted[u], row.remainder[u]) = round_shift(v, shift);
        row.max = row.max.max(row.shifted[u]);
    }
    for u in 0..visible.min(n) {
        let full = row.max - row.shifted[u];
        row.distance[u] = full.min(table.len() as i64 - 1);
        row.over[u] = full - row.distance[u];
        row.weight[u] = table[row.distance[u] as usize];
    }
    row
}

/// Unnormalised softmax of all groups, which have `keys` features each.
pub(super) fn attend(
    tokens: usize,
    keys: &[u32],
    x: &[i64],
    table: &[i64],
    shift: u32,
    over_bits: u32,
    causal: bool,
) -> Result<Vec<i64>, Fault> {
    let features = keys.iter().map(|&n| n as usize).sum();
    let limit = (1i128 << over_bits.min(62)) as i64 - 1;
    par_rows(tokens, features, |t, out| {
        for group in groups(keys) {
            let visible = if causal { t + 1 } else { group.len() };
            let first = group.start;
            let cells = attend_row(&x[t * features..][group.clone()], visible, table, shift);
            if let Some(u) = cells.over.iter().position(|&o| o > limit) {
                let value = cells.over[u].into();
                return Err(Fault { token: t, feature: first + u, value, lo: 0, hi: limit });
            }
            out[group].copy_from_slice(&cells.weight);
        }
        Ok(())
    })
}

/// The features of each group when group g has `keys[g]` of them.
pub fn groups(keys: &[u32]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    keys.iter().scan(0, |end, &n| {
        let start = *end;
        *end += n as usize;
        Some(start..*end)
    })
}

//! Evaluation by tokens, and exact sums.

use crate::int::interp::{Fault, LIMIT};
use rayon::prelude::*;

/// Fills a `[tokens, features]` matrix row by row; `f(token, row)` writes one row.
pub fn par_rows<F>(tokens: usize, features: usize, f: F) -> Result<Vec<i64>, Fault>
where
    F: Fn(usize, &mut [i64]) -> Result<(), Fault> + Sync,
{
    let mut out = vec![0i64; tokens * features];
    if features > 0 {
        out.par_chunks_mut(features).enumerate().try_for_each(|(t, row)| f(t, row))?;
    }
    Ok(out)
}

/// An exact sum as i64, or a fault at (`token`, `feature`).
pub fn narrow(value: i128, token: usize, feature: usize) -> Result<i64, Fault> {
    i64::try_from(value).map_err(|_| Fault { token, feature, value, lo: -LIMIT, hi: LIMIT })
}

/// Largest magnitude in a row, 0 when empty.
pub fn peak(row: &[i64]) -> u64 {
    row.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0)
}

/// `sum a_i b_i`, exact. `bound` is an upper bound of `sum |a_i b_i|`; below 2^63 the sum runs in i64.
pub fn dot(pairs: impl Iterator<Item = (i64, i64)>, bound: u128) -> i128 {
    if bound < 1 << 63 { pairs.map(|(a, b)| a * b).sum::<i64>().into() } else { wide(pairs) }
}

fn wide(pairs: impl Iterator<Item = (i64, i64)>) -> i128 {
    pairs.map(|(a, b)| i128::from(a) * i128::from(b)).sum()
}

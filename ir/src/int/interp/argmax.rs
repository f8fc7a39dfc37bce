//! `ArgMax`.

use super::{Fault, par_rows};
use std::borrow::Cow;

/// The lowest index of the largest value and the differences `max - x_j >= 0`.
pub fn row(x: &[i64]) -> (usize, Vec<i64>) {
    let mut best = 0;
    for (j, v) in x.iter().enumerate() {
        if *v > x[best] {
            best = j;
        }
    }
    let max = x.get(best).copied().unwrap_or(0);
    (best, x.iter().map(|v| max - v).collect())
}

/// The operand, or the sum of both.
pub fn sum<'x>(args: &[&'x [i64]]) -> Cow<'x, [i64]> {
    match *args {
        [x, noise] => x.iter().zip(noise).map(|(x, noise)| x.saturating_add(*noise)).collect(),
        _ => Cow::Borrowed(args.first().copied().unwrap_or_default()),
    }
}

/// The index of the maximum within each of `groups` equal groups of each token; differences must fit `bits`.
pub(super) fn argmax(
    tokens: usize,
    features: usize,
    groups: usize,
    args: &[&[i64]],
    bits: u32,
) -> Result<Vec<i64>, Fault> {
    let (width, x) = (features / groups, sum(args));
    let limit = (1i128 << bits.min(62)) as i64 - 1;
    par_rows(tokens, groups, |t, out| {
        for (g, (winner, group)) in out.iter_mut().zip(x[t * features..].chunks_exact(width)).enumerate() {
            let (best, gaps) = row(group);
            if let Some(j) = gaps.iter().position(|&gap| gap > limit) {
                return Err(Fault { token: t, feature: g * width + j, value: gaps[j].into(), lo: 0, hi: limit });
            }
            *winner = best as i64;
        }
        Ok(())
    })
}

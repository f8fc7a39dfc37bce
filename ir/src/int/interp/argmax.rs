//! `ArgMax`.

use super::{Fault, par_rows};

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

/// The index of the maximum of each token; differences must fit `bits`.
pub(super) fn argmax(tokens: usize, features: usize, x: &[i64], bits: u32) -> Result<Vec<i64>, Fault> {
    par_rows(tokens, 1, |t, out| {
        let (best, gaps) = row(&x[t * features..(t + 1) * features]);
        let limit = (1i128 << bits.min(62)) as i64 - 1;
        if let Some(j) = gaps.iter().position(|&g| g > limit) {
            return Err(Fault { token: t, feature: j, value: gaps[j].into(), lo: 0, hi: limit });
        }
        out[0] = best as i64;
        Ok(())
    })
}

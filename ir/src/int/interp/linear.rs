//! `Linear`, `Diagonal` and `Embed`.

use super::{
    Fault, par_rows,
    rows::{narrow, peak},
};

/// Row `token` of the table for each token id.
pub fn embed(tokens: &[i64], table: &[i32], vocab: usize, features: usize) -> Result<Vec<i64>, Fault> {
    par_rows(tokens.len(), features, |t, row| {
        let id = tokens[t];
        let index = usize::try_from(id).ok().filter(|&i| i < vocab);
        let index = index.ok_or(Fault { token: t, feature: 0, value: id.into(), lo: 0, hi: vocab as i64 - 1 })?;
        for (o, &w) in row.iter_mut().zip(&table[index * features..]) {
            *o = w.into();
        }
        Ok(())
    })
}

/// `x W + bias` with `W` row-major `[inner, features]`.
pub fn linear(
    tokens: usize,
    x: &[i64],
    inner: usize,
    w: &[i32],
    bias: Option<&[i32]>,
    features: usize,
) -> Result<Vec<i64>, Fault> {
    let wmax = w.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
    par_rows(tokens, features, |t, row| {
        let xs = &x[t * inner..(t + 1) * inner];
        if u128::from(peak(xs)) * u128::from(wmax) * (inner as u128) < 1 << 62 {
            for (&xv, wr) in xs.iter().zip(w.chunks_exact(features)) {
                for (o, &wv) in row.iter_mut().zip(wr) {
                    *o += xv * i64::from(wv);
                }
            }
            if let Some(bias) = bias {
                row.iter_mut().zip(bias).for_each(|(o, &v)| *o += i64::from(v));
            }
            return Ok(());
        }
        for (j, o) in row.iter_mut().enumerate() {
            let sum: i128 = xs.iter().enumerate().map(|(i, &v)| i128::from(v) * i128::from(w[i * features + j])).sum();
            *o = narrow(sum + bias.map_or(0, |v| v[j].into()), t, j)?;
        }
        Ok(())
    })
}

/// `x w + bias` element by element; w and the bias repeat over the features.
pub fn diagonal(tokens: usize, x: &[i64], w: &[i32], bias: Option<&[i32]>, features: usize) -> Result<Vec<i64>, Fault> {
    par_rows(tokens, features, |t, row| {
        for (j, o) in row.iter_mut().enumerate() {
            let product = i128::from(x[t * features + j]) * i128::from(w[j % w.len()]);
            *o = narrow(product + bias.map_or(0, |b| b[j % b.len()].into()), t, j)?;
        }
        Ok(())
    })
}

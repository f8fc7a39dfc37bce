//! Elementwise ops.

use super::{Fault, par_rows, rows::narrow};

/// `f` on every element; an `Err(value)` of `f` becomes a fault at that place.
pub fn map<F>(tokens: usize, features: usize, x: &[i64], f: F) -> Result<Vec<i64>, Fault>
where
    F: Fn(i64) -> Result<i64, i64> + Sync,
{
    par_rows(tokens, features, |t, row| {
        for (j, o) in row.iter_mut().enumerate() {
            let fault = |v: i64| Fault { token: t, feature: j, value: v.into(), lo: 0, hi: super::LIMIT };
            *o = f(x[t * features + j]).map_err(fault)?;
        }
        Ok(())
    })
}

/// Elementwise product.
pub fn mul(tokens: usize, features: usize, a: &[i64], b: &[i64]) -> Result<Vec<i64>, Fault> {
    par_rows(tokens, features, |t, row| {
        for (j, o) in row.iter_mut().enumerate() {
            let p = t * features + j;
            *o = narrow(i128::from(a[p]) * i128::from(b[p]), t, j)?;
        }
        Ok(())
    })
}

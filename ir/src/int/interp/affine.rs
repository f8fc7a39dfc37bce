//! `Affine`.

use super::{Fault, par_rows, rows::narrow};
use crate::int::Term;

/// One sum of scaled operand features per output feature.
pub fn affine(tokens: usize, args: &[&[i64]], widths: &[usize], rows: &[Vec<Term>]) -> Result<Vec<i64>, Fault> {
    par_rows(tokens, rows.len(), |t, out| {
        for (j, (o, terms)) in out.iter_mut().zip(rows).enumerate() {
            let sum = terms.iter().map(|term| {
                let i = term.input as usize;
                i128::from(term.coef) * i128::from(args[i][t * widths[i] + term.feature as usize])
            });
            *o = narrow(sum.sum(), t, j)?;
        }
        Ok(())
    })
}

//! Elementwise products.

use super::rows::{narrow as exact, par_rows};
use super::{Meaning, Misfit, Numbers, Site, operands};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded, narrow, patterns};
use serde::{Deserialize, Serialize};

/// Elementwise product of two operands of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mul;

impl Meaning for Mul {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        operands(site, 2)?;
        if site.widths == [site.features; 2] { Ok(()) } else { Err(Misfit::OperandWidths) }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        par_rows(site.tokens, site.features, |t, row| {
            for (j, o) in row.iter_mut().enumerate() {
                let at = t * site.features + j;
                *o = exact(i128::from(args[0][at]) * i128::from(args[1][at]), t, j)?;
            }
            Ok(())
        })
    }

    fn range(&self, site: &Site, around: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (scope, node, earlier) = (around.scope, site.node, around.earlier);
        patterns::normalised(scope, node, earlier)
            .or_else(|| patterns::averaged(scope, node, earlier))
            .or_else(|| patterns::averaged_rows(scope, node, earlier))
            .or_else(|| patterns::shares(scope, node, earlier))
            .unwrap_or_else(|| products(args[0], args[1]))
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::most(operands).max(Sees::Past)
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }
}

/// The range of products of factors that have nothing to do with each other.
fn products(a: &Range, b: &Range) -> Result<Range, Unbounded> {
    let n = a.lo.len();
    // Squares are never negative.
    let square = std::ptr::eq(a, b);
    let (mut lo, mut hi) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for j in 0..n {
        let p = |x: i64, y: i64| i128::from(x) * i128::from(y);
        let corners = [p(a.lo[j], b.lo[j]), p(a.lo[j], b.hi[j]), p(a.hi[j], b.lo[j]), p(a.hi[j], b.hi[j])];
        let least = corners.iter().copied().min().unwrap_or(0);
        lo.push(narrow(if square { least.max(0) } else { least })?);
        hi.push(narrow(corners.iter().copied().max().unwrap_or(0))?);
    }
    let widest = |r: &Range| (0..n).map(|j| r.peak(j)).fold(0.0, f64::max);
    let norm = (a.norm * widest(b)).min(b.norm * widest(a));
    Ok(Range::new(lo, hi).with_norm(norm))
}

//! Products of two activations.

use super::rows::narrow as exact;
use super::{Meaning, Misfit, Numbers, Site};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded, narrow};
use serde::{Deserialize, Serialize};

/// `raw[(b rows + r) cols + c] = sum_i x[(b rows + r) inner + i] z[(b inner + i) cols + c]` for b in `0..batch`, with one
/// token. The operands are x and z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MatMul {
    /// Independent products.
    pub batch: u32,
    /// Rows of x and of the result.
    pub rows: u32,
    /// Columns of x, rows of z.
    pub inner: u32,
    /// Columns of z and of the result.
    pub cols: u32,
}

impl MatMul {
    fn sizes(&self) -> [usize; 4] {
        [self.batch, self.rows, self.inner, self.cols].map(|n| n as usize)
    }
}

impl Meaning for MatMul {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        let product = |sizes: [u32; 3]| sizes.iter().try_fold(1usize, |p, &n| p.checked_mul(n as usize));
        let (batch, rows, inner, cols) = (self.batch, self.rows, self.inner, self.cols);
        let wanted = [[batch, rows, inner], [batch, inner, cols], [batch, rows, cols]].map(product);
        if site.tokens != 1 {
            return Err(Misfit::ProductOfTokens);
        }
        match site.widths[..] {
            [x, z] if wanted == [Some(x), Some(z), Some(site.features)] && inner > 0 => Ok(()),
            _ => Err(Misfit::Product { batch, rows, inner, cols }),
        }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            let [_, rows, inner, cols] = self.sizes();
            let (x, z) = (args[0], args[1]);
            for (r, row) in out.chunks_exact_mut(cols).enumerate() {
                let xs = &x[r * inner..][..inner];
                let zs = &z[r / rows * inner * cols..][..inner * cols];
                for (c, y) in row.iter_mut().enumerate() {
                    let terms = xs.iter().enumerate().map(|(i, &v)| i128::from(v) * i128::from(zs[i * cols + c]));
                    *y = exact(terms.sum(), 0, r * cols + c)?;
                }
            }
            Ok(())
        })
    }

    fn range(&self, _: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let [batch, rows, inner, cols] = self.sizes();
        let (x, z) = (args[0], args[1]);
        let (mut lo, mut hi) = (Vec::new(), Vec::new());
        for at in 0..batch * rows * cols {
            let (row, c) = (at / cols, at % cols);
            let (mut least, mut most) = (0i128, 0i128);
            for i in 0..inner {
                let (f, g) = (row * inner + i, (row / rows * inner + i) * cols + c);
                let product = |a: i64, b: i64| i128::from(a) * i128::from(b);
                let (a, b) = ([x.lo[f], x.hi[f]], [z.lo[g], z.hi[g]]);
                let corners = [product(a[0], b[0]), product(a[0], b[1]), product(a[1], b[0]), product(a[1], b[1])];
                least += corners.iter().copied().fold(i128::MAX, i128::min);
                most += corners.iter().copied().fold(i128::MIN, i128::max);
            }
            lo.push(narrow(least)?);
            hi.push(narrow(most)?);
        }
        // The Frobenius norm of a product is at most the product of the norms.
        Ok(Range::new(lo, hi).with_norm(x.norm * z.norm))
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, _: &Graph) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

//! Sums of values by attention weights.

use super::heads::Heads;
use super::rows::{dot, narrow as exact, par_rows, peak};
use super::{Meaning, Misfit, Numbers, Site};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded, narrow};
use serde::{Deserialize, Serialize};

/// `raw[t, h hd + c] = sum_u e[t, h T + u] v[u, kv(h) hd + c]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Context {
    /// Query heads.
    pub heads: u32,
    /// Value heads.
    pub kv_heads: u32,
    /// Features per head.
    pub head_dim: u32,
}

impl Context {
    fn heads(&self, site: &Site) -> Heads {
        Heads::new(site, self.heads, self.kv_heads, self.head_dim)
    }
}

impl Meaning for Context {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        let heads = self.heads(site);
        heads.check(site, [heads.query * site.tokens, heads.kv * heads.dim], heads.query * heads.dim)
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let (heads, e, v) = (self.heads(site), args[0], args[1]);
        let (tokens, hd) = (heads.tokens, heads.dim);
        let v_peak = u128::from(peak(v));
        par_rows(tokens, heads.query * hd, |t, row| {
            for (h, out) in row.chunks_exact_mut(hd).enumerate() {
                let es = &e[(t * heads.query + h) * tokens..][..tokens];
                let bound = u128::from(peak(es)) * v_peak * tokens as u128;
                for (c, o) in out.iter_mut().enumerate() {
                    let vs = (0..tokens).map(|u| v[(u * heads.kv + heads.of(h)) * hd + c]);
                    *o = exact(dot(es.iter().copied().zip(vs), bound), t, h * hd + c)?;
                }
            }
            Ok(())
        })
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (heads, e, v) = (self.heads(site), args[0], args[1]);
        let (mut lo, mut hi) = (Vec::new(), Vec::new());
        for h in 0..heads.query {
            let keys = h * heads.tokens..(h + 1) * heads.tokens;
            for c in heads.features(heads.of(h)) {
                // Weights need not be those of a softmax, and may be negative.
                let ends =
                    |u: usize| [e.lo[u], e.hi[u]].map(|e| [v.lo[c], v.hi[c]].map(|v| i128::from(e) * i128::from(v)));
                let of = |u: usize, pick: fn(i128, i128) -> i128| ends(u).into_iter().flatten().fold(0, pick);
                let total = |pick| narrow(keys.clone().map(|u| of(u, pick)).fold(0, i128::saturating_add));
                lo.push(total(i128::min)?);
                hi.push(total(i128::max)?);
            }
        }
        Ok(Range::new(lo, hi))
    }

    /// Of weights that hide what follows, and values of the past.
    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        let past = operands.first() == Some(&Sees::Hiding) && Sees::most(operands) <= Sees::Past;
        if past { Sees::Past } else { Sees::All }
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }
}

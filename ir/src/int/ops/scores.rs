//! Products of queries and keys.

use super::heads::Heads;
use super::rows::{dot, narrow as exact, par_rows, peak};
use super::{Meaning, Misfit, Numbers, Site};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Ellipsoid, Range, SLACK, Square, Unbounded, narrow};
use serde::{Deserialize, Serialize};

/// `raw[t, h T + u] = sum_c q[t, h hd + c] k[u, kv(h) hd + c]`, `kv(h) = h / (heads / kv_heads)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scores {
    /// Query heads.
    pub heads: u32,
    /// Key heads.
    pub kv_heads: u32,
    /// Features per head.
    pub head_dim: u32,
}

impl Scores {
    fn heads(&self, site: &Site) -> Heads {
        Heads::new(site, self.heads, self.kv_heads, self.head_dim)
    }
}

impl Meaning for Scores {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        let heads = self.heads(site);
        heads.check(site, [heads.query * heads.dim, heads.kv * heads.dim], heads.query * site.tokens)
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let (heads, q, k) = (self.heads(site), args[0], args[1]);
        let (tokens, hd) = (heads.tokens, heads.dim);
        let k_peak = u128::from(peak(k));
        par_rows(tokens, heads.query * tokens, |t, row| {
            for (h, out) in row.chunks_exact_mut(tokens).enumerate() {
                let qs = &q[(t * heads.query + h) * hd..][..hd];
                let bound = u128::from(peak(qs)) * k_peak * hd as u128;
                for (u, o) in out.iter_mut().enumerate() {
                    let ks = &k[(u * heads.kv + heads.of(h)) * hd..][..hd];
                    *o = exact(dot(qs.iter().copied().zip(ks.iter().copied()), bound), t, h * tokens + u)?;
                }
            }
            Ok(())
        })
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (heads, q, k) = (self.heads(site), args[0], args[1]);
        let (mut lo, mut hi) = (Vec::new(), Vec::new());
        let mut spread: f64 = 0.0;
        for h in 0..heads.query {
            let (qs, ks) = (heads.features(h), heads.features(heads.of(h)));
            let product: f64 = qs.clone().zip(ks.clone()).map(|(a, b)| q.peak(a) * k.peak(b)).sum();
            let norm = |r: &Range, s: &std::ops::Range<usize>| match &r.ellipsoid {
                Some(f) => f.norm(s.start, s.end).min(r.norm),
                None => r.norm,
            };
            let mut bound = product.min(norm(q, &qs) * norm(k, &ks));
            let mut gap = 2.0 * bound;
            if let (Some(qf), Some(kf)) = (&q.ellipsoid, &k.ellipsoid) {
                let (b, g) = bilinear(qf, kf, &qs, &ks, q, k);
                bound = bound.min(b);
                gap = gap.min(g);
            }
            let bound = narrow((bound * SLACK).ceil() as i128)?;
            lo.extend(std::iter::repeat_n(-bound, heads.tokens));
            hi.extend(std::iter::repeat_n(bound, heads.tokens));
            spread = spread.max(gap * SLACK);
        }
        Ok(Range { spread: Some(spread), ..Range::new(lo, hi) })
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        if Sees::most(operands) <= Sees::Past { Sees::Key } else { Sees::All }
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn summary(&self, _: &Graph) -> Option<String> {
        let Scores { heads, kv_heads, head_dim } = self;
        Some(format!("attention of {heads} heads over {kv_heads} key heads of {head_dim} features"))
    }
}

/// Bounds on `|q k|` and on `|q (k - k')|` for one head, both sides images of balls.
fn bilinear(
    qf: &Ellipsoid,
    kf: &Ellipsoid,
    qs: &std::ops::Range<usize>,
    ks: &std::ops::Range<usize>,
    q: &Range,
    k: &Range,
) -> (f64, f64) {
    let dim = qs.len();
    let rows = |f: &Ellipsoid, s: &std::ops::Range<usize>| s.clone().map(|j| f.row(j)).collect::<Vec<_>>();
    let (qm, km) = (rows(qf, qs), rows(kf, ks));
    let gram = |m: &[Vec<f32>], inner| Square::gram(dim, inner, |i, c| m[i][c].into());
    let product = gram(&qm, qf.inner).times(&gram(&km, kf.inner));
    let (sq, sk) = (qf.scale.abs() * qf.radius, kf.scale.abs() * kf.radius);
    let both = product.largest_eigenvalue().sqrt() * sq * sk;
    // |sum_c centre_c row_c| for the centre of one side and the matrix of the other.
    let cross = |centre: &[f64], m: &[Vec<f32>]| {
        let inner = m.first().map_or(0, Vec::len);
        let sum = |i: usize| centre.iter().zip(m).map(|(c, row)| c * f64::from(row[i])).sum::<f64>();
        (0..inner).map(|i| sum(i).powi(2)).sum::<f64>().sqrt()
    };
    let (cq, ck) = (&qf.centre[qs.clone()], &kf.centre[ks.clone()]);
    let q_centre = cross(cq, &km) * sk;
    let k_centre = cross(ck, &qm) * sq;
    let centres = cq.iter().zip(ck).map(|(a, b)| a * b).sum::<f64>().abs();
    let pairs = || qs.clone().zip(ks.clone());
    let k_noise: f64 = pairs().map(|(a, b)| q.peak(a) * kf.noise[b]).sum();
    let q_noise: f64 = pairs().map(|(a, b)| k.peak(b) * qf.noise[a]).sum();
    let q_noise_gap: f64 = pairs().map(|(a, b)| kf.reach(b) * qf.noise[a]).sum();
    let bound = centres + q_centre + k_centre + both + k_noise + q_noise;
    (bound, 2.0 * (q_centre + both + k_noise + q_noise_gap))
}

//! `Scores`, `Attend` and `Context`.

use super::spectral::Square;
use super::{Dims, Form, Range, SLACK, Unbounded, narrow};
use crate::int::interp::attention::groups;

/// Features of head `h`.
fn head(h: usize, dim: usize) -> std::ops::Range<usize> {
    h * dim..(h + 1) * dim
}

pub(super) fn scores(dims: &Dims, q: &Range, k: &Range) -> Result<Range, Unbounded> {
    let (mut lo, mut hi) = (Vec::new(), Vec::new());
    let mut spread: f64 = 0.0;
    for h in 0..dims.heads {
        let (qs, ks) = (head(h, dims.head_dim), head(dims.kv(h), dims.head_dim));
        let product: f64 = qs.clone().zip(ks.clone()).map(|(a, b)| q.peak(a) * k.peak(b)).sum();
        let norm = |r: &Range, s: &std::ops::Range<usize>| match &r.form {
            Some(f) => f.norm(s.start, s.end).min(r.norm),
            None => r.norm,
        };
        let mut bound = product.min(norm(q, &qs) * norm(k, &ks));
        let mut gap = 2.0 * bound;
        if let (Some(qf), Some(kf)) = (&q.form, &k.form) {
            let (b, g) = bilinear(qf, kf, &qs, &ks, q, k);
            bound = bound.min(b);
            gap = gap.min(g);
        }
        let bound = narrow((bound * SLACK).ceil() as i128)?;
        lo.extend(std::iter::repeat_n(-bound, dims.tokens));
        hi.extend(std::iter::repeat_n(bound, dims.tokens));
        spread = spread.max(gap * SLACK);
    }
    Ok(Range { spread: Some(spread), ..Range::new(lo, hi) })
}

/// Bounds on `|q k|` and on `|q (k - k')|` for one head, both sides images of balls.
fn bilinear(
    qf: &Form,
    kf: &Form,
    qs: &std::ops::Range<usize>,
    ks: &std::ops::Range<usize>,
    q: &Range,
    k: &Range,
) -> (f64, f64) {
    let dim = qs.len();
    let rows = |f: &Form, s: &std::ops::Range<usize>| s.clone().map(|j| f.row(j)).collect::<Vec<_>>();
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

pub(super) fn attend(x: &Range, keys: &[u32], table: &[i64], shift: u32, over_bits: u32) -> Result<Range, Unbounded> {
    let (lo, hi) = x.bounds();
    let gap = spread(x, keys) / f64::from(shift).exp2() + 1.0;
    let most = table.len() as f64 - 1.0 + f64::from(over_bits).exp2() - 1.0;
    if gap > most {
        let what = format!("distances up to {gap:.0} are possible, table and over limbs hold {most:.0}");
        return Err(Unbounded::Domain { lo, hi, what });
    }
    let least = table.iter().copied().min().unwrap_or(0).min(0);
    let greatest = table.iter().copied().max().unwrap_or(0);
    Ok(Range::uniform(x.lo.len(), least, greatest))
}

/// Largest difference between two raw scores of one token and group; group g has `keys[g]` features.
pub fn spread(x: &Range, keys: &[u32]) -> f64 {
    let gap = |group: std::ops::Range<usize>| {
        let lo = x.lo[group.clone()].iter().min().copied().unwrap_or(0);
        let hi = x.hi[group].iter().max().copied().unwrap_or(0);
        hi as f64 - lo as f64
    };
    let widest = groups(keys).map(gap).fold(0.0, f64::max);
    x.spread.map_or(widest, |s| s.min(widest))
}

pub(super) fn context(dims: &Dims, e: &Range, v: &Range) -> Result<Range, Unbounded> {
    let (mut lo, mut hi) = (Vec::new(), Vec::new());
    for h in 0..dims.heads {
        let keys = head(h, dims.tokens);
        for c in head(dims.kv(h), dims.head_dim) {
            // Weights need not be those of a softmax, and may be negative.
            let ends = |u: usize| [e.lo[u], e.hi[u]].map(|e| [v.lo[c], v.hi[c]].map(|v| i128::from(e) * i128::from(v)));
            let of = |u: usize, pick: fn(i128, i128) -> i128| ends(u).into_iter().flatten().fold(0, pick);
            let total = |pick| narrow(keys.clone().map(|u| of(u, pick)).fold(0, i128::saturating_add));
            lo.push(total(i128::min)?);
            hi.push(total(i128::max)?);
        }
    }
    Ok(Range::new(lo, hi))
}

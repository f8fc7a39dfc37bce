//! Products by a hidden matrix.

use super::rows::{narrow as exact, par_rows, peak};
use super::{Meaning, Misfit, Numbers, Site, matrix, operands, product_in_words};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Ellipsoid, Matrix, Range, Unbounded, clip, narrow, tighten};
use serde::{Deserialize, Serialize};

/// `raw[t, p n + j] = sum_i x[t, p k + i] w[i, j] + bias[j]` for p in `0..positions`; `weight` is `[k, n]`, `bias`
/// is `[1, n]`. One matrix serves all positions, as in a convolution over patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Linear {
    /// Index into the layer's weights.
    pub weight: u32,
    /// Index into the layer's weights.
    pub bias: Option<u32>,
    /// Rows of the matrix product within one token, at least 1.
    pub positions: u32,
}

/// Columns that are transposed at a time.
const BLOCK: usize = 64;

impl Meaning for Linear {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        operands(site, 1)?;
        let (p, inner, n) = (self.positions as usize, site.widths[0], site.features);
        if p == 0 || !inner.is_multiple_of(p) || !n.is_multiple_of(p) {
            return Err(Misfit::RowPerPosition);
        }
        matrix(site, self.weight, inner / p, n / p)?;
        self.bias.map_or(Ok(()), |bias| matrix(site, bias, 1, n / p))
    }

    fn eval(&self, site: &Site, numbers: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let p = self.positions as usize;
        let (inner, n) = (site.widths[0] / p, site.features / p);
        let w = numbers.weights[self.weight as usize].as_slice();
        let bias = self.bias.map(|bias| numbers.weights[bias as usize].as_slice());
        let out = product(site.tokens * p, args[0], inner, w, bias, n);
        out.map_err(|f| Fault { token: f.token / p, feature: f.token % p * n + f.feature, ..f })
    }

    fn range(&self, site: &Site, around: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (x, positions, norms) = (args[0], self.positions as usize, around.scope.norms);
        let n = site.features / positions;
        let w = around.scope.layer.weights[self.weight as usize].as_slice();
        let bias = self.bias.map(|bias| around.scope.layer.weights[bias as usize].as_slice());
        let inner = x.lo.len() / positions;
        let bias_of = |j: usize| bias.map_or(0, |b| i64::from(b[j]));
        let mut squares = vec![0.0; n];
        for row in w.chunks_exact(n.max(1)) {
            squares.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v).powi(2));
        }
        let (mut out_lo, mut out_hi) = (Vec::with_capacity(n * positions), Vec::with_capacity(n * positions));
        for p in 0..positions {
            let part = p * inner..(p + 1) * inner;
            let x_norm = x.norm_of_part(part.start, part.end);
            let (mut lo, mut hi) = (vec![0i128; n], vec![0i128; n]);
            for (i, f) in part.enumerate() {
                let (a, b) = (i128::from(x.lo[f]), i128::from(x.hi[f]));
                for (j, &v) in w[i * n..(i + 1) * n].iter().enumerate() {
                    let (p, q) = (a * i128::from(v), b * i128::from(v));
                    lo[j] += p.min(q);
                    hi[j] += p.max(q);
                }
            }
            for j in 0..n {
                let (mut l, mut h) = (clip(lo[j]), clip(hi[j]));
                tighten(&mut l, &mut h, 0.0, squares[j].sqrt() * x_norm);
                out_lo.push(narrow(i128::from(l) + i128::from(bias_of(j)))?);
                out_hi.push(narrow(i128::from(h) + i128::from(bias_of(j)))?);
            }
        }
        let range = Range::new(out_lo, out_hi);
        let bias: Vec<f64> = (0..n).map(|j| bias_of(j) as f64).collect();
        match &x.ellipsoid {
            Some(ellipsoid) if ellipsoid.is_ball() && positions == 1 => {
                // `v` times the weights, or times what `size` makes of each.
                let image_of = |v: &[f64], size: fn(f64) -> f64| {
                    let mut sums = vec![0.0; n];
                    for (row, x) in w.chunks_exact(n.max(1)).zip(v) {
                        sums.iter_mut().zip(row).for_each(|(sum, &weight)| *sum += size(weight.into()) * x);
                    }
                    sums
                };
                let centre =
                    image_of(&ellipsoid.centre, |weight| weight).iter().zip(&bias).map(|(c, b)| c + b).collect();
                let noise = image_of(&ellipsoid.noise, f64::abs);
                let matrix = Matrix::Rows(transposed(w, n).into());
                let image = Ellipsoid { matrix, centre, noise, norms: ellipsoid.norms.clone(), ..**ellipsoid };
                Ok(image.apply(range))
            }
            _ => {
                let bias_norm = bias.iter().map(|b| b * b).sum::<f64>().sqrt() * (positions as f64).sqrt();
                let norm = norms.spectral(w, n) * x.norm + bias_norm;
                Ok(range.with_norm(norm))
            }
        }
    }

    fn weights(&self) -> Vec<u32> {
        self.bias.iter().chain([&self.weight]).copied().collect()
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, graph: &Graph) -> Option<String> {
        product_in_words("matrix", graph, self.weight, self.bias, self.positions)
    }
}

/// `x W + bias` of `tokens` rows with `W` row-major `[inner, features]`.
pub(in crate::int) fn product(
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
            *o = exact(sum + bias.map_or(0, |v| v[j].into()), t, j)?;
        }
        Ok(())
    })
}

/// The transpose of a row-major matrix with rows of `n` entries.
fn transposed(w: &[i32], n: usize) -> Vec<f32> {
    let inner = w.len() / n.max(1);
    let mut out = vec![0.0; w.len()];
    for from in (0..n).step_by(BLOCK) {
        for (i, row) in w.chunks_exact(n).enumerate() {
            for (j, &v) in row.iter().enumerate().skip(from).take(BLOCK) {
                out[j * inner + i] = v as f32;
            }
        }
    }
    out
}

//! Products by a hidden diagonal.

use super::rows::{narrow as exact, par_rows};
use super::{Meaning, Misfit, Numbers, Site, elementwise, matrix, product_in_words};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Ellipsoid, Matrix, Range, Unbounded, clip, narrow, tighten};
use serde::{Deserialize, Serialize};

/// `raw[t, p n + j] = x[t, p n + j] w[j] + bias[j]` for p in `0..positions`; `weight` is `[n, 1]`, `bias` is `[1, n]`.
/// The diagonal of a matrix that has nothing else, the same at all positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diagonal {
    /// Index into the layer's weights.
    pub weight: u32,
    /// Index into the layer's weights.
    pub bias: Option<u32>,
    /// Stretches of features, at least 1.
    pub positions: u32,
}

impl Meaning for Diagonal {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        let (p, n) = (self.positions as usize, site.features);
        if p == 0 || !n.is_multiple_of(p) {
            return Err(Misfit::Stretches);
        }
        matrix(site, self.weight, n / p, 1)?;
        self.bias.map_or(Ok(()), |bias| matrix(site, bias, 1, n / p))
    }

    fn eval(&self, site: &Site, numbers: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let (x, features) = (args[0], site.features);
        let w = numbers.weights[self.weight as usize].as_slice();
        let bias = self.bias.map(|bias| numbers.weights[bias as usize].as_slice());
        par_rows(site.tokens, features, |t, row| {
            for (j, o) in row.iter_mut().enumerate() {
                let product = i128::from(x[t * features + j]) * i128::from(w[j % w.len()]);
                *o = exact(product + bias.map_or(0, |b| b[j % b.len()].into()), t, j)?;
            }
            Ok(())
        })
    }

    fn range(&self, site: &Site, around: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (x, features) = (args[0], site.features);
        let w = around.scope.layer.weights[self.weight as usize].as_slice();
        let bias = self.bias.map(|bias| around.scope.layer.weights[bias as usize].as_slice());
        let factor = |j: usize| i64::from(w[j % w.len()]);
        let bias_of = |j: usize| bias.map_or(0, |b| i64::from(b[j % b.len()]));
        let (mut lo, mut hi) = (Vec::with_capacity(features), Vec::with_capacity(features));
        for j in 0..features {
            let ends = [x.lo[j], x.hi[j]].map(|v| i128::from(v) * i128::from(factor(j)));
            let (mut l, mut h) = (clip(ends[0].min(ends[1])), clip(ends[0].max(ends[1])));
            tighten(&mut l, &mut h, 0.0, factor(j).unsigned_abs() as f64 * x.norm);
            lo.push(narrow(i128::from(l) + i128::from(bias_of(j)))?);
            hi.push(narrow(i128::from(h) + i128::from(bias_of(j)))?);
        }
        let range = Range::new(lo, hi);
        match &x.ellipsoid {
            Some(ellipsoid) if ellipsoid.is_ball() => {
                let centre =
                    (0..features).map(|j| ellipsoid.centre[j] * factor(j) as f64 + bias_of(j) as f64).collect();
                let noise = (0..features).map(|j| ellipsoid.noise[j] * factor(j).unsigned_abs() as f64).collect();
                let entries: Vec<f32> = (0..features).map(|j| factor(j) as f32).collect();
                let matrix = Matrix::Diagonal(entries.into());
                Ok(Ellipsoid { matrix, centre, noise, norms: ellipsoid.norms.clone(), ..**ellipsoid }.apply(range))
            }
            _ => {
                let greatest = w.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
                let bias_norm = (0..features).map(|j| (bias_of(j) as f64).powi(2)).sum::<f64>().sqrt();
                Ok(range.with_norm(f64::from(greatest) * x.norm + bias_norm))
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
        product_in_words("diagonal", graph, self.weight, self.bias, self.positions)
    }
}

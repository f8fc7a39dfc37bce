//! Linear images of a ball.

use super::{Range, SLACK};

/// `y_j = centre_j + scale * sum_i matrix[j][i] x_i + e_j` for some x with `|x|_2 <= radius` and `|e_j| <= noise_j`.
#[derive(Clone, Debug)]
pub struct Form {
    /// Radius of the ball.
    pub radius: f64,
    /// Dimension of the ball.
    pub inner: usize,
    /// Factor on the matrix.
    pub scale: f64,
    /// Row-major `[features, inner]`; `None` is the identity.
    pub matrix: Option<Vec<f32>>,
    /// Image of the ball's centre.
    pub centre: Vec<f64>,
    /// Rounding that the linear part does not describe.
    pub noise: Vec<f64>,
}

impl Form {
    /// The ball itself.
    pub fn ball(features: usize, radius: f64) -> Self {
        let zeros = vec![0.0; features];
        Form { radius, inner: features, scale: 1.0, matrix: None, centre: zeros.clone(), noise: zeros }
    }

    /// Row `j` of the matrix, materialised.
    pub fn row(&self, j: usize) -> Vec<f32> {
        match &self.matrix {
            Some(m) => m[j * self.inner..(j + 1) * self.inner].to_vec(),
            None => (0..self.inner).map(|i| if i == j { 1.0 } else { 0.0 }).collect(),
        }
    }

    /// Largest `scale * |row_j . x|`.
    pub fn reach(&self, j: usize) -> f64 {
        let norm = self.matrix.as_ref().map_or(1.0, |m| norm2(&m[j * self.inner..(j + 1) * self.inner]));
        self.scale.abs() * norm * self.radius * SLACK
    }

    /// Features `picks`, each times its factor.
    pub fn pick(&self, picks: &[(usize, f64)]) -> Form {
        let matrix = picks.iter().flat_map(|&(j, c)| self.row(j).into_iter().map(move |v| v * c as f32)).collect();
        Form {
            matrix: Some(matrix),
            centre: picks.iter().map(|&(j, c)| c * self.centre[j]).collect(),
            noise: picks.iter().map(|&(j, c)| c.abs() * self.noise[j]).collect(),
            ..*self
        }
    }

    /// The form after division by `2^shift` with rounding to nearest.
    pub fn shifted(&self, shift: u32) -> Form {
        let f = (-f64::from(shift)).exp2();
        Form {
            scale: self.scale * f,
            matrix: self.matrix.clone(),
            centre: self.centre.iter().map(|c| c * f).collect(),
            noise: self.noise.iter().map(|e| e * f + 0.5).collect(),
            ..*self
        }
    }

    /// Bound on the norm of features `from..to` of a row.
    pub fn norm(&self, from: usize, to: usize) -> f64 {
        let part = |v: &[f64]| v[from..to].iter().map(|x| x * x).sum::<f64>().sqrt();
        let spectral = match &self.matrix {
            None => 1.0,
            Some(m) => spectral_norm(&m[from * self.inner..to * self.inner], self.inner),
        };
        (part(&self.centre) + self.scale.abs() * spectral * self.radius + part(&self.noise)) * SLACK
    }

    /// Tightens `range` by this form and attaches it.
    pub fn apply(self, mut range: Range) -> Range {
        for j in 0..range.lo.len() {
            super::tighten(&mut range.lo[j], &mut range.hi[j], self.centre[j], self.reach(j) + self.noise[j]);
        }
        let norm = super::norm_of(&range.lo, &range.hi).min(range.norm).min(self.norm(0, range.lo.len()));
        Range { norm, form: Some(std::sync::Arc::new(self)), ..range }
    }
}

/// Euclidean norm.
pub(super) fn norm2(v: &[f32]) -> f64 {
    v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// An upper bound on the spectral norm of the row-major matrix with rows of `inner` entries, close to the true value.
pub fn spectral_norm(m: &[f32], inner: usize) -> f64 {
    let rows = m.len() / inner.max(1);
    if rows == 0 || inner == 0 {
        return 0.0;
    }
    if let Some(greatest) = only_entries(m, inner) {
        return greatest * SLACK;
    }
    let gram = if rows <= inner {
        gram(rows, |i, k| m[i * inner + k].into(), inner)
    } else {
        gram(inner, |i, k| m[k * inner + i].into(), rows)
    };
    largest_eigenvalue(gram, rows.min(inner)).sqrt() * SLACK
}

/// The greatest magnitude in a matrix that has at most one entry in each row and column.
fn only_entries(m: &[f32], inner: usize) -> Option<f64> {
    let mut taken = vec![false; inner];
    let mut greatest = 0f64;
    for row in m.chunks_exact(inner) {
        let mut entries = row.iter().enumerate().filter(|(_, v)| **v != 0.0);
        if let Some((column, &v)) = entries.next() {
            if entries.next().is_some() || std::mem::replace(&mut taken[column], true) {
                return None;
            }
            greatest = greatest.max(v.abs().into());
        }
    }
    Some(greatest)
}

/// `n x n` matrix of the products of `n` vectors of length `len`.
pub(super) fn gram(n: usize, at: impl Fn(usize, usize) -> f64 + Sync, len: usize) -> Vec<f64> {
    use rayon::prelude::*;
    let vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..len).map(|k| at(i, k)).collect()).collect();
    let mut out = vec![0.0; n * n];
    out.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
        for (o, v) in row.iter_mut().zip(&vectors) {
            *o = vectors[i].iter().zip(v).map(|(a, b)| a * b).sum();
        }
    });
    out
}

/// Upper bound on the largest eigenvalue of a matrix whose eigenvalues are all real and `>= 0`:
/// `(tr A^p)^(1/p)` for p a power of two.
pub(super) fn largest_eigenvalue(mut a: Vec<f64>, n: usize) -> f64 {
    let squarings = if n <= 160 { 6 } else { 3 };
    let mut log = 0.0;
    let trace = |a: &[f64]| (0..n).map(|i| a[i * n + i]).sum::<f64>();
    for step in 0..=squarings {
        let t = trace(&a);
        if t <= 0.0 {
            return 0.0;
        }
        log += t.ln() / f64::from(1u32 << step);
        if step < squarings {
            a.iter_mut().for_each(|v| *v /= t);
            a = square(&a, n);
        }
    }
    log.exp() * SLACK
}

fn square(a: &[f64], n: usize) -> Vec<f64> {
    use rayon::prelude::*;
    let mut out = vec![0.0; n * n];
    out.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
        for (k, &f) in a[i * n..(i + 1) * n].iter().enumerate() {
            for (o, v) in row.iter_mut().zip(&a[k * n..(k + 1) * n]) {
                *o += f * v;
            }
        }
    });
    out
}

//! Ellipsoids: linear images of a ball.

use super::{Norms, Range, SLACK};
use std::sync::Arc;

/// `y_j = centre_j + scale * sum_i matrix[j][i] x_i + e_j` for some x with `|x|_2 <= radius` and `|e_j| <= noise_j`.
#[derive(Clone, Debug)]
pub struct Ellipsoid {
    /// Radius of the ball.
    pub radius: f64,
    /// Dimension of the ball.
    pub inner: usize,
    /// Factor on the matrix.
    pub scale: f64,
    /// The matrix.
    pub(in crate::int) matrix: Matrix,
    /// Image of the ball's centre.
    pub centre: Vec<f64>,
    /// Rounding that the linear part does not describe.
    pub noise: Vec<f64>,
    /// Bounds on the norms of such matrices.
    pub norms: Arc<Norms>,
}

/// A matrix `[features, inner]`.
#[derive(Clone, Debug)]
pub(in crate::int) enum Matrix {
    /// 1 in the diagonal.
    Identity,
    /// The diagonal of a square one that has nothing else.
    Diagonal(Arc<Vec<f32>>),
    /// Row-major.
    Rows(Arc<Vec<f32>>),
}

impl Ellipsoid {
    /// Whether it is a ball, with its noise, and not an image of one.
    pub fn is_ball(&self) -> bool {
        matches!(self.matrix, Matrix::Identity)
    }

    /// The ball itself.
    pub fn ball(features: usize, radius: f64, norms: Arc<Norms>) -> Self {
        let zeros = vec![0.0; features];
        Ellipsoid {
            radius,
            inner: features,
            scale: 1.0,
            matrix: Matrix::Identity,
            centre: zeros.clone(),
            noise: zeros,
            norms,
        }
    }

    /// Row `j` of the matrix, materialised.
    pub fn row(&self, j: usize) -> Vec<f32> {
        let only = |entry: f32| {
            let mut row = vec![0.0; self.inner];
            row[j] = entry;
            row
        };
        match &self.matrix {
            Matrix::Identity => only(1.0),
            Matrix::Diagonal(d) => only(d[j]),
            Matrix::Rows(m) => m[j * self.inner..(j + 1) * self.inner].to_vec(),
        }
    }

    /// Largest `scale * |row_j . x|`.
    pub fn reach(&self, j: usize) -> f64 {
        let norm = match &self.matrix {
            Matrix::Identity => 1.0,
            Matrix::Diagonal(d) => f64::from(d[j].abs()),
            Matrix::Rows(m) => norm2(&m[j * self.inner..(j + 1) * self.inner]),
        };
        self.scale.abs() * norm * self.radius * SLACK
    }

    /// Features `picks`, each times its factor.
    pub fn pick(&self, picks: &[(usize, f64)]) -> Ellipsoid {
        let mut matrix = Vec::with_capacity(picks.len() * self.inner);
        picks.iter().for_each(|&(j, c)| matrix.extend(self.row(j).into_iter().map(|v| v * c as f32)));
        Ellipsoid {
            matrix: Matrix::Rows(Arc::new(matrix)),
            centre: picks.iter().map(|&(j, c)| c * self.centre[j]).collect(),
            noise: picks.iter().map(|&(j, c)| c.abs() * self.noise[j]).collect(),
            norms: self.norms.clone(),
            ..*self
        }
    }

    /// What it becomes by division by `2^shift` with rounding to nearest.
    pub fn shifted(&self, shift: u32) -> Ellipsoid {
        let f = (-f64::from(shift)).exp2();
        Ellipsoid {
            scale: self.scale * f,
            matrix: self.matrix.clone(),
            centre: self.centre.iter().map(|c| c * f).collect(),
            noise: self.noise.iter().map(|e| e * f + 0.5).collect(),
            norms: self.norms.clone(),
            ..*self
        }
    }

    /// Bound on the norm of features `from..to` of a row.
    pub fn norm(&self, from: usize, to: usize) -> f64 {
        let part = |v: &[f64]| v[from..to].iter().map(|x| x * x).sum::<f64>().sqrt();
        let spectral = match &self.matrix {
            Matrix::Identity => 1.0,
            Matrix::Diagonal(d) => d[from..to].iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max),
            Matrix::Rows(m) => self.norms.spectral(&m[from * self.inner..to * self.inner], self.inner),
        };
        (part(&self.centre) + self.scale.abs() * spectral * self.radius + part(&self.noise)) * SLACK
    }

    /// Tightens `range` by it and attaches it.
    pub fn apply(self, mut range: Range) -> Range {
        for j in 0..range.lo.len() {
            super::tighten(&mut range.lo[j], &mut range.hi[j], self.centre[j], self.reach(j) + self.noise[j]);
        }
        let norm = super::norm_of(&range.lo, &range.hi).min(range.norm).min(self.norm(0, range.lo.len()));
        Range { norm, ellipsoid: Some(Arc::new(self)), ..range }
    }
}

/// Euclidean norm.
pub(super) fn norm2(v: &[f32]) -> f64 {
    v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

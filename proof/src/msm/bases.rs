//! Bases that are used for many products.

use std::sync::Arc;

use super::buckets::Points;
use super::digits::Scalars;
use crate::field::{Fr, G1, G1Affine};

/// Bases converted once to the form that products take.
#[derive(Debug)]
pub struct Bases {
    points: Arc<[G1Affine]>,
    prepared: Points<'static>,
}

impl Bases {
    /// Converts `points`.
    pub fn new(points: Arc<[G1Affine]>) -> Self {
        let prepared = Points::new(points.to_vec().into());
        Bases { points, prepared }
    }

    /// The bases.
    pub fn points(&self) -> &[G1Affine] {
        &self.points
    }

    /// [`super::dense`] with these bases.
    pub fn dense(&self, scalars: &[Fr]) -> G1 {
        let len = scalars.len().min(self.points.len());
        super::product(&self.points, Scalars::Full(&scalars[..len]), Some(&self.prepared))
    }

    /// [`super::small`] with these bases.
    pub fn small(&self, values: &[i64]) -> G1 {
        let len = values.len().min(self.points.len());
        super::product(&self.points, Scalars::Small(&values[..len]), Some(&self.prepared))
    }
}

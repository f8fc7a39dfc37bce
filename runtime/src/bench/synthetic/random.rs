//! Weights and inputs by a seed.

use super::writer::Writer;
use crate::Result;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// Weights by a seed.
pub struct Random(ChaCha20Rng);

impl Random {
    /// The numbers of this seed, from the first on.
    pub fn new(seed: u64) -> Self {
        Random(ChaCha20Rng::seed_from_u64(seed))
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.next_u32() as usize % count
    }

    /// Uniform in -1..1, with 24 bits.
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// A vector of numbers within `spread` of `middle`.
    pub fn vector(&mut self, graph: &mut Writer, name: &str, len: usize, middle: f32, spread: f32) {
        let values = (0..len).map(|_| middle + spread * self.uniform()).collect::<Vec<_>>();
        graph.constant(name, &[len], &values);
    }

    /// A matrix of numbers within `spread` of 0.
    pub fn matrix(&mut self, graph: &mut Writer, name: &str, dims: [usize; 2], spread: f32) -> Result<()> {
        graph.matrix(name, dims, std::iter::repeat_with(|| spread * self.uniform()))
    }
}

//! What a design catches beyond one answer, and how much of what matters it looks at.

use crate::design::Design;

/// Probability that a provider is caught at least once that cheats in `cheated` answers, each caught with probability
/// `caught` if it is challenged, when each answer is challenged with probability `challenged`, all independently.
pub fn over_answers(caught: f64, challenged: f64, cheated: u64) -> f64 {
    let each = (caught * challenged).min(1.0);
    // `1 - (1 - each)^n` without loss where it is small.
    if cheated == 0 { 0.0 } else { -(cheated as f64 * (-each).ln_1p()).exp_m1() }
}

impl Design {
    /// Share of the sum of `weights` that stands on drawn layers, in the mean: the probability to catch a wrong layer that
    /// strikes each layer in proportion to its weight. 0 where all weights are.
    pub fn coverage(&self, weights: &[f64]) -> f64 {
        let all: f64 = weights.iter().sum();
        let drawn: f64 = weights.iter().enumerate().map(|(i, w)| w * self.probability(i)).sum();
        if all > 0.0 { drawn / all } else { 0.0 }
    }
}

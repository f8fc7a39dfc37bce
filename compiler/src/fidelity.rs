//! How close the integer model is to the source model.

use crate::config::Head;
use crate::frontend::{FrontendError, Reference};
use crate::quantise::{QuantiseError, decode, encode};
use nanozk_ir::{
    float::InputValue,
    int::{Model, interp},
};
use nanozk_plan::ValueInfo;
use serde::Serialize;

/// Fidelity over all compared rows of outputs. A row lies along the last axis of an output of the source model: the
/// scores of one position, say.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Fidelity {
    /// Rows compared.
    pub positions: u64,
    /// Largest absolute difference of an output; absent when the integer model outputs indices.
    pub max_abs_error: Option<f64>,
    /// Share of rows where both models have their greatest output at the same index.
    pub top1_agreement: f64,
    /// `exp` of the mean negative log-likelihood of the source model, when targets were given.
    pub perplexity_float: Option<f64>,
    /// The same of the integer model; absent when it outputs indices.
    pub perplexity_integer: Option<f64>,
}

/// Why the two models cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum FidelityError {
    /// The source model.
    #[error(transparent)]
    Float(#[from] FrontendError),
    /// The input.
    #[error(transparent)]
    Input(#[from] QuantiseError),
    /// The integer model.
    #[error(transparent)]
    Integer(#[from] interp::Error),
}

/// Outputs of both models for one input, each row-major as the source model orders it.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Outputs of the source model.
    pub float: Vec<Vec<f64>>,
    /// Outputs of the integer model as real values: scores, or indices of greatest scores.
    pub integer: Vec<Vec<f64>>,
    /// All boundary tensors of the integer model.
    pub tensors: Vec<Vec<i64>>,
}

/// A source model and the integer model made from it.
#[derive(Clone, Copy, Debug)]
pub struct Models<'a> {
    /// The source model.
    pub reference: &'a Reference,
    /// The integer model.
    pub model: &'a Model,
    /// Outputs of the integer model.
    pub outputs: &'a [ValueInfo],
    /// What they are.
    pub head: Head,
}

impl Models<'_> {
    /// Runs both models on one input.
    ///
    /// # Errors
    /// When the input does not fit a model or leaves the range the integer model was compiled for.
    pub fn run(&self, inputs: &[InputValue]) -> Result<Pair, FidelityError> {
        let float = self.reference.run(inputs)?;
        let tensors = interp::run_model(self.model, &encode(self.model, inputs)?)?;
        let real = |(value, &id): (&ValueInfo, &u32)| value.arrange(&decode(self.model, id, &tensors[id as usize]));
        let integer = self.outputs.iter().zip(&self.model.outputs).map(real).collect();
        Ok(Pair { float, integer, tensors })
    }

    /// Adds output `at` of a run to `meter`; rows that hold values beyond the first `length` tokens do not count.
    /// `targets` are the indices expected of the rows, if known.
    pub fn add(&self, meter: &mut Meter, pair: &Pair, at: usize, length: u32, targets: Option<&[u32]>) {
        meter.add(self.head, &pair.float[at], &pair.integer[at], &self.rows(at, length), targets);
    }

    /// For each row of output `at` whether all its values are of the first `length` tokens.
    pub fn rows(&self, at: usize, length: u32) -> Vec<bool> {
        let (value, tensor) = (&self.outputs[at], self.model.outputs[at]);
        let known = self.model.tensors[tensor as usize].features as usize * length as usize;
        let width = if self.head == Head::Argmax { 1 } else { value.shape.last().copied().unwrap_or(1) };
        let known: Vec<bool> = value.indices().map(|i| i < known).collect();
        known.chunks(width).map(|row| row.iter().all(|k| *k)).collect()
    }

    /// Largest difference of an output over the samples, as a share of the greatest output of the source model. `None`
    /// when the integer model outputs indices, or nothing but zeros is to be met.
    ///
    /// # Errors
    /// As [`Models::run`].
    pub fn relative_gap(&self, samples: &[Vec<InputValue>]) -> Result<Option<f64>, FidelityError> {
        let (mut meter, mut greatest) = (Meter::default(), 0f64);
        for sample in samples {
            let pair = self.run(sample)?;
            for (at, float) in pair.float.iter().enumerate() {
                self.add(&mut meter, &pair, at, self.model.tokens, None);
                greatest = float.iter().map(|v| v.abs()).fold(greatest, f64::max);
            }
        }
        Ok(meter.fidelity().max_abs_error.map(|gap| gap / greatest).filter(|gap| gap.is_finite()))
    }
}

/// Accumulates a comparison.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    positions: u64,
    agreed: u64,
    worst: f64,
    indices: bool,
    targets: u64,
    loss_float: f64,
    loss_integer: f64,
}

impl Meter {
    /// Adds one output: scores by row, and scores or one index by row. `rows` says which rows count, `targets` the
    /// indices expected of them, if known.
    pub fn add(&mut self, head: Head, float: &[f64], integer: &[f64], rows: &[bool], targets: Option<&[u32]>) {
        let width = |v: &[f64]| (v.len() / rows.len().max(1)).max(1);
        let (float, integer) = (float.chunks(width(float)), integer.chunks(width(integer)));
        self.indices |= head == Head::Argmax;
        for (row, (f, i)) in float.zip(integer).enumerate().filter(|(row, _)| rows[*row]) {
            self.positions += 1;
            if head == Head::Argmax {
                self.agreed += u64::from(argmax(f) == i[0] as usize);
                continue;
            }
            self.agreed += u64::from(argmax(f) == argmax(i));
            self.worst = f.iter().zip(i).map(|(a, b)| (a - b).abs()).fold(self.worst, f64::max);
            if let Some(&target) = targets.and_then(|v| v.get(row)).filter(|&&v| (v as usize) < f.len()) {
                self.targets += 1;
                self.loss_float += loss(f, target as usize);
                self.loss_integer += loss(i, target as usize);
            }
        }
    }

    /// Adds everything another meter has seen.
    #[must_use]
    pub fn merged(self, other: Meter) -> Meter {
        Meter {
            positions: self.positions + other.positions,
            agreed: self.agreed + other.agreed,
            worst: self.worst.max(other.worst),
            indices: self.indices || other.indices,
            targets: self.targets + other.targets,
            loss_float: self.loss_float + other.loss_float,
            loss_integer: self.loss_integer + other.loss_integer,
        }
    }

    /// The result so far.
    pub fn fidelity(&self) -> Fidelity {
        let perplexity = |loss: f64| (self.targets > 0).then(|| (loss / self.targets as f64).exp());
        Fidelity {
            positions: self.positions,
            max_abs_error: (!self.indices).then_some(self.worst),
            top1_agreement: self.agreed as f64 / self.positions.max(1) as f64,
            perplexity_float: perplexity(self.loss_float),
            perplexity_integer: perplexity(self.loss_integer),
        }
    }
}

/// Lowest index of the greatest value.
fn argmax(row: &[f64]) -> usize {
    row.iter().enumerate().fold(0, |best, (j, v)| if *v > row[best] { j } else { best })
}

/// Negative log-likelihood of `target` under softmax.
fn loss(row: &[f64], target: usize) -> f64 {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|&v| (v - max).exp()).sum();
    sum.ln() + max - row[target]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [bool; 2] = [true; 2];

    #[test]
    fn known_comparison() {
        let mut m = Meter::default();
        m.add(Head::Logits, &[0.0, 1.0, 2.0, 0.0], &[0.5, 1.0, 0.0, 1.0], &ROWS, Some(&[1, 0]));
        let f = m.fidelity();
        assert_eq!((f.positions, f.max_abs_error, f.top1_agreement), (2, Some(2.0), 0.5));
        let expected = (((1f64 + (-1f64).exp()).ln() + (1f64 + (-2f64).exp()).ln()) / 2.0).exp();
        assert!((f.perplexity_float.unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn indices_are_compared_with_the_float_argmax() {
        let mut m = Meter::default();
        m.add(Head::Argmax, &[0.0, 1.0, 2.0, 0.0], &[1.0, 1.0], &ROWS, None);
        let f = m.fidelity();
        assert_eq!((f.max_abs_error, f.top1_agreement, f.perplexity_integer), (None, 0.5, None));
    }

    #[test]
    fn positions_beyond_the_prompt_do_not_count() {
        let mut m = Meter::default();
        m.add(Head::Logits, &[0.0, 1.0, 2.0, 0.0], &[0.0, 1.0, 0.0, 9.0], &[true, false], None);
        assert_eq!((m.fidelity().positions, m.fidelity().max_abs_error), (1, Some(0.0)));
    }
}

//! How close the integer model is to the source model.

use crate::config::Head;
use crate::frontend::{FrontendError, Reference};
use crate::quantise::{QuantiseError, decode, encode};
use nanozk_ir::{
    float::InputValue,
    int::{
        Model,
        interp::{self, Clamp},
    },
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

/// Sees the node values of each layer on each sample: `see(sample, layer, values)`.
pub type Beside<'s> = &'s mut dyn FnMut(usize, usize, &[Vec<i64>]);

/// An integer model, to be compared with its source model.
#[derive(Clone, Copy, Debug)]
pub struct Models<'a> {
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
    pub fn run(&self, reference: &Reference, inputs: &[InputValue]) -> Result<Pair, FidelityError> {
        self.run_beside(reference.run(inputs)?, inputs, &mut |_, _| ())
    }

    /// Runs the integer model on an input for which the source model has the outputs `float`, with the node values of each
    /// layer shown: `see(layer, values)`.
    ///
    /// # Errors
    /// As [`Models::run`].
    pub fn run_beside(
        &self,
        float: Vec<Vec<f64>>,
        inputs: &[InputValue],
        see: &mut dyn FnMut(usize, &[Vec<i64>]),
    ) -> Result<Pair, FidelityError> {
        let tensors = interp::run_seen(self.model, &encode(self.model, inputs)?, see)?;
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

    /// Runs the integer model on every sample and compares it with what the source model gives: `floats`, by sample.
    ///
    /// # Errors
    /// As [`Models::run`].
    pub fn measure(&self, samples: &[Vec<InputValue>], floats: &[Vec<Vec<f64>>]) -> Result<Measured, FidelityError> {
        self.measure_beside(samples, floats, &mut |_, _, _| ())
    }

    /// The same with the node values of each layer shown: `see(sample, layer, values)`.
    ///
    /// # Errors
    /// As [`Models::run`].
    pub fn measure_beside(
        &self,
        samples: &[Vec<InputValue>],
        floats: &[Vec<Vec<f64>>],
        beside: Beside<'_>,
    ) -> Result<Measured, FidelityError> {
        let mut meters = vec![(Meter::default(), 0f64, 0f64, 0usize); self.outputs.len()];
        let mut clamps: Vec<Clamp> = Vec::new();
        for (index, (sample, float)) in samples.iter().zip(floats).enumerate() {
            let mut found = Vec::new();
            let see = &mut |layer: usize, values: &[Vec<i64>]| {
                found.extend(interp::clamps(self.model, layer, values));
                beside(index, layer, values);
            };
            let pair = self.run_beside(float.clone(), sample, see)?;
            clamps = match clamps.len() == found.len() {
                true => clamps.into_iter().zip(&found).map(|(all, one)| all.merged(one)).collect(),
                false => found,
            };
            for (at, (meter, missed, greatest, width)) in meters.iter_mut().enumerate() {
                self.add(meter, &pair, at, self.model.tokens, None);
                let finite = pair.float[at].iter().copied().filter(|v| v.is_finite());
                *greatest = finite.map(f64::abs).fold(*greatest, f64::max);
                *width = (pair.float[at].len() / self.rows(at, self.model.tokens).len().max(1)).max(1);
                if self.head == Head::Argmax {
                    let rows = pair.float[at].chunks(*width).zip(&pair.integer[at]);
                    let miss = |(row, &chosen): (&[f64], &f64)| miss(row, chosen as usize);
                    *missed = rows.map(miss).fold(*missed, f64::max);
                }
            }
        }
        let gap = |((meter, missed, scale, width), value): ((Meter, f64, f64, usize), &ValueInfo)| {
            let fidelity = meter.fidelity();
            let error = fidelity.max_abs_error.unwrap_or(missed);
            Gap { output: value.name.clone(), error, scale, top1: (width > 1).then_some(fidelity.top1_agreement) }
        };
        Ok(Measured { gaps: meters.into_iter().zip(self.outputs).map(gap).collect(), clamps })
    }
}

/// How the integer model did on sample data.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// By output.
    pub gaps: Vec<Gap>,
    /// What clamps did.
    pub clamps: Vec<Clamp>,
}

impl Measured {
    /// The output that is furthest from the source model's.
    pub fn worst(&self) -> Option<&Gap> {
        self.gaps.iter().max_by(|a, b| a.relative().total_cmp(&b.relative()))
    }

    /// Largest gap of an output, as a share of its greatest value.
    pub fn gap(&self) -> f64 {
        self.worst().map_or(0.0, Gap::relative)
    }
}

/// Distance of an output of the integer model from that of the source model.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Gap {
    /// Name of the output.
    pub output: String,
    /// Largest difference of a value; of an index, that of the scores it is chosen by where they are known, else by how
    /// much the score that it chooses misses the greatest.
    pub error: f64,
    /// Greatest magnitude of the source model's values.
    pub scale: f64,
    /// Share of rows along the last axis with their greatest value at the same index; absent for rows of one value.
    pub top1: Option<f64>,
}

impl Gap {
    /// The error as a share of the output's greatest value.
    pub fn relative(&self) -> f64 {
        self.error / if self.scale > 0.0 { self.scale } else { 1.0 }
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
            let reach = f.iter().filter(|a| a.is_finite()).fold(0.0, |m: f64, a| m.max(a.abs()));
            self.worst = f.iter().zip(i).map(|(a, b)| distance(*a, *b, reach)).fold(self.worst, f64::max);
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

/// How far an integer model's value is from the source model's. What stands for an infinite one has its sign and is no less
/// than `reach`, the greatest finite magnitude beside it. Nothing stands for what is no number.
fn distance(source: f64, integer: f64, reach: f64) -> f64 {
    let stands = source.is_infinite() && source * integer > 0.0 && integer.abs() >= reach;
    match (source.is_finite(), stands) {
        (true, _) => (source - integer).abs(),
        (false, true) => 0.0,
        (false, false) => f64::INFINITY,
    }
}

/// By how much the score at `chosen` misses the greatest one.
fn miss(row: &[f64], chosen: usize) -> f64 {
    let (greatest, score) = (row[argmax(row)], row[chosen]);
    if row.iter().any(|v| v.is_nan()) {
        f64::INFINITY
    } else if greatest == score {
        0.0
    } else {
        greatest - score
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
    fn what_is_no_number_is_infinitely_far() {
        let worst = |float: &[f64], integer: &[f64]| {
            let mut m = Meter::default();
            m.add(Head::Logits, float, integer, &[true], None);
            m.fidelity().max_abs_error
        };
        assert_eq!(worst(&[f64::NAN, 1.0], &[0.0, 1.0]), Some(f64::INFINITY));
        let infinite = [f64::NEG_INFINITY, 3.0];
        assert_eq!(worst(&infinite, &[-1e4, 3.0]), Some(0.0));
        for far in [-2.0, 0.0, 1e4] {
            assert_eq!(worst(&infinite, &[far, 3.0]), Some(f64::INFINITY), "{far}");
        }
        assert_eq!(miss(&[f64::NAN, 1.0], 1), f64::INFINITY);
        assert_eq!(miss(&[f64::NEG_INFINITY, 1.0], 0), f64::INFINITY);
        assert_eq!(miss(&[f64::NEG_INFINITY, f64::NEG_INFINITY], 1), 0.0);
    }

    #[test]
    fn positions_beyond_the_prompt_do_not_count() {
        let mut m = Meter::default();
        m.add(Head::Logits, &[0.0, 1.0, 2.0, 0.0], &[0.0, 1.0, 0.0, 9.0], &[true, false], None);
        assert_eq!((m.fidelity().positions, m.fidelity().max_abs_error), (1, Some(0.0)));
    }
}

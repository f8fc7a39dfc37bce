//! How close the integer model is to the float model.

use crate::quantise::{QuantiseError, decode, encode};
use nanozk_ir::{
    float::{EvalError, Graph, InputValue, eval},
    int::{Model, interp},
};
use serde::Serialize;

/// Fidelity over all compared positions.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Fidelity {
    /// Positions (tokens) compared.
    pub positions: u64,
    /// Largest absolute difference of an output; absent when the integer model outputs indices.
    pub max_abs_error: Option<f64>,
    /// Share of positions where both models have their greatest output at the same index.
    pub top1_agreement: f64,
    /// `exp` of the mean negative log-likelihood of the float model, when targets were given.
    pub perplexity_float: Option<f64>,
    /// The same of the integer model; absent when it outputs indices.
    pub perplexity_integer: Option<f64>,
}

/// Why the two models cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum FidelityError {
    /// The float model.
    #[error(transparent)]
    Float(#[from] EvalError),
    /// The input.
    #[error(transparent)]
    Input(#[from] QuantiseError),
    /// The integer model.
    #[error(transparent)]
    Integer(#[from] interp::Error),
}

/// Outputs of both models for one input, each `[tokens, features]` in the order of the model's outputs.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Float outputs.
    pub float: Vec<Vec<f32>>,
    /// Integer outputs as real values.
    pub integer: Vec<Vec<f32>>,
}

/// Runs both models on one input.
///
/// # Errors
/// When the input does not fit a model or leaves the range the integer model was compiled for.
pub fn run_both(graph: &Graph, model: &Model, inputs: &[InputValue]) -> Result<Pair, FidelityError> {
    let float = eval(graph, inputs, &mut |_, _: &[f32]| {})?;
    let mut tensors = interp::run_model(model, &encode(model, inputs)?)?;
    let take = |&id: &u32| decode(model, id, &std::mem::take(&mut tensors[id as usize]));
    let integer = model.outputs.iter().map(take).collect();
    Ok(Pair { float, integer })
}

/// Largest difference of an output over the samples, as a share of the greatest output of the float model. `None` when the
/// integer model outputs indices, or nothing but zeros is to be met.
///
/// # Errors
/// As [`run_both`].
pub fn relative_gap(graph: &Graph, model: &Model, samples: &[Vec<InputValue>]) -> Result<Option<f64>, FidelityError> {
    let (mut meter, mut greatest) = (Meter::default(), 0f64);
    for sample in samples {
        let pair = run_both(graph, model, sample)?;
        for (float, integer) in pair.float.iter().zip(&pair.integer) {
            meter.add(float, integer, graph.tokens, graph.tokens, None);
            greatest = float.iter().map(|v| f64::from(v.abs())).fold(greatest, f64::max);
        }
    }
    Ok(meter.fidelity().max_abs_error.map(|gap| gap / greatest).filter(|gap| gap.is_finite()))
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
    /// Adds the first `positions` rows of one output; `targets` are the expected indices of those rows, if known.
    pub fn add(&mut self, float: &[f32], integer: &[f32], positions: usize, tokens: usize, targets: Option<&[u32]>) {
        let (width, int_width) = (float.len() / tokens, integer.len() / tokens);
        self.indices |= width != int_width;
        for t in 0..positions.min(tokens) {
            let (f, i) = (&float[t * width..(t + 1) * width], &integer[t * int_width..(t + 1) * int_width]);
            let chosen = if width == int_width { argmax(i) } else { i[0] as usize };
            self.positions += 1;
            self.agreed += u64::from(argmax(f) == chosen);
            if width != int_width {
                continue;
            }
            self.worst = f.iter().zip(i).map(|(a, b)| f64::from((a - b).abs())).fold(self.worst, f64::max);
            if let Some(&target) = targets.and_then(|v| v.get(t)).filter(|&&v| (v as usize) < width) {
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
fn argmax(row: &[f32]) -> usize {
    row.iter().enumerate().fold(0, |best, (j, v)| if *v > row[best] { j } else { best })
}

/// Negative log-likelihood of `target` under softmax.
fn loss(row: &[f32], target: usize) -> f64 {
    let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = row.iter().map(|&v| (f64::from(v) - max).exp()).sum();
    sum.ln() + max - f64::from(row[target])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_comparison() {
        let mut m = Meter::default();
        m.add(&[0.0, 1.0, 2.0, 0.0], &[0.5, 1.0, 0.0, 1.0], 2, 2, Some(&[1, 0]));
        let f = m.fidelity();
        assert_eq!((f.positions, f.max_abs_error, f.top1_agreement), (2, Some(2.0), 0.5));
        let expected = (((1f64 + (-1f64).exp()).ln() + (1f64 + (-2f64).exp()).ln()) / 2.0).exp();
        assert!((f.perplexity_float.unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn indices_are_compared_with_the_float_argmax() {
        let mut m = Meter::default();
        m.add(&[0.0, 1.0, 2.0, 0.0], &[1.0, 1.0], 2, 2, None);
        let f = m.fidelity();
        assert_eq!((f.max_abs_error, f.top1_agreement, f.perplexity_integer), (None, 0.5, None));
    }

    #[test]
    fn positions_beyond_the_prompt_do_not_count() {
        let mut m = Meter::default();
        m.add(&[0.0, 1.0, 2.0, 0.0], &[0.0, 1.0, 0.0, 9.0], 1, 2, None);
        assert_eq!((m.fidelity().positions, m.fidelity().max_abs_error), (1, Some(0.0)));
    }
}

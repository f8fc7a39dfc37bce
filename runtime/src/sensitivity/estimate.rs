//! The estimator: forward passes behind a disturbed layer.

use super::reading::Reading;
use crate::Result;
use nanozk_compiler::fidelity::Models;
use nanozk_compiler::quantise::decode;
use nanozk_ir::int::{Model, TensorId, interp};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// One input and what the model makes of it.
pub struct Run {
    /// All boundary tensors.
    pub tensors: Vec<Vec<i64>>,
    /// True number of tokens.
    pub length: u32,
}

/// What one probe of one layer found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    /// `v^T F v` for v of the tensors' own size: a root mean square of 1 times theirs.
    pub relative: f64,
    /// Values that could not be moved both ways.
    pub held: usize,
}

/// The integer model and how its outputs are read.
pub struct Prober<'a> {
    /// The model.
    pub models: Models<'a>,
    /// By output.
    pub readings: &'a [Reading],
    /// Size of a disturbance, as a share of the root mean square of the tensor.
    pub step: f64,
}

/// Sum of squares and number of the values of the first `length` of `tokens` rows.
fn squares(values: &[i64], tokens: u32, length: u32) -> (f64, usize) {
    let rows = &values[..values.len() / tokens.max(1) as usize * length as usize];
    (rows.iter().map(|v| (*v as f64).powi(2)).sum(), rows.len())
}

impl Prober<'_> {
    fn model(&self) -> &Model {
        self.models.model
    }

    /// Values of a layer's outputs, and their root mean square in real units.
    pub fn size(&self, run: &Run, layer: usize) -> (usize, f64) {
        let sizes = self.model().layers[layer].outputs.iter().map(|&id| {
            let (sum, count) = squares(&run.tensors[id as usize], self.model().tokens, run.length);
            (sum / self.model().tensors[id as usize].scale.powi(2), count)
        });
        let (sum, count) = sizes.fold((0.0, 0), |(sum, count), (s, c)| (sum + s, count + c));
        (count, (sum / count.max(1) as f64).sqrt())
    }

    /// One random direction: every value of the layer's outputs is moved by `step` times the root mean square of its
    /// tensor, in whole units and at least one, up or down at random; then all the other way. With `D` the mean of the two
    /// divergences, `2 D / step^2` is `v^T F v` up to terms of fourth order, and its mean over directions is the trace of F
    /// in these units.
    pub fn probe(&self, run: &Run, layer: usize, seed: [u8; 32]) -> Result<Probe> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let (mut wanted, mut moved, mut held) = (0.0, 0.0, 0);
        let mut ways: [Vec<(TensorId, Vec<i64>)>; 2] = Default::default();
        for &id in &self.model().layers[layer].outputs {
            let (values, spec) = (&run.tensors[id as usize], &self.model().tensors[id as usize]);
            let (sum, count) = squares(values, self.model().tokens, run.length);
            let size = self.step * (sum / count.max(1) as f64).sqrt();
            let unit = (size.round() as i64).max(1);
            let mut both = [values.clone(), values.clone()];
            for at in 0..count {
                let step = if rng.next_u32() & 1 == 0 { unit } else { -unit };
                let [up, down] = [values[at] + step, values[at] - step];
                if [up, down].iter().all(|v| (spec.lo..=spec.hi).contains(v)) {
                    (both[0][at], both[1][at]) = (up, down);
                } else {
                    held += 1;
                }
            }
            // In real units.
            let scale = spec.scale.powi(2);
            wanted += size * size * count as f64 / scale;
            moved += (unit * unit) as f64 * count as f64 / scale;
            ways.iter_mut().zip(both).for_each(|(way, values)| way.push((id, values)));
        }
        let mut divergence = 0.0;
        for way in ways {
            divergence += self.divergence(run, layer, way)? / 2.0;
        }
        // Units are whole: what they are too large or too small is taken back.
        Ok(Probe { relative: 2.0 * divergence / self.step.powi(2) * wanted / moved, held })
    }

    /// Divergence of the outputs when the outputs of `layer` are `changed`.
    fn divergence(&self, run: &Run, layer: usize, changed: Vec<(TensorId, Vec<i64>)>) -> Result<f64> {
        let model = self.model();
        let mut tensors: Vec<Option<Vec<i64>>> = vec![None; model.tensors.len()];
        changed.into_iter().for_each(|(id, values)| tensors[id as usize] = Some(values));
        for later in layer + 1..model.layers.len() {
            let reads = &model.layers[later].inputs;
            if reads.iter().all(|&id| tensors[id as usize].is_none()) {
                continue;
            }
            let values =
                |id: &TensorId| tensors[*id as usize].as_ref().unwrap_or(&run.tensors[*id as usize]).as_slice();
            let mut nodes = interp::run(model, later, &reads.iter().map(values).collect::<Vec<_>>())?;
            for (port, node) in interp::outputs(&model.shapes[model.layers[later].shape as usize]) {
                tensors[model.layers[later].outputs[port] as usize] = Some(std::mem::take(&mut nodes[node]));
            }
        }
        let mut sum = 0.0;
        for at in 0..model.outputs.len() {
            if let Some(values) = &tensors[model.outputs[at] as usize] {
                let (before, after) =
                    (self.output(&run.tensors[model.outputs[at] as usize], at), self.output(values, at));
                let unit = 0.5 / model.tensors[model.outputs[at] as usize].scale;
                let rows = self.known_rows(&before, at, run.length).zip(self.known_rows(&after, at, run.length));
                sum += rows.map(|(p, q)| self.readings[at].divergence(p, q, unit)).sum::<f64>();
            }
        }
        Ok(sum)
    }

    /// An output as the source model orders it.
    pub fn output(&self, tensor: &[i64], at: usize) -> Vec<f64> {
        self.models.outputs[at].arrange(&decode(self.model(), self.model().outputs[at], tensor))
    }

    /// Its rows that the true tokens give.
    pub fn known_rows<'v>(&self, output: &'v [f64], at: usize, length: u32) -> impl Iterator<Item = &'v [f64]> + Clone {
        let known = self.models.rows(at, length);
        let width = (output.len() / known.len().max(1)).max(1);
        output.chunks(width).zip(known).filter_map(|(row, known)| known.then_some(row))
    }
}

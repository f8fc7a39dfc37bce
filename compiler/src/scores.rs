//! How close the scores are behind outputs that are the place of the greatest: the choice alone would hide by how much they
//! are off.

use crate::fidelity::Gap;
use crate::quantise::Quantised;
use nanozk_ir::float::Graph;

/// The gaps of the scores of each output, as a run of the integer model shows its values.
pub(crate) struct Scores<'s> {
    graph: &'s Graph,
    quantised: &'s Quantised,
    /// Scores of the float graph, by sample and output.
    floats: &'s [Vec<Vec<f32>>],
    /// Greatest difference and greatest magnitude, by output.
    seen: Vec<(f64, f64)>,
}

impl<'s> Scores<'s> {
    pub fn new(graph: &'s Graph, quantised: &'s Quantised, floats: &'s [Vec<Vec<f32>>]) -> Self {
        Scores { graph, quantised, floats, seen: vec![(0.0, 0.0); graph.outputs.len()] }
    }

    /// Looks at the values of a layer on a sample.
    pub fn see(&mut self, sample: usize, layer: usize, values: &[Vec<i64>]) {
        let model = &self.quantised.model;
        let nodes = &model.shapes[model.layers[layer].shape as usize].nodes;
        let chosen_from = |value: u32| {
            nodes.iter().any(|node| node.op.meaning().choices().is_some() && node.inputs.first() == Some(&value))
        };
        for ((&output, seen), floats) in self.graph.outputs.iter().zip(&mut self.seen).zip(&self.floats[sample]) {
            let source = self.graph.operands(output)[0];
            let traces = self.quantised.traces[layer].iter();
            let Some(trace) = traces.filter(|t| t.node == source).find(|t| chosen_from(t.value)) else { continue };
            let n = trace.unit.len();
            let offset = |j: usize| trace.offset.as_ref().map_or(0.0, |o| o[j]);
            for (i, (&v, &f)) in values[trace.value as usize].iter().zip(floats).enumerate() {
                let (real, float) = (v as f64 * trace.unit[i % n] + offset(i % n), f64::from(f));
                *seen = (seen.0.max((real - float).abs()), seen.1.max(float.abs()));
            }
        }
    }

    /// Puts what was seen in place of the gaps of the choices.
    pub fn replace(self, gaps: &mut [Gap]) {
        for (gap, (error, scale)) in gaps.iter_mut().zip(self.seen) {
            (gap.error, gap.scale) = (error.max(gap.error), scale.max(gap.scale));
        }
    }
}

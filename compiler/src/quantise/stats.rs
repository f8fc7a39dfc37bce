//! What calibration remembers of each node.

use super::error::QuantiseError;
use nanozk_ir::float::{Graph, InputValue, NodeId, NormKind, Op, eval};

/// Extremes of one node over all samples and tokens.
#[derive(Clone, Debug, Default)]
pub struct NodeStats {
    /// Least value of each feature.
    pub lo: Vec<f32>,
    /// Greatest value of each feature.
    pub hi: Vec<f32>,
    /// Least mean square of a stretch that a normalisation reads (else of a token), after subtracting its mean.
    pub least_variance: f64,
    /// Greatest mean square of such a stretch, after subtracting its mean.
    pub greatest_variance: f64,
    /// Least mean square of such a stretch.
    pub least_square: f64,
    /// Greatest mean square of such a stretch.
    pub greatest_square: f64,
}

impl NodeStats {
    /// Largest magnitude of feature `j`.
    pub fn peak(&self, j: usize) -> f64 {
        f64::from(self.lo[j].abs().max(self.hi[j].abs()))
    }

    /// Least and greatest mean square that a normalisation of this node sees.
    pub fn power(&self, kind: NormKind) -> (f64, f64) {
        match kind {
            NormKind::Layer => (self.least_variance, self.greatest_variance),
            NormKind::Rms => (self.least_square, self.greatest_square),
        }
    }

    /// Adds the value of one sample; normalisations read stretches of `stretch` features.
    fn add(&mut self, features: usize, stretch: usize, value: &[f32]) {
        if self.lo.is_empty() {
            self.lo = vec![f32::INFINITY; features];
            self.hi = vec![f32::NEG_INFINITY; features];
            self.least_variance = f64::INFINITY;
            self.least_square = f64::INFINITY;
        }
        for row in value.chunks_exact(features) {
            for ((l, h), &v) in self.lo.iter_mut().zip(&mut self.hi).zip(row) {
                *l = l.min(v);
                *h = h.max(v);
            }
        }
        for row in value.chunks_exact(stretch) {
            let n = stretch as f64;
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let square = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
            let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
            self.least_variance = self.least_variance.min(variance);
            self.greatest_variance = self.greatest_variance.max(variance);
            self.least_square = self.least_square.min(square);
            self.greatest_square = self.greatest_square.max(square);
        }
    }
}

/// Calibration statistics of a float graph, by node.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    nodes: Vec<NodeStats>,
    rows: usize,
}

impl Stats {
    /// Runs the float graph over `samples`.
    ///
    /// # Errors
    /// Without samples, on a sample that does not fit the graph, or when a value is not finite.
    pub fn collect(graph: &Graph, samples: &[Vec<InputValue>]) -> Result<Self, QuantiseError> {
        if samples.is_empty() {
            return Err(QuantiseError::NoData);
        }
        let mut nodes = vec![NodeStats::default(); graph.dag.node_count()];
        let groups: Vec<usize> = graph.dag.node_indices().map(|id| normalised_groups(graph, id)).collect();
        for (index, sample) in samples.iter().enumerate() {
            let mut broken = None;
            let mut observe = |id: NodeId, value: &[f32]| {
                if broken.is_none() && value.iter().any(|v| !v.is_finite()) {
                    broken = Some(id);
                }
                let width = match graph.dag[id].op {
                    Op::Input(_) if value.len() == graph.tokens => 1,
                    _ => graph.dag[id].features,
                };
                nodes[id.index()].add(width, width / groups[id.index()], value);
            };
            eval(graph, sample, &mut observe).map_err(|source| QuantiseError::Sample { index, source })?;
            if let Some(id) = broken {
                return Err(QuantiseError::NotFinite { node: graph.dag[id].name.clone(), index });
            }
        }
        Ok(Stats { nodes, rows: samples.len() * graph.tokens })
    }

    /// Tokens seen.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Statistics of one node.
    pub fn of(&self, id: NodeId) -> &NodeStats {
        &self.nodes[id.index()]
    }
}

/// Stretches that normalisations see in the features of `id`; 1 when none reads them.
fn normalised_groups(graph: &Graph, id: NodeId) -> usize {
    let of = |c: NodeId| match graph.dag[c].op {
        Op::Norm { groups, .. } => groups,
        _ => 1,
    };
    graph.consumers(id).into_iter().map(of).max().unwrap_or(1)
}

/// A calibrated magnitude to divide by: 1 where nothing but zeros was seen, which says nothing about a scale.
pub(super) fn known(magnitude: f64) -> f64 {
    if magnitude > 0.0 { magnitude } else { 1.0 }
}

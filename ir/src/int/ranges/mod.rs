//! Static range analysis: bounds that hold for every input within the bounds of its ports.
//!
//! Beside an interval per feature a [`Range`] carries a bound on the Euclidean norm of a token's row and, downstream of
//! a normalisation, an [`Ellipsoid`]. Normalised rows lie in a ball whatever their input, so everything
//! linear behind them is bounded by Cauchy-Schwarz, far below what intervals give.

mod ellipsoid;
pub(super) mod patterns;
mod spectral;

pub use ellipsoid::Ellipsoid;
pub(super) use ellipsoid::Matrix;
pub use spectral::Norms;
pub(super) use spectral::Square;

use super::interp;
use super::ops::{Ports, Site};
use super::{Graph, Layer, Model, ValueId};
use std::sync::Arc;

/// Relative slack that covers the rounding of the floating-point bounds.
pub(super) const SLACK: f64 = 1.0 + 1e-6;

/// What is known about one value for every token.
#[derive(Clone, Debug)]
pub struct Range {
    /// Least value of each feature.
    pub lo: Vec<i64>,
    /// Greatest value of each feature.
    pub hi: Vec<i64>,
    /// Bound on the Euclidean norm of a token's row.
    pub norm: f64,
    /// An ellipsoid that the row lies in, where known.
    pub ellipsoid: Option<Arc<Ellipsoid>>,
    /// Raw scores: bound on the difference between two keys of one token and head.
    pub spread: Option<f64>,
    /// Length of equal stretches of features, and a bound on the Euclidean norm of each.
    pub stretches: Option<(usize, f64)>,
}

impl Range {
    /// A range from intervals alone.
    pub fn new(lo: Vec<i64>, hi: Vec<i64>) -> Self {
        let norm = norm_of(&lo, &hi);
        Range { lo, hi, norm, ellipsoid: None, spread: None, stretches: None }
    }

    /// `features` copies of one interval.
    pub fn uniform(features: usize, lo: i64, hi: i64) -> Self {
        Range::new(vec![lo; features], vec![hi; features])
    }

    /// The range over all rows of a row-major matrix.
    pub fn of_rows<T: Copy + Into<i64>>(data: &[T], features: usize) -> Self {
        let mut lo = vec![i64::MAX; features];
        let mut hi = vec![i64::MIN; features];
        let mut norm: f64 = 0.0;
        for row in data.chunks_exact(features) {
            for (j, &v) in row.iter().enumerate() {
                lo[j] = lo[j].min(v.into());
                hi[j] = hi[j].max(v.into());
            }
            norm = norm.max(row.iter().map(|&v| (v.into() as f64).powi(2)).sum::<f64>().sqrt());
        }
        Range::new(lo, hi).with_norm(norm)
    }

    /// The range of a function that falls with its operand and is defined from 1 on.
    pub(super) fn falling(&self, f: impl Fn(i64) -> Option<i64>) -> Result<Range, Unbounded> {
        let ends = |v: &[i64]| v.iter().map(|&a| f(a)).collect::<Option<Vec<_>>>();
        match (ends(&self.hi), ends(&self.lo)) {
            (Some(lo), Some(hi)) => Ok(Range::new(lo, hi)),
            _ => {
                let (lo, hi) = self.bounds();
                Err(Unbounded::Domain { lo, hi, what: "the operand must be at least 1".into() })
            }
        }
    }

    /// The same range with a norm bound of at most `norm`.
    pub fn with_norm(mut self, norm: f64) -> Self {
        self.norm = self.norm.min(norm * SLACK);
        self
    }

    /// The same range with a norm bound for each stretch of `len` features.
    pub fn with_stretches(self, len: usize, norm: f64) -> Self {
        let count = (self.lo.len() / len.max(1)) as f64;
        let stretches = Some((len, norm * SLACK));
        Range { stretches, ..self.with_norm(norm * count.sqrt()) }
    }

    /// Bound on the norm of features `from..to`, which are a stretch or something else.
    pub fn norm_of_part(&self, from: usize, to: usize) -> f64 {
        let own = norm_of(&self.lo[from..to], &self.hi[from..to]).min(self.norm);
        match self.stretches {
            Some((len, norm)) if len == to - from && from.is_multiple_of(len) => own.min(norm),
            _ => own,
        }
    }

    /// Least and greatest value over all features.
    pub fn bounds(&self) -> (i64, i64) {
        (self.lo.iter().copied().min().unwrap_or(0), self.hi.iter().copied().max().unwrap_or(0))
    }

    /// Largest magnitude of feature `j`.
    pub fn peak(&self, j: usize) -> f64 {
        self.lo[j].unsigned_abs().max(self.hi[j].unsigned_abs()) as f64
    }

    /// The range of `count` such rows, one after the other.
    pub fn repeated(&self, count: usize) -> Self {
        let norm = self.norm * (count as f64).sqrt();
        Range::new(self.lo.repeat(count), self.hi.repeat(count)).with_norm(norm)
    }

    /// The smallest range that contains both.
    pub fn union(&self, other: &Range) -> Range {
        let lo = self.lo.iter().zip(&other.lo).map(|(a, b)| *a.min(b)).collect();
        let hi = self.hi.iter().zip(&other.hi).map(|(a, b)| *a.max(b)).collect();
        Range::new(lo, hi).with_norm(self.norm.max(other.norm))
    }

    /// Whether every value of `other` is one of this range.
    pub fn contains(&self, other: &Range) -> bool {
        let inside = |a: &[i64], b: &[i64]| a.iter().zip(b).all(|(a, b)| a <= b);
        inside(&self.lo, &other.lo) && inside(&other.hi, &self.hi)
    }
}

fn norm_of(lo: &[i64], hi: &[i64]) -> f64 {
    let peak = |(l, h): (&i64, &i64)| l.unsigned_abs().max(h.unsigned_abs()) as f64;
    lo.iter().zip(hi).map(|p| peak(p).powi(2)).sum::<f64>().sqrt() * SLACK
}

/// Why a value cannot be bounded.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum RangeError {
    /// A magnitude of 2^62 or more is possible.
    #[error(
        "node {node} `{name}` may reach a magnitude of 2^{log2:.1} (limit 2^62); \
         scale the values of this node down in the model"
    )]
    Wide {
        /// Node index.
        node: ValueId,
        /// Node name.
        name: String,
        /// Logarithm of the magnitude.
        log2: f64,
    },
    /// The operand may leave the domain of the op.
    #[error("node {node} `{name}`: values in [{lo}, {hi}] are possible, {what}")]
    Domain {
        /// Node index.
        node: ValueId,
        /// Node name.
        name: String,
        /// Least possible value.
        lo: i64,
        /// Greatest possible value.
        hi: i64,
        /// What the op needs.
        what: String,
    },
}

/// Why one value cannot be bounded, before the node is named.
#[derive(Clone, Debug, PartialEq)]
pub enum Unbounded {
    /// This magnitude is possible, 2^62 or more.
    Wide(f64),
    /// The operand may leave the domain of the op.
    Domain {
        /// Least possible value.
        lo: i64,
        /// Greatest possible value.
        hi: i64,
        /// What the op needs.
        what: String,
    },
}

impl Unbounded {
    fn at(self, graph: &Graph, node: ValueId) -> RangeError {
        let name = graph.nodes[node as usize].name.clone();
        match self {
            Unbounded::Wide(value) => RangeError::Wide { node, name, log2: value.abs().max(1.0).log2() },
            Unbounded::Domain { lo, hi, what } => RangeError::Domain { node, name, lo, hi, what },
        }
    }
}

/// What the analysis of one layer reads.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Tokens T.
    pub tokens: usize,
    /// Width of the range table.
    pub limb_bits: u32,
    /// The shape, at least up to the node under analysis.
    pub graph: &'a Graph,
    /// Weights, tables and parameters.
    pub layer: &'a Layer,
    /// Ranges of the input ports.
    pub ports: &'a [Range],
    /// Bounds on the norms of its matrices.
    pub norms: &'a Arc<Norms>,
}

impl Scope<'_> {
    /// Range of node `id`, given those of all earlier nodes.
    ///
    /// # Errors
    /// When the value may exceed 2^62 or leave the domain of its op.
    pub fn node(&self, id: ValueId, earlier: &[Range]) -> Result<Range, RangeError> {
        self.transfer(id, earlier).map_err(|e| e.at(self.graph, id))
    }

    /// Ranges of all nodes.
    ///
    /// # Errors
    /// As [`Scope::node`].
    pub fn all(&self) -> Result<Vec<Range>, RangeError> {
        let mut ranges = Vec::with_capacity(self.graph.nodes.len());
        for id in 0..self.graph.nodes.len() as ValueId {
            ranges.push(self.node(id, &ranges)?);
        }
        Ok(ranges)
    }

    fn transfer(&self, id: ValueId, earlier: &[Range]) -> Result<Range, Unbounded> {
        let node = &self.graph.nodes[id as usize];
        let args: Vec<&Range> = node.inputs.iter().map(|&v| &earlier[v as usize]).collect();
        let site = Site::new(self.tokens as u32, self.limb_bits, self.graph, node, Ports::default());
        node.op.meaning().range(&site, &Around { scope: self, earlier }, &args)
    }
}

/// What an op may look at beside the ranges of its operands.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The layer.
    pub scope: &'a Scope<'a>,
    /// Ranges of all earlier nodes.
    pub earlier: &'a [Range],
}

/// Ranges of all nodes of all layers of `model`, from the bounds of its input tensors.
///
/// # Errors
/// As [`Scope::node`], with the layer's name.
pub fn analyse(model: &Model) -> Result<Vec<Vec<Range>>, (String, RangeError)> {
    let mut tensors: Vec<Range> =
        model.tensors.iter().map(|t| Range::uniform(t.features as usize, t.lo, t.hi)).collect();
    let mut all = Vec::with_capacity(model.layers.len());
    let norms = Arc::default();
    for layer in &model.layers {
        let graph = &model.shapes[layer.shape as usize];
        let ports: Vec<Range> = layer.inputs.iter().map(|&t| tensors[t as usize].clone()).collect();
        let (tokens, limb_bits) = (model.tokens as usize, model.limb_bits);
        let scope = Scope { tokens, limb_bits, graph, layer, ports: &ports, norms: &norms };
        let ranges = scope.all().map_err(|e| (layer.name.clone(), e))?;
        for (port, node) in interp::outputs(graph) {
            tensors[layer.outputs[port] as usize] = ranges[node].clone();
        }
        all.push(ranges);
    }
    Ok(all)
}

/// An exact bound as i64.
pub(super) fn narrow(value: i128) -> Result<i64, Unbounded> {
    if value.unsigned_abs() < 1 << 62 { Ok(value as i64) } else { Err(Unbounded::Wide(value as f64)) }
}

/// Clips to what i64 holds with room for one more addition.
pub(super) fn clip(v: i128) -> i64 {
    v.clamp(-(1 << 63) + 1, (1 << 63) - 1) as i64
}

/// Intersects intervals with `centre +- radius`; both are valid, so is the intersection.
pub(super) fn tighten(lo: &mut i64, hi: &mut i64, centre: f64, radius: f64) {
    let radius = radius * SLACK + centre.abs() * (SLACK - 1.0) + 1e-6;
    *lo = (*lo).max((centre - radius).floor().max(-9e18) as i64);
    *hi = (*hi).min((centre + radius).ceil().min(9e18) as i64);
}

#[cfg(test)]
mod tests;

//! Units of the exact values: one power of two for all values that are added to each other.
//!
//! Values that meet in sums, maxima, slices and concatenations form a *stream*. Its scale follows from what flows in it: fine
//! enough for the inverse roots of the normalisations that read it and for its quietest normalised token, coarse enough
//! for its loudest value, whatever the magnitudes are.

use super::stats::Stats;
use crate::config::Quantise;
use nanozk_ir::float::{Graph, NodeId, Op};
use petgraph::{unionfind::UnionFind, visit::NodeIndexable};
use std::collections::HashMap;

/// Scale of exact values where nothing asks for another, as a power of two.
const DEFAULT_RESIDUAL_BITS: u32 = 22;

/// Bits of limbs for which constants are chosen.
pub(super) const USUAL_BITS: u32 = 12;

/// Scales that normalisations ask for lie in this range, as powers of two.
const NORMALISED: (f64, f64) = (12.0, 28.0);
/// Least number of bits dropped from a normalised product.
const PRODUCT_BITS: u32 = 24;
/// Bits of the inverse root of the loudest calibrated token.
const ROOT_BITS: f64 = 9.0;
/// Bits that the greatest calibrated value of a stream keeps at least.
const PEAK_BITS: f64 = 18.0;
/// Bits that the quietest calibrated token before a normalisation keeps at least, in the mean of its features.
const QUIET_BITS: f64 = 10.0;
/// Bits of the same below which a stream is not made coarser because of one normalisation that reads it.
const LEAST_QUIET_BITS: f64 = 9.0;
/// Scale of an output that is a linear map, as a power of two.
const OUTPUT_BITS: f64 = 28.0;
/// Bits of the bias of such a map, whose integers have 31.
const WEIGHT_BITS: f64 = 29.0;
/// Bits that the greatest calibrated value of a stream has at most; static bounds need the rest of 62.
const MOST_BITS: f64 = 40.0;

/// Powers of two by which scales are coarser than calibration asks for, where static bounds need that.
#[derive(Default)]
pub(super) struct Coarser {
    /// Of all streams.
    pub all: u32,
    /// Of the streams of these nodes, beyond that.
    pub streams: HashMap<NodeId, u32>,
}

/// The scale of every node.
pub(super) struct Scales {
    exponents: Vec<f64>,
    /// Least root mean square of a token before a normalisation of the stream of each node, as a power of two.
    quiet: Vec<f64>,
}

/// What is known of one stream, in powers of two.
#[derive(Clone, Copy)]
struct Stream {
    /// Greatest calibrated magnitude.
    peak: f64,
    /// Finest scale at which the inverse roots keep their bits.
    roots: f64,
    /// Least root mean square of a token before a normalisation, with the epsilon.
    quiet: f64,
    /// Bits by which it is coarser than that.
    coarser: f64,
}

impl Scales {
    /// Scales of all nodes of `graph`.
    pub fn new(graph: &Graph, stats: &Stats, config: &Quantise, coarser: &Coarser) -> Self {
        let mut union = UnionFind::new(graph.dag.node_bound());
        for id in graph.dag.node_indices() {
            let adds = matches!(graph.dag[id].op, Op::Add | Op::Sub | Op::Sum { .. } | Op::TokenSum { .. });
            let moves = matches!(graph.dag[id].op, Op::Slice { .. } | Op::Concat | Op::Pick { .. } | Op::Max { .. });
            if adds || moves {
                for operand in graph.operands(id) {
                    if !graph.dag[operand].exact {
                        union.union(operand.index(), id.index());
                    }
                }
            }
        }
        let stream = |id: NodeId| union.find(id.index());
        let silent =
            Stream { peak: f64::NEG_INFINITY, roots: f64::INFINITY, quiet: f64::INFINITY, coarser: coarser.all.into() };
        let mut streams = vec![silent; graph.dag.node_bound()];
        for id in graph.dag.node_indices() {
            let all = &mut streams[stream(id)];
            all.peak = all.peak.max(peak(stats, id).log2());
            if let Op::Norm { kind, groups, eps, .. } = graph.dag[id].op
                && let Some(&operand) = graph.operands(id).first()
            {
                let n = (graph.dag[operand].features / groups) as f64;
                let (quiet, loud) = stats.of(operand).power(kind);
                let all = &mut streams[stream(operand)];
                all.roots = all.roots.min(root_room(config) - (loud * n).log2() / 2.0);
                all.quiet = all.quiet.min((quiet + f64::from(eps)).log2() / 2.0);
            }
        }
        for (&id, &bits) in &coarser.streams {
            streams[stream(id)].coarser += f64::from(bits);
        }
        let exponent = |id: NodeId| {
            if graph.dag[id].exact {
                return 0.0;
            }
            let own = streams[stream(id)];
            let base = own.exponent(config);
            let Op::Output = graph.dag[id].op else { return base };
            // An output keeps its bits beside louder values that it is added up from, and a linear map that nothing else
            // reads those of its weights.
            let source = graph.operands(id)[0];
            let map = matches!(graph.dag[source].op, Op::Linear { .. }) && graph.consumers(source).len() == 1;
            let finer = if map { OUTPUT_BITS.min(WEIGHT_BITS - own.peak.max(0.0)).floor() } else { base };
            base.max(finer).max(streams[stream(source)].exponent(config)).min(own.most())
        };
        Scales {
            exponents: graph.dag.node_indices().map(exponent).collect(),
            quiet: graph.dag.node_indices().map(|id| streams[stream(id)].quiet).collect(),
        }
    }

    /// Whether the quietest tokens of the stream of `id` keep enough bits when it gets coarser by `bits`.
    pub fn bears(&self, id: NodeId, bits: u32) -> bool {
        self.exponents[id.index()] - f64::from(bits) + self.quiet[id.index()] >= LEAST_QUIET_BITS
    }

    /// Units per 1.0 of the exact value of `id`; 1 for whole numbers.
    pub fn of(&self, id: NodeId) -> f64 {
        self.exponents[id.index()].exp2()
    }
}

impl Stream {
    /// The coarsest scale that is too fine for the loudest value.
    fn most(&self) -> f64 {
        if self.peak.is_finite() { (MOST_BITS - self.peak).floor() } else { f64::INFINITY }
    }

    fn exponent(&self, config: &Quantise) -> f64 {
        let (least, most) = NORMALISED;
        let usual = match config.residual_bits {
            Some(bits) => f64::from(bits),
            None if self.roots.is_finite() => self.roots.floor().clamp(least, most),
            None => f64::from(DEFAULT_RESIDUAL_BITS),
        };
        let keep = |bits: f64, magnitude: f64| if magnitude.is_finite() { (bits - magnitude).ceil() } else { usual };
        usual.max(keep(PEAK_BITS, self.peak)).max(keep(QUIET_BITS, self.quiet)).min(self.most()) - self.coarser
    }
}

/// Largest calibrated magnitude of a node.
pub(super) fn peak(stats: &Stats, id: NodeId) -> f64 {
    let stats = stats.of(id);
    (0..stats.lo.len()).map(|j| stats.peak(j)).fold(0.0, f64::max)
}

/// Bits of a token's norm that leave enough for its inverse root, when the least limbs are dropped from the normalised
/// product that hold [`PRODUCT_BITS`].
fn root_room(config: &Quantise) -> f64 {
    // Wider limbs do not make scales finer.
    let bits = config.limb_bits().min(USUAL_BITS);
    f64::from((1 + PRODUCT_BITS.div_ceil(bits)) * bits) - 1.0 - ROOT_BITS
}

//! Cuts a float graph into layers.
//!
//! Cuts are made where one activation is all that later nodes need (dominators), at the ends of residual branches; what
//! another input gives to many layers beside it, as an encoder does to a decoder or a mask to attention, and further
//! outputs do not count ([`chain`]) where equal layers come of it.
//! The longest periodic run of equal pieces becomes one layer per period; what stands before and after is cut by the
//! same rule. Blocks that repeat without being neighbours become layers too ([`blocks`]). What has no repetition is one
//! layer, or several where it is large ([`size`]). Layers of one structure share one shape, wherever they stand.

mod blocks;
mod chain;
mod residual;
mod segment;
mod signature;
mod size;

pub use segment::{Ref, Segment};

use blocks::Region;
use nanozk_ir::float::{Graph, InputKind, NodeId, Op};
use residual::{ends_branch, joins};

/// Layers of a float graph, in evaluation order.
#[derive(Clone, Debug)]
pub struct Partition {
    /// The layers.
    pub segments: Vec<Segment>,
    /// Structure of each layer: equal numbers for equal structures, numbered by first appearance.
    pub classes: Vec<usize>,
}

/// Most layers that may hold a committed tensor ([`nanozk_plan::hiding`]).
const MOST_HOLDERS: usize = nanozk_plan::MASK_ROWS - 1;

impl Partition {
    /// How many layers.
    pub fn count(&self) -> usize {
        self.segments.len()
    }

    /// Partitions `graph`, of which these are the layers, into more and smaller ones, if it can be cut further.
    pub fn smaller(&self, graph: &Graph) -> Option<Self> {
        let largest = self.segments.iter().map(|s| size::lookups(graph, &s.nodes)).max()?;
        let limits = std::iter::successors(Some(largest / 2), |limit| Some(limit / 2)).take_while(|&limit| limit > 0);
        limits.map(|limit| partition(graph, limit)).find(|p| p.count() > self.count())
    }

    /// Whether layers share a structure.
    fn repeats(&self) -> bool {
        self.classes.iter().enumerate().any(|(i, class)| self.classes[..i].contains(class))
    }

    /// Whether no committed tensor has too many readers.
    fn holds(&self, graph: &Graph) -> bool {
        let mut holders = vec![0; graph.dag.node_count()];
        let public = |n: NodeId| matches!(graph.dag[n].op, Op::Input(InputKind::Mask | InputKind::Tokens { .. }));
        let held = |s: &Segment| s.inputs.iter().chain(&s.outputs).copied().collect::<Vec<_>>();
        self.segments.iter().flat_map(held).for_each(|n| holders[n.index()] += 1);
        graph.dag.node_indices().all(|n| holders[n.index()] <= MOST_HOLDERS || public(n))
    }
}

/// Partitions `graph`; a part without repetition stays one layer up to `layer_lookups` estimated lookups.
pub fn partition(graph: &Graph, layer_lookups: u64) -> Partition {
    let strict = chain::through_all(graph);
    let beside = chain::beside(graph, &strict);
    if beside.len() > strict.len() {
        let parted = cut(graph, beside, &chain::side(graph), layer_lookups);
        if parted.repeats() && parted.holds(graph) {
            return parted;
        }
    }
    cut(graph, strict, &vec![false; graph.dag.node_count()], layer_lookups)
}

/// Partitions `graph` at nodes of `chain`; each layer computes nodes of `side` by itself.
fn cut(graph: &Graph, chain: Vec<NodeId>, side: &[bool], layer_lookups: u64) -> Partition {
    let is_norm = |n: &NodeId| matches!(graph.dag[*n].op, Op::Norm { .. });
    // Normalisations between residual sums are pieces of their own, so that the last one of a post-norm model does
    // not differ from the others by what follows it.
    let before_norm = |n: NodeId| graph.consumers(n).iter().any(|c| is_norm(c) && chain.contains(c));
    let residual = chain.iter().any(|&n| ends_branch(graph, n));
    let is_cut = |n: NodeId| {
        !matches!(graph.dag[n].op, Op::Input(_))
            && (ends_branch(graph, n) || residual && (is_norm(&n) || before_norm(n)))
    };
    let chosen = |cut: &dyn Fn(NodeId) -> bool| chain.iter().copied().filter(|&n| cut(n)).collect::<Vec<NodeId>>();
    let small = |pieces: &[Vec<NodeId>]| pieces.iter().map(|p| size::lookups(graph, p)).sum::<u64>() <= layer_lookups;
    let mut large = pieces(graph, &chosen(&is_cut), side);
    large.retain(|piece| !small(std::slice::from_ref(piece)));
    let is_large = |n: NodeId| large.iter().any(|piece| piece.contains(&n));
    let pieces = pieces(graph, &chosen(&|n| is_cut(n) || is_large(n) && size::may_cut(graph, n)), side);
    let segment = |nodes: &Vec<NodeId>| Segment::new(graph, nodes, side);
    let signatures: Vec<String> = pieces.iter().map(|p| signature::signature(graph, &segment(p))).collect();
    let mut regions = Vec::new();
    runs(&pieces, &signatures, 0..pieces.len(), &mut regions);
    let attends = graph.dag.node_weights().any(|n| matches!(n.op, Op::Attention { .. }));
    let sums = |p: &[Vec<NodeId>]| p.iter().flatten().filter(|&&n| joins(graph, n)).count();
    // A transformer layer adds to its residual stream twice.
    let whole_layer = |p: &[Vec<NodeId>]| sums(p) >= if attends { 2 } else { 1 };
    let mut layers = Vec::new();
    for region in blocks::split(regions, &pieces, &signatures, &whole_layer) {
        match region {
            Region::Layer(nodes) => layers.push(nodes),
            Region::Loose(range) => merge(&pieces[range], &mut layers, &small),
        }
    }
    let segments: Vec<Segment> = layers.iter().map(segment).collect();
    let mut known: Vec<String> = Vec::new();
    let class = |s: &Segment| {
        let signature = signature::signature(graph, s);
        known.iter().position(|k| *k == signature).unwrap_or_else(|| {
            known.push(signature);
            known.len() - 1
        })
    };
    let classes = segments.iter().map(class).collect();
    Partition { segments, classes }
}

/// Node sets between cuts. A node belongs to the only piece that reads it, else to the piece behind the last cut it depends
/// on; those of `side` belong to none.
fn pieces(graph: &Graph, cuts: &[NodeId], side: &[bool]) -> Vec<Vec<NodeId>> {
    let mut piece = vec![0usize; graph.dag.node_count()];
    for id in graph.topo() {
        let after = |o: &NodeId| cuts.iter().position(|c| c == o).map_or(piece[o.index()], |c| c + 1);
        piece[id.index()] = graph.operands(id).iter().map(after).max().unwrap_or(0);
    }
    for id in graph.topo().into_iter().rev().filter(|id| !cuts.contains(id)) {
        let mut readers = graph.consumers(id).into_iter().map(|reader| piece[reader.index()]);
        if let Some(first) = readers.next().filter(|first| readers.all(|other| other == *first)) {
            piece[id.index()] = first;
        }
    }
    let mut out = vec![Vec::new(); cuts.len() + 1];
    for id in graph.topo() {
        if !side[id.index()] && !matches!(graph.dag[id].op, Op::Input(_) | Op::Const { .. }) {
            out[piece[id.index()]].push(id);
        }
    }
    // A piece of nothing but outputs belongs to the one before it.
    let mut merged: Vec<Vec<NodeId>> = Vec::new();
    for nodes in out {
        let only_outputs = nodes.iter().all(|&n| matches!(graph.dag[n].op, Op::Output));
        match merged.last_mut() {
            Some(last) if only_outputs => last.extend(nodes),
            _ => merged.push(nodes),
        }
    }
    merged
}

/// Cuts `range` into the layers of periodic runs and what stands between them.
fn runs(pieces: &[Vec<NodeId>], signatures: &[String], range: std::ops::Range<usize>, regions: &mut Vec<Region>) {
    if range.is_empty() {
        return;
    }
    let Some((start, period, repeats)) = longest_run(&signatures[range.clone()]) else {
        return regions.push(Region::Loose(range));
    };
    let start = range.start + start;
    let end = start + period * repeats;
    runs(pieces, signatures, range.start..start, regions);
    regions.extend(pieces[start..end].chunks(period).map(|c| Region::Layer(c.concat())));
    runs(pieces, signatures, end..range.end, regions);
}

/// Appends the layers made of `pieces` to `layers`, each as large as `small` allows.
fn merge(pieces: &[Vec<NodeId>], layers: &mut Vec<Vec<NodeId>>, small: &dyn Fn(&[Vec<NodeId>]) -> bool) {
    let mut from = 0;
    for to in 1..=pieces.len() {
        if to == pieces.len() || !small(&pieces[from..=to]) {
            layers.push(pieces[from..to].concat());
            from = to;
        }
    }
}

/// The periodic run `(start, period, repeats)` with at least two repeats that covers most; ties: shortest period.
fn longest_run(signatures: &[String]) -> Option<(usize, usize, usize)> {
    let n = signatures.len();
    let mut best: Option<(usize, usize, usize)> = None;
    for period in 1..=n / 2 {
        for start in 0..=n - 2 * period {
            let equal = |i: usize| signatures[i] == signatures[i + period];
            let matching = (start..n - period).take_while(|&i| equal(i)).count();
            let repeats = matching / period + 1;
            if repeats >= 2 && best.is_none_or(|(_, p, r)| repeats * period > p * r) {
                best = Some((start, period, repeats));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests;

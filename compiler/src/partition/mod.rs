//! Cuts a float graph into layers.
//!
//! Cuts are made where one activation is all that later nodes need (dominators), at the ends of residual branches.
//! The longest periodic run of equal pieces becomes one layer per period, so that equal transformer layers share one
//! shape; what stands before and after is cut by the same rule.

mod segment;
mod signature;

pub use segment::{Ref, Segment};

use nanozk_ir::float::{Graph, InputKind, NodeId, Op};
use petgraph::{algo::dominators, graph::DiGraph};

/// Layers of a float graph, in evaluation order.
#[derive(Clone, Debug)]
pub struct Partition {
    /// The layers.
    pub segments: Vec<Segment>,
    /// Ranges of consecutive layers with one structure.
    pub groups: Vec<std::ops::Range<usize>>,
}

/// Whether a node carries an activation: not a constant, token or mask input.
pub(crate) fn carries(graph: &Graph, id: NodeId) -> bool {
    !matches!(graph.dag[id].op, Op::Const { .. } | Op::Input(InputKind::Mask))
}

/// Partitions `graph`; a part without repetition stays one layer up to `layer_lookups` estimated lookups.
pub fn partition(graph: &Graph, layer_lookups: u64) -> Partition {
    let chain = chain(graph);
    let is_norm = |n: &NodeId| matches!(graph.dag[*n].op, Op::Norm { .. });
    // Normalisations between residual sums are pieces of their own, so that the last one of a post-norm model does
    // not differ from the others by what follows it.
    let before_norm = |n: NodeId| graph.consumers(n).iter().any(|c| is_norm(c) && chain.contains(c));
    let residual = chain.iter().any(|&n| ends_branch(graph, n));
    let is_cut = |n: NodeId| {
        !matches!(graph.dag[n].op, Op::Input(_))
            && (ends_branch(graph, n) || residual && (is_norm(&n) || before_norm(n)))
    };
    let mut cuts: Vec<NodeId> = chain.iter().copied().filter(|&n| is_cut(n)).collect();
    let estimate = |pieces: &[Vec<NodeId>]| pieces.iter().flatten().map(|&n| lookups(graph, n)).sum::<u64>();
    if cuts.is_empty() && estimate(&pieces(graph, &[])) > layer_lookups {
        cuts = chain.iter().copied().filter(|&n| !matches!(graph.dag[n].op, Op::Input(_) | Op::Output)).collect();
    }
    let pieces = pieces(graph, &cuts);
    let signatures: Vec<String> = pieces.iter().map(|p| signature::signature(graph, &Segment::new(graph, p))).collect();
    let mut layers = Vec::new();
    merge(&pieces, &signatures, &mut layers, &|p| estimate(p) <= layer_lookups);
    let segments: Vec<Segment> = layers.iter().map(|nodes| Segment::new(graph, nodes)).collect();
    let signatures: Vec<String> = segments.iter().map(|s| signature::signature(graph, s)).collect();
    let mut groups: Vec<std::ops::Range<usize>> = Vec::new();
    for i in 0..segments.len() {
        match groups.last_mut() {
            Some(g) if signatures[g.start] == signatures[i] => g.end = i + 1,
            _ => groups.push(i..i + 1),
        }
    }
    Partition { segments, groups }
}

/// Activations that every path from the inputs to the outputs passes, first to last.
fn chain(graph: &Graph) -> Vec<NodeId> {
    let mut flow: DiGraph<Option<NodeId>, ()> = DiGraph::new();
    let nodes: Vec<_> = graph.dag.node_indices().map(|n| flow.add_node(Some(n))).collect();
    let (root, sink) = (flow.add_node(None), flow.add_node(None));
    for id in graph.dag.node_indices().filter(|&n| carries(graph, n)) {
        let operands: Vec<NodeId> = graph.operands(id).into_iter().filter(|&o| carries(graph, o)).collect();
        if operands.is_empty() {
            flow.add_edge(root, nodes[id.index()], ());
        }
        for o in operands {
            flow.add_edge(nodes[o.index()], nodes[id.index()], ());
        }
    }
    for o in &graph.outputs {
        flow.add_edge(nodes[o.index()], sink, ());
    }
    let tree = dominators::simple_fast(&flow, root);
    let mut chain: Vec<NodeId> = tree.strict_dominators(sink).into_iter().flatten().filter_map(|n| flow[n]).collect();
    chain.reverse();
    chain
}

/// Whether a residual branch starts or ends here: two consumers, or a sum of two activations.
fn ends_branch(graph: &Graph, id: NodeId) -> bool {
    let joins =
        matches!(graph.dag[id].op, Op::Add) && graph.operands(id).iter().filter(|&&o| carries(graph, o)).count() == 2;
    let readers = graph.consumers(id).into_iter().filter(|&c| !matches!(graph.dag[c].op, Op::Output));
    let forks =
        !matches!(graph.dag[id].op, Op::Input(_)) && readers.collect::<std::collections::BTreeSet<_>>().len() > 1;
    joins || forks
}

/// Node sets between cuts. A node belongs to the piece behind the last cut it depends on.
fn pieces(graph: &Graph, cuts: &[NodeId]) -> Vec<Vec<NodeId>> {
    let mut piece = vec![0usize; graph.dag.node_count()];
    for id in graph.topo() {
        let after = |o: &NodeId| cuts.iter().position(|c| c == o).map_or(piece[o.index()], |c| c + 1);
        piece[id.index()] = graph.operands(id).iter().map(after).max().unwrap_or(0);
    }
    let mut out = vec![Vec::new(); cuts.len() + 1];
    for id in graph.topo() {
        if !matches!(graph.dag[id].op, Op::Input(_) | Op::Const { .. }) {
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

/// Appends the layers made of `pieces` to `layers`.
fn merge(
    pieces: &[Vec<NodeId>],
    signatures: &[String],
    layers: &mut Vec<Vec<NodeId>>,
    small: &dyn Fn(&[Vec<NodeId>]) -> bool,
) {
    match longest_run(signatures) {
        Some((start, period, repeats)) => {
            let end = start + period * repeats;
            merge(&pieces[..start], &signatures[..start], layers, small);
            layers.extend(pieces[start..end].chunks(period).map(|c| c.concat()));
            merge(&pieces[end..], &signatures[end..], layers, small);
        }
        None => {
            let mut from = 0;
            for to in 1..=pieces.len() {
                if to == pieces.len() || !small(&pieces[from..=to]) {
                    layers.push(pieces[from..to].concat());
                    from = to;
                }
            }
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

/// Rough number of lookups that a node costs.
fn lookups(graph: &Graph, id: NodeId) -> u64 {
    let node = &graph.dag[id];
    let tokens = graph.tokens as u64;
    let width = node.features as u64;
    tokens
        * match &node.op {
            Op::Norm { .. } | Op::Mul => 3 * width,
            Op::Linear { .. } => 2 * width,
            Op::Softmax => 7 * width,
            Op::Attention { heads, .. } => 3 * *heads as u64 * tokens + 4 * width,
            _ => 0,
        }
}

#[cfg(test)]
mod tests;

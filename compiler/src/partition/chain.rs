//! Where a graph can be cut.

use super::residual::{carries, joins};
use nanozk_ir::float::{Graph, InputKind, NodeId, Op};
use petgraph::{Direction, algo::dominators, graph::DiGraph, visit::Dfs};
use std::collections::BTreeSet;

/// Activations that every path from the inputs to the outputs passes, first to last.
pub(super) fn through_all(graph: &Graph) -> Vec<NodeId> {
    between(graph, None, &graph.outputs)
}

/// `through_all` with the activations that every path passes from one input to the output that is deepest behind it:
/// others run beside them.
pub(super) fn beside(graph: &Graph, through_all: &[NodeId]) -> Vec<NodeId> {
    let mut reached: BTreeSet<NodeId> = through_all.iter().copied().collect();
    for &source in graph.inputs.iter().filter(|&&source| activates(graph, source)) {
        let paths = graph.outputs.iter().map(|&output| between(graph, Some(source), &[output]));
        let sums = |path: &Vec<NodeId>| path.iter().filter(|&&n| joins(graph, n)).count();
        let deepest = paths.max_by_key(sums).unwrap_or_default();
        reached.extend(deepest.into_iter().filter(|&n| !graph.dag[n].exact));
    }
    graph.topo().into_iter().filter(|n| reached.contains(n)).collect()
}

/// Whole numbers that are computed from inputs which are no activations, as masks are.
pub(super) fn side(graph: &Graph) -> Vec<bool> {
    let mut side = vec![false; graph.dag.node_count()];
    for id in graph.topo().into_iter().filter(|&id| graph.dag[id].exact && !graph.inputs.contains(&id)) {
        let beside = |o: &NodeId| {
            side[o.index()]
                || matches!(graph.dag[*o].op, Op::Const { .. })
                || graph.inputs.contains(o) && !activates(graph, *o)
        };
        side[id.index()] = !matches!(graph.dag[id].op, Op::Output) && graph.operands(id).iter().all(beside);
    }
    side
}

/// Whether an input becomes an activation: real numbers, token ids, or whole numbers that name rows of a table.
fn activates(graph: &Graph, input: NodeId) -> bool {
    let Op::Input(InputKind::Integer { .. }) = graph.dag[input].op else { return carries(graph, input) };
    let mut stack = vec![input];
    let mut seen = BTreeSet::new();
    while let Some(id) = stack.pop() {
        for reader in graph.consumers(id) {
            let node = &graph.dag[reader];
            if matches!(node.op, Op::Embed { .. }) && node.features > graph.dag[id].features {
                return true;
            }
            if node.exact && seen.insert(reader) {
                stack.push(reader);
            }
        }
    }
    false
}

/// Activations that every path from `source` (else from any input) to `outputs` passes, first to last.
fn between(graph: &Graph, source: Option<NodeId>, outputs: &[NodeId]) -> Vec<NodeId> {
    let mut reached = vec![source.is_none(); graph.dag.node_count()];
    if let Some(source) = source {
        let mut walk = Dfs::new(&graph.dag, source);
        while let Some(id) = walk.next(&graph.dag) {
            reached[id.index()] = true;
        }
    }
    let part = |n: NodeId| reached[n.index()] && carries(graph, n);
    let mut flow: DiGraph<Option<NodeId>, ()> = DiGraph::new();
    let nodes: Vec<_> = graph.dag.node_indices().map(|n| flow.add_node(Some(n))).collect();
    let (root, sink) = (flow.add_node(None), flow.add_node(None));
    for id in graph.dag.node_indices().filter(|&n| part(n)) {
        let mut operands = graph.dag.neighbors_directed(id, Direction::Incoming).filter(|&o| part(o)).peekable();
        if operands.peek().is_none() {
            flow.add_edge(root, nodes[id.index()], ());
        }
        for o in operands {
            flow.add_edge(nodes[o.index()], nodes[id.index()], ());
        }
    }
    for &o in outputs.iter().filter(|&&o| part(o)) {
        flow.add_edge(nodes[o.index()], sink, ());
    }
    let tree = dominators::simple_fast(&flow, root);
    let mut chain: Vec<NodeId> = tree.strict_dominators(sink).into_iter().flatten().filter_map(|n| flow[n]).collect();
    chain.reverse();
    chain
}

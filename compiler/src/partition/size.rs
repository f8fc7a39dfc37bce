//! How large parts of a graph are, and where one that is too large may be cut.

use nanozk_ir::float::{Graph, NodeId, Op};

/// Rough number of lookups that nodes cost.
pub(super) fn lookups(graph: &Graph, nodes: &[NodeId]) -> u64 {
    nodes.iter().map(|&n| of(graph, n)).sum()
}

fn of(graph: &Graph, id: NodeId) -> u64 {
    let node = &graph.dag[id];
    let tokens = graph.tokens as u64;
    let width = node.features as u64;
    let read = || graph.operands(id).iter().map(|&o| graph.dag[o].features as u64).max().unwrap_or(0);
    tokens
        * match &node.op {
            Op::Norm { .. } | Op::Mul => 3 * width,
            Op::Linear { .. } | Op::MatMul { .. } | Op::Unary(_) | Op::Step | Op::Quotient => 2 * width,
            Op::FloorDiv { .. } | Op::Bits { .. } | Op::Within { .. } => 2 * width,
            // Each value is compared with the greatest one.
            Op::Max { .. } | Op::ArgMax { .. } => 2 * read(),
            Op::Softmax { .. } => 7 * width,
            Op::Attention { heads, .. } => 3 * *heads as u64 * tokens + 4 * width,
            Op::TokenMean => 4 * width,
            Op::Input(_) | Op::Embed { .. } | Op::Const { .. } | Op::Rope { .. } | Op::TokenSum { .. } => 0,
            Op::Output => 0,
            Op::Add | Op::Sub | Op::Scale(_) | Op::Slice { .. } | Op::Concat | Op::Pick { .. } | Op::Sum { .. } => 0,
        }
}

/// Whether a part that is too large may end with node `id`, on which all behind it depends. Not where a function of single
/// values reads it, for sums go into tables in the circuit that makes them; and not where features are only put into a new
/// order, which may repeat them.
pub(super) fn may_cut(graph: &Graph, id: NodeId) -> bool {
    let moves = matches!(graph.dag[id].op, Op::Input(_) | Op::Output | Op::Const { .. } | Op::Pick { .. });
    let single = |c: NodeId| matches!(graph.dag[c].op, Op::Unary(_));
    !moves && !graph.consumers(id).into_iter().any(single)
}

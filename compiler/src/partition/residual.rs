//! The residual stream: what carries activations, and where branches start and end.

use nanozk_ir::float::{Graph, InputKind, NodeId, Op};

/// Whether a node carries an activation: not a constant, token or mask input.
pub(super) fn carries(graph: &Graph, id: NodeId) -> bool {
    !matches!(graph.dag[id].op, Op::Const { .. } | Op::Input(InputKind::Mask))
}

/// Whether a residual branch starts or ends here: two consumers, or a sum of two activations.
pub(super) fn ends_branch(graph: &Graph, id: NodeId) -> bool {
    let readers = graph.consumers(id).into_iter().filter(|&c| !matches!(graph.dag[c].op, Op::Output));
    let forks =
        !matches!(graph.dag[id].op, Op::Input(_)) && readers.collect::<std::collections::BTreeSet<_>>().len() > 1;
    joins(graph, id) || forks
}

/// Whether a node is the sum of two activations.
pub(super) fn joins(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.dag[id].op, Op::Add) && graph.operands(id).iter().filter(|&&o| carries(graph, o)).count() == 2
}

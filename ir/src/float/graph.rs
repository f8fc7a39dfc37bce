//! The float graph itself: a petgraph DAG whose nodes are ops and whose edges carry the operand index.

use super::Op;
use petgraph::{Direction, graph::DiGraph, visit::EdgeRef};

/// Index of a node of a [`Graph`].
pub type NodeId = petgraph::graph::NodeIndex<u32>;

/// A node: one op, its name in the source model, and the width of its result.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name in the source model (for errors and tables).
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Features of the result (1 for token and mask inputs).
    pub features: usize,
    /// Whether the result consists of whole numbers that must come out exactly.
    pub exact: bool,
}

/// A model in canonical form.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Nodes and operand edges (edge weight: operand index at the target).
    pub dag: DiGraph<Node, usize, u32>,
    /// Number of tokens T of every activation.
    pub tokens: usize,
    /// Inputs in the order of the source model.
    pub inputs: Vec<NodeId>,
    /// Outputs in the order of the source model (nodes of kind [`Op::Output`]).
    pub outputs: Vec<NodeId>,
}

impl Graph {
    /// Adds a node with its operands.
    pub fn add(&mut self, name: impl Into<String>, op: Op, features: usize, operands: &[NodeId]) -> NodeId {
        let id = self.dag.add_node(Node { name: name.into(), op, features, exact: false });
        for (i, &src) in operands.iter().enumerate() {
            self.dag.add_edge(src, id, i);
        }
        id
    }

    /// Operands of `id`, in order.
    pub fn operands(&self, id: NodeId) -> Vec<NodeId> {
        let mut v: Vec<_> =
            self.dag.edges_directed(id, Direction::Incoming).map(|e| (*e.weight(), e.source())).collect();
        v.sort_unstable();
        v.into_iter().map(|(_, s)| s).collect()
    }

    /// Nodes that read `id`.
    pub fn consumers(&self, id: NodeId) -> Vec<NodeId> {
        self.dag.neighbors_directed(id, Direction::Outgoing).collect()
    }

    /// All nodes, operands before consumers; ties in insertion order.
    pub fn topo(&self) -> Vec<NodeId> {
        let mut pending: Vec<usize> =
            self.dag.node_indices().map(|n| self.dag.edges_directed(n, Direction::Incoming).count()).collect();
        let mut ready: std::collections::BTreeSet<NodeId> =
            self.dag.node_indices().filter(|n| pending[n.index()] == 0).collect();
        let mut out = Vec::with_capacity(pending.len());
        while let Some(n) = ready.pop_first() {
            out.push(n);
            for e in self.dag.edges_directed(n, Direction::Outgoing) {
                let t = e.target();
                pending[t.index()] -= 1;
                if pending[t.index()] == 0 {
                    ready.insert(t);
                }
            }
        }
        out
    }
}

//! One layer of a partition: a sub-graph in canonical order.

use nanozk_ir::float::{Graph, NodeId, Op};

/// Where an operand comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ref {
    /// Node of the segment, by position.
    Node(usize),
    /// Input port of the segment.
    Port(usize),
}

/// A layer of the float graph. Equal structures list their nodes in equal order, whatever order the exporter chose.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Nodes, operands first; constants and what is computed from inputs beside the stream included.
    pub nodes: Vec<NodeId>,
    /// Operands of each node.
    pub operands: Vec<Vec<Ref>>,
    /// Values read from outside: model inputs or earlier segments' outputs.
    pub inputs: Vec<NodeId>,
    /// Values that later segments read, and model outputs (nodes of kind [`Op::Output`]).
    pub outputs: Vec<NodeId>,
}

impl Segment {
    /// The segment of the given non-constant nodes of `graph`, in topological order, with those of `side` that they read.
    pub fn new(graph: &Graph, nodes: &[NodeId], side: &[bool]) -> Self {
        let inside: std::collections::BTreeSet<NodeId> = nodes.iter().copied().collect();
        let read_outside = |n: NodeId| graph.consumers(n).iter().any(|c| !inside.contains(c));
        let is_output = |n: NodeId| matches!(graph.dag[n].op, Op::Output);
        let mut s = Segment { nodes: vec![], operands: vec![], inputs: vec![], outputs: vec![] };
        s.outputs = nodes.iter().copied().filter(|&n| is_output(n) || read_outside(n)).collect();
        for out in s.outputs.clone() {
            s.visit(graph, &inside, side, out);
        }
        s
    }

    /// Appends `id` after its operands, depth first in operand order.
    fn visit(&mut self, graph: &Graph, inside: &std::collections::BTreeSet<NodeId>, side: &[bool], id: NodeId) -> Ref {
        if let Some(i) = self.nodes.iter().position(|&n| n == id) {
            return Ref::Node(i);
        }
        let own = side[id.index()] || matches!(graph.dag[id].op, Op::Const { .. });
        if !own && !inside.contains(&id) {
            let port = self.inputs.iter().position(|&n| n == id).unwrap_or_else(|| {
                self.inputs.push(id);
                self.inputs.len() - 1
            });
            return Ref::Port(port);
        }
        let operands = graph.operands(id).into_iter().map(|o| self.visit(graph, inside, side, o)).collect();
        self.nodes.push(id);
        self.operands.push(operands);
        Ref::Node(self.nodes.len() - 1)
    }

    /// Position of a node of the segment.
    pub fn position(&self, id: NodeId) -> Option<usize> {
        self.nodes.iter().position(|&n| n == id)
    }
}

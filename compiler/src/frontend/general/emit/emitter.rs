//! The float graph in the making.

use crate::frontend::general::{graph::Graph, tensor::Code};
use nanozk_ir::float::{self, NodeId};
use std::collections::HashMap;

/// Builds the float graph of one token.
pub(super) struct Emitter<'a> {
    pub graph: &'a Graph,
    pub out: float::Graph,
    /// Emitted nodes by node of the graph of references.
    pub nodes: HashMap<usize, NodeId>,
    /// Lists of elements that are no whole node.
    pub operands: HashMap<Vec<Code>, NodeId>,
}

impl Emitter<'_> {
    pub fn add(&mut self, name: &str, op: float::Op, features: usize, operands: &[NodeId]) -> NodeId {
        self.out.add(name, op, features, operands)
    }

    /// A node of whole numbers.
    pub fn add_exact(&mut self, name: &str, op: float::Op, features: usize, operands: &[NodeId]) -> NodeId {
        let id = self.add(name, op, features, operands);
        self.out.dag[id].exact = true;
        id
    }
}

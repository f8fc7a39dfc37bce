//! The shape of a layer: integer ops in evaluation order.

use super::Op;
use serde::{Deserialize, Serialize};

/// Index of a node of a [`Graph`].
pub type ValueId = u32;

/// One integer value: how it is computed, its width, and static bounds that hold for every layer of this shape and
/// every input in range.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Node {
    /// Name (source node of the float graph plus a suffix).
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Operands: earlier nodes.
    pub inputs: Vec<ValueId>,
    /// Features of the result.
    pub features: u32,
    /// Least possible value.
    pub lo: i64,
    /// Greatest possible value.
    pub hi: i64,
}

/// A layer shape. Nodes are in evaluation order (operands first).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// `[rows, cols]` of each weight matrix.
    pub weights: Vec<(u32, u32)>,
    /// Number of tables of `2^b` entries.
    pub tables: u32,
    /// Number of per-layer parameters.
    pub params: u32,
}

impl Graph {
    /// Appends a node and returns its id.
    pub fn push(&mut self, node: Node) -> ValueId {
        self.nodes.push(node);
        (self.nodes.len() - 1) as ValueId
    }
}

//! Lookups per layer: the main driver of proving cost.

use nanozk_ir::int::ops::{Ports, Site};
use nanozk_ir::int::{Graph, Model};
use serde::Serialize;

/// Lookup cells of one layer, all tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LookupCount {
    /// Sum.
    pub total: u64,
    /// By op of the integer graph, largest first.
    pub by_op: Vec<(String, u64)>,
    /// By node of the integer graph, largest first.
    pub by_node: Vec<(String, u64)>,
}

/// Counts the lookup cells of every shape of `model`: one per limb of every range-checked value, one per table entry.
pub fn lookups(model: &Model) -> Vec<LookupCount> {
    model.shapes.iter().map(|shape| count(shape, model.tokens, model.limb_bits)).collect()
}

fn count(shape: &Graph, tokens: u32, bits: u32) -> LookupCount {
    let mut by_op = std::collections::BTreeMap::<String, u64>::new();
    let mut by_node = Vec::new();
    for node in &shape.nodes {
        let cells = node.op.meaning().lookups(&Site::new(tokens, bits, shape, node, Ports::default()));
        if cells > 0 {
            *by_op.entry(node.op.name().into()).or_default() += cells;
            by_node.push((node.name.clone(), cells));
        }
    }
    let mut by_op: Vec<_> = by_op.into_iter().collect();
    by_op.sort_by_key(|p| std::cmp::Reverse(p.1));
    by_node.sort_by_key(|p| std::cmp::Reverse(p.1));
    LookupCount { total: by_op.iter().map(|p| p.1).sum(), by_op, by_node }
}

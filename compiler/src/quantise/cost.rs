//! Lookups per layer: the main driver of proving cost.

use nanozk_ir::int::gadgets::Site;
use nanozk_ir::int::{Graph, Model, Node, Op};
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
    model.shapes.iter().map(|shape| count(shape, model.tokens.into(), model.limb_bits)).collect()
}

fn count(shape: &Graph, tokens: u64, bits: u32) -> LookupCount {
    let mut by_op = std::collections::BTreeMap::<String, u64>::new();
    let mut by_node = Vec::new();
    for node in &shape.nodes {
        let cells = cells(shape, node, tokens, bits);
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

fn cells(shape: &Graph, node: &Node, tokens: u64, bits: u32) -> u64 {
    let width = |magnitude: i64| u64::from((64 - magnitude.unsigned_abs().leading_zeros()).div_ceil(bits).max(1));
    let operand = node.inputs.first().map(|&v| &shape.nodes[v as usize]);
    let n = u64::from(node.features);
    let per_token = match &node.op {
        Op::Requant { limbs, out_limbs, clamp } => {
            let excess = match (clamp, operand) {
                (true, Some(x)) => width((x.lo.unsigned_abs().max(x.hi.unsigned_abs()) >> (limbs * bits)) as i64),
                _ => 0,
            };
            n * (u64::from(limbs + out_limbs) + excess)
        }
        Op::Attend { keys, limbs, over_limbs, causal, .. } => {
            let pairs = if *causal { tokens * (tokens + 1) / 2 * keys.len() as u64 } else { tokens * n };
            return pairs * u64::from(limbs + 1 + over_limbs);
        }
        // The result, and both remainders of the two inequalities, which are below the operand (or twice its root).
        Op::Recip { .. } => n * (width(node.hi) + 2 * operand.map_or(0, |z| width(z.hi))),
        Op::RSqrt { .. } => n * (width(node.hi) + 2 * operand.map_or(0, |v| width(v.hi.saturating_mul(2)))),
        Op::Range { limbs } => n * u64::from(*limbs),
        Op::ArgMax { limbs, .. } => operand.map_or(0, |x| u64::from(x.features)) * u64::from(*limbs),
        Op::Gadget(gadget) => {
            let widths: Vec<usize> = node.inputs.iter().map(|&v| shape.nodes[v as usize].features as usize).collect();
            let site = Site { tokens: tokens as usize, limb_bits: bits, widths: &widths, features: n as usize };
            gadget.meaning().lookups(&site)
        }
        Op::Input { .. }
        | Op::Embed { .. }
        | Op::TokenBias { .. }
        | Op::Linear { .. }
        | Op::Diagonal { .. }
        | Op::Const { .. }
        | Op::Param { .. }
        | Op::Affine { .. }
        | Op::Table { .. }
        | Op::Mul
        | Op::Scores { .. }
        | Op::Context { .. }
        | Op::Output { .. } => 0,
    };
    tokens * per_token
}

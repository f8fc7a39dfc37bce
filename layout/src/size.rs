//! How much a graph asks of the layout, before anything is laid out.
//!
//! Features, vocabularies and limbs are numbers, so a short graph can ask for any number of cells. Units are cells and
//! terms of expressions, about a hundred bytes each.

use super::error::LayoutError;
use super::options::Ports;
use nanozk_ir::int::gadgets::Gadget;
use nanozk_ir::int::{Graph, Node, Op};

/// Units that a graph may still ask for.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Those left.
    pub left: u64,
}

impl Budget {
    /// For graphs that the caller made itself.
    pub const UNLIMITED: Budget = Budget { left: u64::MAX };

    /// Takes units.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn charge(&mut self, units: u64) -> Result<(), LayoutError> {
        self.left = self.left.checked_sub(units).ok_or(LayoutError::TooLarge { units, left: self.left })?;
        Ok(())
    }
}

/// An upper bound of the cells of a graph.
pub fn size(graph: &Graph, ports: &Ports, tokens: u32, limb_bits: u32) -> u64 {
    let ports = ports.inputs.iter().chain(&ports.outputs).map(|port| u64::from(port.features));
    let matrices = graph.weights.iter().map(|&(rows, _)| u64::from(rows));
    let nodes = graph.nodes.iter().map(|node| node_size(graph, node, tokens.into(), limb_bits));
    ports.chain(matrices).chain(nodes).fold(0, u64::saturating_add)
}

fn node_size(graph: &Graph, node: &Node, tokens: u64, limb_bits: u32) -> u64 {
    let width = |&id: &u32| graph.nodes.get(id as usize).map_or(0, |n| u64::from(n.features));
    let (operands, features) = (node.inputs.iter().map(width).fold(0, u64::saturating_add), u64::from(node.features));
    // Limbs of a quantity of any width.
    let any = u64::from(64u32.div_ceil(limb_bits.max(1)));
    let limbs = |limbs: &[u32]| limbs.iter().map(|&l| u64::from(l)).sum::<u64>();
    let (cells, more) = match &node.op {
        Op::Input { .. } | Op::Output { .. } | Op::Param { .. } | Op::Mul => (3, 0),
        Op::Table { .. } | Op::Scores { .. } | Op::Context { .. } | Op::Linear { .. } | Op::Diagonal { .. } => (2, 0),
        Op::TokenBias { .. } => (1, tokens),
        Op::Embed { vocab, .. } => (1, operands.saturating_mul((*vocab).into())),
        Op::Const { data, .. } => (1, data.len() as u64),
        Op::Affine { rows } => (1, rows.iter().map(|row| row.len() as u64).sum()),
        Op::Requant { limbs: l, out_limbs, clamp } => (2 + limbs(&[*l, *out_limbs]) + u64::from(*clamp) * 2 * any, 0),
        Op::Range { limbs: l } => (1 + limbs(&[*l]), 0),
        Op::Recip { .. } | Op::RSqrt { .. } => (8 + 3 * any, 0),
        Op::Attend { limbs: l, over_limbs, .. } => (5 + any + limbs(&[*l, *over_limbs]), 0),
        Op::ArgMax { limbs: l, .. } => (5 + limbs(&[*l]), 0),
        Op::Gadget(gadget) => match gadget {
            Gadget::Step(op) => (1 + limbs(&[op.limbs]), 0),
            Gadget::Max(op) => (2 + limbs(&[op.limbs]), 0),
            Gadget::FloorDiv(_) => (1 + 3 * any, 0),
            Gadget::MatMul(_) | Gadget::OneHot(_) | Gadget::Bits(_) => (2, 0),
            Gadget::Normalise(op) => (4 + limbs(&[op.limbs, op.limbs, op.limbs.saturating_mul(limb_bits)]), 0),
            Gadget::TopK(op) => (2 + 2 * limbs(&[op.limbs]), operands.saturating_mul(op.k.into())),
            Gadget::Div(op) => (4 + limbs(&[op.limbs, op.rest_limbs, op.rest_limbs]), 0),
            Gadget::Root(op) => (3 + limbs(&[op.limbs, op.rest_limbs, op.rest_limbs]), 0),
        },
    };
    operands.saturating_add(features).saturating_mul(cells).saturating_add(more)
}

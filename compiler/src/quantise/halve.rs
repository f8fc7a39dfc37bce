//! Limbs of half the width.

use nanozk_ir::int::gadgets::{Div, FloorDiv, Gadget, Max, Root, Step, TopK};
use nanozk_ir::int::{Model, Node, Op, Table};

/// The same integers with limbs of half the width, twice as many: activations have two limbs then. `None` for an odd width,
/// and for a model with an op that speaks of one limb: a table, a mantissa, a value that saturates.
pub fn halve_limbs(mut model: Model) -> Option<Model> {
    if !model.limb_bits.is_multiple_of(2) {
        return None;
    }
    model.limb_bits /= 2;
    for node in model.shapes.iter_mut().flat_map(|shape| &mut shape.nodes) {
        node.op = halved(node, model.limb_bits)?;
    }
    Some(model)
}

/// The op of a node with twice as many limbs, or as many as its bounds need.
fn halved(node: &Node, limb_bits: u32) -> Option<Op> {
    let own = Table::width(&[node.lo, node.hi])?.div_ceil(limb_bits);
    Some(match node.op {
        Op::Table { .. } | Op::Attend { .. } | Op::Requant { clamp: true, .. } => return None,
        Op::Requant { limbs, clamp, .. } => Op::Requant { limbs: 2 * limbs, out_limbs: own, clamp },
        Op::Range { .. } => Op::Range { limbs: own },
        Op::ArgMax { groups, limbs } => Op::ArgMax { groups, limbs: 2 * limbs },
        Op::Gadget(ref gadget) => match *gadget {
            Gadget::Step(Step { limbs }) => Step { limbs: 2 * limbs }.into(),
            Gadget::Max(Max { groups, limbs }) => Max { groups, limbs: 2 * limbs }.into(),
            Gadget::FloorDiv(FloorDiv { divisor, limbs }) => FloorDiv { divisor, limbs: 2 * limbs }.into(),
            // Its mantissas have one limb, whatever that is.
            Gadget::Normalise(_) => return None,
            Gadget::TopK(TopK { groups, k, limbs }) => TopK { groups, k, limbs: 2 * limbs }.into(),
            Gadget::Div(Div { limbs, rest_limbs }) => Div { limbs: 2 * limbs, rest_limbs: 2 * rest_limbs }.into(),
            Gadget::Root(Root { limbs, rest_limbs }) => Root { limbs: 2 * limbs, rest_limbs: 2 * rest_limbs }.into(),
            Gadget::MatMul(_) | Gadget::OneHot(_) | Gadget::Bits(_) => node.op.clone(),
        },
        Op::Input { .. }
        | Op::Output { .. }
        | Op::Embed { .. }
        | Op::TokenBias { .. }
        | Op::Linear { .. }
        | Op::Diagonal { .. }
        | Op::Const { .. }
        | Op::Param { .. }
        | Op::Affine { .. }
        | Op::Mul
        | Op::Recip { .. }
        | Op::RSqrt { .. }
        | Op::Scores { .. }
        | Op::Context { .. } => node.op.clone(),
    })
}

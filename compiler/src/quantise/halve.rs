//! Limbs of half the width.

use nanozk_ir::int::{Model, Table};

/// The same integers with limbs of half the width, twice as many: activations have two limbs then. `None` for an odd width,
/// and for a model with an op that speaks of one limb: a table, a mantissa, a value that saturates.
pub fn halve_limbs(mut model: Model) -> Option<Model> {
    if !model.limb_bits.is_multiple_of(2) {
        return None;
    }
    model.limb_bits /= 2;
    for node in model.shapes.iter_mut().flat_map(|shape| &mut shape.nodes) {
        let own = Table::width(&[node.lo, node.hi])?.div_ceil(model.limb_bits);
        if !node.op.meaning_mut().halve(own) {
            return None;
        }
    }
    Some(model)
}

//! Model inputs: real numbers, and whole numbers with the range that their use or the sample data gives them.

use super::graph::{BIT, Whole};
use super::read::Read;
use crate::frontend::refusal::refuse;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::{array, binary::TypedBinOp, cast::Cast, change_axes::AxisOp};

/// Range of the input of whole numbers at `outlet`; none for an input of real numbers. `seen` is the extent of the
/// sample data.
pub(super) fn range(model: &TypedModel, outlet: OutletId, seen: Option<(f64, f64)>) -> Read<Option<Whole>> {
    let fact = model.outlet_fact(outlet)?;
    if fact.datum_type.is_float() {
        return Ok(None);
    }
    if fact.datum_type == bool::datum_type() {
        return Ok(Some(BIT));
    }
    let name = &model.node(outlet.node).name;
    match (indexed(model, outlet), seen) {
        (Some(rows), Some((lo, _))) if lo < 0.0 => Ok(Some((-(rows as f64), rows as f64 - 1.0))),
        (Some(rows), _) => Ok(Some((0.0, rows as f64 - 1.0))),
        (None, Some((lo, hi))) if lo >= BIT.0 && hi <= BIT.1 => Ok(Some(BIT)),
        (None, Some((lo, hi))) => {
            let room = |v: f64| (v.abs() + 1.0).log2().ceil().exp2() - 1.0;
            let least = match lo {
                _ if lo < 0.0 => -room(lo) - 1.0,
                _ if lo >= 1.0 && divides(model, outlet) => 1.0,
                _ => 0.0,
            };
            let (low, high) = held(fact.datum_type);
            Ok(Some((least.max(low), room(hi).max(0.0).min(high))))
        }
        (None, None) if name.to_lowercase().contains("mask") => Ok(Some(BIT)),
        (None, None) => Err(refuse("a whole number of unknown range", "give sample data with --data")),
    }
}

/// The numbers that an integer type holds.
fn held(datum: DatumType) -> (f64, f64) {
    let size = (8.0 * datum.size_of() as f64).exp2();
    if datum.is_signed() { (-size / 2.0, size / 2.0 - 1.0) } else { (0.0, size - 1.0) }
}

/// Whether the elements of `outlet` divide others, moved or not on the way.
fn divides(model: &TypedModel, outlet: OutletId) -> bool {
    model.node(outlet.node).outputs[outlet.slot].successors.iter().any(|next| {
        let node = model.node(next.node);
        let divisor = |op: &TypedBinOp| next.slot == 1 && matches!(op.0.name(), "Div" | "Rem");
        node.op_as::<TypedBinOp>().is_some_and(divisor) || moves(node) && divides(model, OutletId::new(node.id, 0))
    })
}

/// Whether a node gives the elements of its input as they are.
fn moves(node: &TypedNode) -> bool {
    node.op_is::<Cast>()
        || node.op_is::<AxisOp>()
        || node.op_is::<array::Slice>()
        || node.op_is::<array::MultiBroadcastTo>()
        || node.op_is::<array::FiniteReshape>()
}

/// Fewest places of an axis that the elements of `outlet` index, moved or cast on the way.
fn indexed(model: &TypedModel, outlet: OutletId) -> Option<usize> {
    let successors = &model.node(outlet.node).outputs[outlet.slot].successors;
    let rows = successors.iter().filter_map(|next| {
        let node = model.node(next.node);
        let gather = node.op_as::<array::Gather>().map(|op| op.axis);
        let axis = gather.or(node.op_as::<array::GatherElements>().map(|op| op.axis));
        if let Some(marked) = node.op_as::<array::OneHot>() {
            return Some(marked.dim);
        }
        if let (Some(axis), 1) = (axis, next.slot) {
            let data = model.outlet_fact(node.inputs[0]).ok()?;
            return data.shape.as_concrete().and_then(|s| s.get(axis).copied());
        }
        if moves(node) { indexed(model, OutletId::new(node.id, 0)) } else { None }
    });
    rows.min()
}

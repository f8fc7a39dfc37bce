//! Model inputs: real numbers, and whole numbers with the range that their use or the sample data gives them.

use super::graph::{BIT, Whole};
use super::read::{Read, numbers};
use crate::frontend::refusal::{Refusal, refuse};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::EvalContext;
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
    let shape = fact.shape.as_concrete().ok_or(Refusal::bare("a shape with symbols"))?;
    let limits = limits(model, outlet, shape)?;
    // Sample data names rows of its own axes; without any, indices that all axes have are safe.
    let indexed = limits.iter().flatten().copied();
    let rows = if seen.is_some() { indexed.max() } else { indexed.min() }.map(|rows| rows as f64);
    let Some((lo, hi)) = seen else {
        return match rows {
            Some(rows) => Ok(Some((0.0, rows - 1.0))),
            None if name.to_lowercase().contains("mask") => Ok(Some(BIT)),
            None => Err(refuse("a whole number of unknown range", "give sample data with --data")),
        };
    };
    let named = rows.map(|rows| (if lo < 0.0 { -rows } else { 0.0 }, rows - 1.0));
    if let Some(named) = named
        && limits.iter().all(Option::is_some)
    {
        return Ok(Some(named));
    }
    let (low, high) = held(fact.datum_type);
    let free = if lo >= BIT.0 && hi <= BIT.1 {
        BIT
    } else {
        let room = |v: f64| (v.abs() + 1.0).log2().ceil().exp2() - 1.0;
        let least = match lo {
            _ if lo < 0.0 => -room(lo) - 1.0,
            _ if lo >= 1.0 && divides(model, outlet) => 1.0,
            _ => 0.0,
        };
        (least.max(low), room(hi).max(0.0).min(high))
    };
    let (lo, hi) = named.unwrap_or(free);
    Ok(Some((lo.min(free.0), hi.max(free.1))))
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

/// For each element of an input of this shape the fewest places of an axis that it indexes, moved or cast on the way.
fn limits(model: &TypedModel, outlet: OutletId, shape: &[usize]) -> Read<Vec<Option<usize>>> {
    let places: Vec<i64> = (0..shape.iter().product::<usize>() as i64).collect();
    let mut limits = vec![None; places.len()];
    limit(model, outlet, &Tensor::from_shape(shape, &places)?, &mut limits);
    Ok(limits)
}

/// Lowers `limits` by the uses of `outlet`, that holds the elements at `places` of an input.
fn limit(model: &TypedModel, outlet: OutletId, places: &Tensor, limits: &mut [Option<usize>]) {
    for next in &model.node(outlet.node).outputs[outlet.slot].successors {
        let node = model.node(next.node);
        let gather = node.op_as::<array::Gather>().map(|op| op.axis);
        let axis = gather.or(node.op_as::<array::GatherElements>().map(|op| op.axis));
        let rows = match (axis, node.op_as::<array::OneHot>()) {
            (_, Some(marked)) => Some(marked.dim),
            (Some(axis), _) if next.slot == 1 => {
                let data = model.outlet_fact(node.inputs[0]).ok().and_then(|fact| fact.shape.as_concrete());
                data.and_then(|shape| shape.get(axis).copied())
            }
            _ => None,
        };
        if let Some(rows) = rows {
            for place in numbers(places).unwrap_or_default() {
                if let Some(limit) = limits.get_mut(place as usize) {
                    *limit = Some(limit.map_or(rows, |l| l.min(rows)));
                }
            }
        } else if next.slot == 0
            && let Some(moved) = moved(model, node, places)
        {
            limit(model, OutletId::new(node.id, 0), &moved, limits);
        }
    }
}

/// The places of what a node moves; `None` where it does something else, or moves by what is not known.
fn moved(model: &TypedModel, node: &TypedNode, places: &Tensor) -> Option<Tensor> {
    if node.op_is::<Cast>() {
        return Some(places.clone());
    }
    if !moves(node) && !node.op_is::<array::Gather>() {
        return None;
    }
    let known = |input: &OutletId| Some(model.outlet_fact(*input).ok()?.konst.clone()?.into_tvalue());
    let others = node.inputs.iter().skip(1).map(known).collect::<Option<TVec<_>>>()?;
    let inputs = std::iter::once(places.clone().into_tvalue()).chain(others).collect();
    let moved = node.op.eval(&EvalContext::out_of_plan(), inputs).ok()?.pop()?.into_tensor();
    (moved.datum_type() == i64::datum_type()).then_some(moved)
}

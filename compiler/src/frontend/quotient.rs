//! Quotients of whole numbers, as ONNX rounds them.
//!
//! tract makes of every quotient of floats a product with a reciprocal, which is another number in its last digit: 49 times
//! the float next to 1/49 is less than 1. Where a floor, a comparison or a cast follows, a whole number is lost by it.

use std::collections::HashSet;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::{
    bin_to_super_type,
    internal::*,
    ops::{binary::TypedBinOp, cast::Cast, change_axes::AxisOp, element_wise::ElementWiseOp, konst::Const, math::Div},
};

/// Most nodes between a cast of integers and the quotient, and between the quotient and what makes a whole number of it.
const MOST_STEPS: usize = 16;

bin_to_super_type!(quotient, Quotient, is_commutative: false, [f32] => |c, &a, &b| *c = a / b);

/// Keeps quotients of whole numbers, of which a whole number or a truth value is made, from becoming products.
pub(super) fn keep(model: &mut TypedModel) {
    let is_quotient = |node: &TypedNode| {
        let div = node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Div>());
        div && node.outputs[0].fact.datum_type == f32::datum_type()
    };
    let found = model.nodes.iter().filter(|node| is_quotient(node));
    let found = found.filter(|node| is_whole(model, node.inputs[0], 0) && jumps(model, node.id));
    for id in found.map(|node| node.id).collect::<Vec<_>>() {
        model.nodes[id].op = Box::new(quotient());
    }
}

/// Whether a value is a whole number for what it is made of.
fn is_whole(model: &TypedModel, outlet: OutletId, depth: usize) -> bool {
    let node = model.node(outlet.node);
    if !node.outputs[outlet.slot].fact.datum_type.is_float() {
        return true;
    }
    if depth > MOST_STEPS {
        return false;
    }
    let all = || !node.inputs.is_empty() && node.inputs.iter().all(|&input| is_whole(model, input, depth + 1));
    if let Some(constant) = node.op_as::<Const>() {
        let values = constant.val().cast_to::<f32>();
        return values.is_ok_and(|v| v.to_plain_array_view::<f32>().is_ok_and(|v| v.iter().all(|x| x.fract() == 0.0)));
    }
    match &*node.op.name() {
        "Add" | "Sub" | "Mul" | "Max" | "Min" => node.op_is::<TypedBinOp>() && all(),
        "Floor" | "Ceil" | "Round" | "RoundHalfToEven" => true,
        "Neg" | "Abs" => node.op_is::<ElementWiseOp>() && all(),
        _ => (node.op_is::<Cast>() || node.op_is::<AxisOp>()) && all(),
    }
}

/// Whether a whole number or a truth value is made of what a node gives, element by element.
fn jumps(model: &TypedModel, id: usize) -> bool {
    let (mut seen, mut open) = (HashSet::new(), vec![(id, 0)]);
    while let Some((id, depth)) = open.pop() {
        for next in model.node(id).outputs.iter().flat_map(|output| &output.successors) {
            let node = model.node(next.node);
            if !node.outputs[0].fact.datum_type.is_float() {
                return true;
            }
            if let "Floor" | "Ceil" | "Round" | "RoundHalfToEven" | "Rem" = &*node.op.name() {
                return true;
            }
            let elementwise = node.op_is::<TypedBinOp>()
                || node.op_is::<ElementWiseOp>()
                || node.op_is::<AxisOp>()
                || node.op_is::<Cast>();
            if elementwise && depth < MOST_STEPS && seen.insert(node.id) {
                open.push((node.id, depth + 1));
            }
        }
    }
    false
}

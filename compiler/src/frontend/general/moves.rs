//! Data movement: carried out on the element references by tract itself.

use super::read::{Read, Reader, Value};
use super::tensor::View;
use crate::frontend::refusal::refuse;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::nn::NearestUpsample;
use tract_onnx::tract_core::ops::{self, array, change_axes, downsample, identity};

/// Which operands of a movement are moved; the others say how.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moves {
    First,
    All,
    FirstAndThird,
}

impl Moves {
    fn operand(self, slot: usize) -> bool {
        slot == 0 || self == Moves::All || (self == Moves::FirstAndThird && slot == 2)
    }
}

/// What a node moves, if it is a movement.
fn moves(node: &TypedNode) -> Option<Moves> {
    let first = node.op_is::<change_axes::AxisOp>()
        || node.op_is::<change_axes::IntoShape>()
        || node.op_is::<array::FiniteReshape>()
        || node.op_is::<array::Slice>()
        || node.op_is::<array::StridedSlice>()
        || node.op_is::<array::MultiBroadcastTo>()
        || node.op_is::<array::Tile>()
        || node.op_is::<array::DynTile>()
        || node.op_is::<array::Gather>()
        || node.op_is::<array::GatherElements>()
        || node.op_is::<array::GatherNd>()
        || node.op_is::<array::Trilu>()
        || node.op_is::<array::Pad>()
        || node.op_is::<identity::Identity>()
        || node.op_is::<downsample::Downsample>()
        || node.op_is::<NearestUpsample>();
    if node.op_is::<array::TypedConcat>() {
        Some(Moves::All)
    } else if scatters(node) {
        Some(Moves::FirstAndThird)
    } else {
        first.then_some(Moves::First)
    }
}

/// Whether a node writes elements to places that constants name.
fn scatters(node: &TypedNode) -> bool {
    node.op_as::<array::ScatterNd>().is_some_and(|op| op.reduction == array::ScatterReduction::None)
        || node.op_as::<array::ScatterElements>().is_some_and(|op| op.reduction == array::ScatterReduction::None)
}

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let Some(moves) = moves(node) else { return Ok(None) };
    let mut operands: TVec<TValue> = tvec!();
    for (slot, value) in args.iter().enumerate() {
        operands.push(match value {
            value if moves.operand(slot) => r.view(value)?.tensor()?.into_tvalue(),
            Value::Const(t) => index(t)?.into_tvalue(),
            // Places that are known only when the model runs.
            Value::View(_) => return Ok(None),
        });
    }
    let results = match node.op_as::<array::Pad>() {
        Some(pad) => padding(r, pad)?.eval_out_of_plan(operands),
        None => node.op.eval_out_of_plan(operands),
    };
    let results = results?.ok_or(refuse("this movement has a state of its own", "export the model without it"))?;
    let views = results.iter().map(|t| Ok(Value::View(View::from_tensor(t)?))).collect::<TractResult<Vec<_>>>();
    Ok(Some(views?))
}

/// Indices as the numbers that tract's movements take.
fn index(t: &Arc<Tensor>) -> Read<Arc<Tensor>> {
    if t.datum_type() != TDim::datum_type() {
        return Ok(t.clone());
    }
    Ok(t.cast_to::<i64>()?.into_owned().into_arc_tensor())
}

/// The same padding with a reference as filling.
fn padding(r: &mut Reader, pad: &array::Pad) -> Read<Box<dyn TypedOp>> {
    let mode = match &pad.mode {
        array::PadMode::Constant(value) => {
            let value: f64 = value.cast_to_scalar()?;
            array::PadMode::Constant(tensor0(r.graph.pool.code(value).raw()).into_arc_tensor())
        }
        other => other.clone(),
    };
    Ok(Box::new(array::Pad { pads: pad.pads.clone(), mode }) as Box<dyn ops::TypedOp>)
}

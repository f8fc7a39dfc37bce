//! Movements of data, which tract carries out on the element codes of views.

use super::lowering::{Lower, Value};
use crate::frontend::rows::matrix_graph::{ByRows, NotByRows};
use crate::frontend::rows::view::View;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::{self, array};

/// Whether a node only moves data.
pub(super) fn moves_data(node: &TypedNode) -> bool {
    node.op_is::<ops::change_axes::AxisOp>()
        || node.op_is::<array::Slice>()
        || node.op_is::<array::StridedSlice>()
        || node.op_is::<array::TypedConcat>()
        || node.op_is::<array::MultiBroadcastTo>()
        || node.op_is::<array::Tile>()
        || node.op_is::<array::Gather>()
        || node.op_is::<array::FiniteReshape>()
        || node.op_is::<ops::identity::Identity>()
        || node.op_is::<ops::downsample::Downsample>()
}

impl Lower<'_> {
    /// Runs a data movement on the element codes.
    pub(super) fn wiring(&mut self, node: &TypedNode, inputs: &[Value]) -> ByRows<Value> {
        let mut args: TVec<TValue> = tvec!();
        for (i, value) in inputs.iter().enumerate() {
            args.push(match value {
                Value::View(v) => v.tensor()?.into_tvalue(),
                Value::Const(t) if node.op_is::<array::Gather>() && i == 1 => t.clone().into_tvalue(),
                Value::Const(_) => return Err(NotByRows), // Joins activations and constants.
                _ => return Err(NotByRows), // Joins activations and values computed from token ids or a mask.
            });
        }
        let moved = node.op.eval_out_of_plan(args)?;
        // Tract cannot evaluate this data movement.
        let moved = moved.and_then(|m| m.into_iter().next()).ok_or(NotByRows)?;
        Ok(Value::View(View::from_tensor(&moved)?))
    }
}

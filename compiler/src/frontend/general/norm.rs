//! Root-mean-square normalisation over one axis.

use super::graph::Op;
use super::groups::grouped;
use super::read::{Read, Reader, Value};
use super::tensor::{View, axes, offsets};
use nanozk_ir::float::NormKind;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::nn::RmsNorm;

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<RmsNorm>() else { return Ok(None) };
    let eps = op.eps.cast_to_scalar::<f32>()?;
    let x = r.view(&args[0])?;
    let (groups, codes) = grouped(&x, &[op.axis]);
    let features = codes.len();
    let kind = NormKind::Rms;
    let normal = r.graph.add(Op::Norm { kind, groups, eps, gamma: None, beta: None }, vec![codes], features, None);
    let order = (0..x.shape.len()).filter(|&a| a != op.axis).chain([op.axis]);
    let mut out = normal.clone();
    offsets(&axes(&x.shape, order)).into_iter().zip(normal).for_each(|(place, code)| out[place] = code);
    Ok(Some(vec![Value::View(View::new(&x.shape, out))]))
}

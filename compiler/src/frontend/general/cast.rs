//! Casts between types of elements.

use super::integer;
use super::read::{Read, Reader, Value};
use super::tensor::{View, ZERO};
use nanozk_ir::float::{Binary, UnaryFn};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cast::Cast;

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Cast>() else { return Ok(None) };
    let x = r.view(&args[0])?;
    let codes = if op.to == bool::datum_type() {
        to_bits(r, &x)
    } else if op.to.is_float() {
        x.codes.to_vec()
    } else if r.graph.whole_of(&x.codes).is_some() {
        integer::wrap(r.graph, &x.codes, op.to)?
    } else if let Some(codes) = r.of_quotient(&UnaryFn::Trunc, &x.codes)? {
        codes
    } else {
        r.graph.unary(UnaryFn::Trunc, &x.codes)
    };
    Ok(Some(vec![Value::View(View::new(&x.shape, codes))]))
}

/// Whether each element is not 0.
fn to_bits(r: &mut Reader, x: &View) -> Vec<super::tensor::Code> {
    if x.codes.iter().all(|&c| r.graph.is_bit(c)) {
        return x.codes.to_vec();
    }
    let zero = r.graph.binary(Binary::Equal, &x.codes, &vec![ZERO; x.codes.len()]);
    r.graph.unary(UnaryFn::Not, &zero)
}

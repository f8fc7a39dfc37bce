//! Forms of ONNX operators that tract reads otherwise than ONNX means them.

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
    tensor,
};
use crate::frontend::refusal::{Refusal, incorrect, lacks, missing};
use tract_onnx::{
    pb::{NodeProto, tensor_proto::DataType},
    tract_hir::internal::*,
};

/// `Cast` to 64-bit integers. tract takes what it makes for lengths of axes, which cannot be added up along an axis or
/// stand in a circuit; from `CastLike` it takes integers.
pub(super) fn cast(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    if node.int("to", 0) != DataType::Int64 as i64 {
        return Ok(Outcome::Kept);
    }
    let like = make.constant("type", &tensor0(0i64))?;
    make.last("CastLike", &[x, &like], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// The attribute of a shift whose places are known to be binary digits of its type.
const WITHIN: &str = "within";

/// `BitShift` by numbers of places that are none of the type's digits, of which tract takes the lowest bits: all digits go,
/// and of a negative number moved right the sign is left.
pub(super) fn bit_shift(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.out(0)?));
    let (x, by, y) = parts().ok_or_else(missing)?;
    if node.attribute(WITHIN).is_some() {
        return Ok(Outcome::Kept);
    }
    let Some(kind) = make.facts.and_then(|facts| facts.datum_type(x)) else { return Ok(Outcome::Later) };
    let digits = 8 * kind.size_of() as i64;
    if let Some(by) = make.net.constant(by)?
        && tensor::integers(&by)?.iter().all(|by| (0..digits).contains(by))
    {
        return Ok(Outcome::Kept);
    }
    let number = |make: &mut Builder<'_, '_>, part: &str, value: i64| {
        let value = make.constant(&format!("{part}_value"), &tensor0(value))?;
        Ok::<_, Refusal>(make.op(part, "CastLike", &[&value, x], Vec::new()))
    };
    let (zero, digits) = (number(make, "zero", 0)?, number(make, "digits", digits)?);
    let below = make.op("below", "Less", &[by, &digits], Vec::new());
    let mut far = make.op("beyond", "Not", &[&below], Vec::new());
    let mut rest = zero.clone();
    if kind.is_signed() {
        let negative = make.op("backwards", "Less", &[by, &zero], Vec::new());
        far = make.op("far", "Or", &[&far, &negative], Vec::new());
        if node.text("direction") == "RIGHT" {
            let (sign, ones) = (make.op("sign", "Less", &[x, &zero], Vec::new()), number(make, "ones", -1)?);
            rest = make.op("rest", "Where", &[&sign, &ones, &zero], Vec::new());
        }
    }
    let near = make.op("near", "Where", &[&far, &zero, by], Vec::new());
    let attributes = node.attribute.iter().cloned().chain([node::int(WITHIN, 1)]).collect();
    let shifted = make.op("shifted", "BitShift", &[x, &near], attributes);
    make.last("Where", &[&far, &rest, &shifted], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `GatherND` and `ScatterND` with constant indices that count from the end of an axis.
pub(super) fn from_the_end(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (data, indices) = node.at(0).zip(node.at(1)).ok_or_else(|| lacks("an input"))?;
    let Some(value) = make.net.constant(indices)? else { return Ok(Outcome::Kept) };
    let numbers = tensor::integers(&value)?;
    if numbers.iter().all(|&i| i >= 0) {
        return Ok(Outcome::Kept);
    }
    let Some(shape) = make.shape(data) else { return Ok(Outcome::Later) };
    let skipped = usize::try_from(node.int("batch_dims", 0)).unwrap_or(0);
    let width = value.shape().last().copied().unwrap_or(1).max(1);
    let place = |(flat, index): (usize, i64)| match shape.get(skipped + flat % width) {
        Some(&length) if index < 0 => Some(index + length as i64).filter(|&i| i >= 0),
        Some(_) => Some(index),
        None => None,
    };
    let places: Option<Vec<i64>> = numbers.into_iter().enumerate().map(place).collect();
    let places = places.ok_or(incorrect("its indices lie outside of its data"))?;
    let places = tensor1(&places).into_shape(value.shape())?;
    let places = make.constant("indices", &places)?;
    let mut inputs: Vec<String> = node.input.clone();
    inputs[1] = places;
    make.nodes.push(NodeProto { input: inputs, name: node.label().to_owned(), ..node.clone() });
    Ok(Outcome::Replaced)
}

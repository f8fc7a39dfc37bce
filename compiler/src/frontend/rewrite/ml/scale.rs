//! Scaling of features, and filling of gaps.

use super::model::ends;
use crate::frontend::refusal::incorrect;
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// (x - offset) * scale.
pub(super) fn scaler(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let x = make.as_float("float", x);
    let offset = make.constant("offset", &tensor1(node.floats("offset")))?;
    let scale = make.constant("scale", &tensor1(node.floats("scale")))?;
    let centred = make.op("centred", "Sub", &[&x, &offset], Vec::new());
    make.last("Mul", &[&centred, &scale], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// Each row divided by its sum of absolute values, its length, or its greatest value; rows of zeros stay.
pub(super) fn normalizer(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let norm = node.text("norm");
    // Weights that add up to 1 already.
    if norm == "L1" && make.net.producer(x).is_some_and(|n| n.op_type == "Softmax") {
        make.last("Identity", &[x], y, Vec::new());
        return Ok(Outcome::Replaced);
    }
    let positive = make.net.producer(x).is_some_and(|n| n.op_type == "Sigmoid");
    let x = make.as_float("float", x);
    let size = match &norm[..] {
        "L1" => {
            let sizes = if positive { x.clone() } else { make.op("sizes", "Abs", &[&x], Vec::new()) };
            make.reduce("sum", "ReduceSum", &sizes, &[1])?
        }
        "L2" => {
            let squares = make.mul("squares", &x, &x);
            let sum = make.reduce("sum", "ReduceSum", &squares, &[1])?;
            make.op("length", "Sqrt", &[&sum], Vec::new())
        }
        "" | "MAX" => make.reduce("greatest", "ReduceMax", &x, &[1])?,
        other => return Err(incorrect(format!("its norm \"{other}\" is not known"))),
    };
    let zero = make.scalar("zero", 0.0)?;
    let one = make.scalar("one", 1.0)?;
    let empty = make.op("empty", "Equal", &[&size, &zero], Vec::new());
    let divisor = make.op("divisor", "Where", &[&empty, &one, &size], Vec::new());
    make.last("Div", &[&x, &divisor], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// Values in place of a marker of what is missing. A missing value that is marked by NaN cannot be proven: inputs are
/// finite.
pub(super) fn imputer(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let (values, marker) = match node.ints("imputed_value_int64s") {
        [] => {
            let marker = node.float("replaced_value_float", 0.0);
            if marker.is_nan() {
                make.last("Identity", &[x], y, Vec::new());
                return Ok(Outcome::Replaced);
            }
            (tensor1(node.floats("imputed_value_floats")), tensor0(marker))
        }
        values => (tensor1(values), tensor0(node.int("replaced_value_int64", 0))),
    };
    let (values, marker) = (make.constant("values", &values)?, make.constant("marker", &marker)?);
    let missing = make.op("missing", "Equal", &[x, &marker], Vec::new());
    make.last("Where", &[&missing, &values, x], y, Vec::new());
    Ok(Outcome::Replaced)
}

//! Activations, and rotary embedding with its scale.

use crate::frontend::refusal::{lacks, missing, refuse};
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use tract_onnx::pb::NodeProto;

fn ends(node: &NodeProto) -> Rewritten<(&str, &str)> {
    node.at(0).zip(node.out(0)).ok_or_else(missing)
}

/// The exact Gelu.
pub(super) fn gelu(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    make.last("Gelu", &[x], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// An operator that means what ONNX's of the same name does.
pub(super) fn without_domain(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    make.nodes.push(NodeProto { domain: String::new(), ..node.clone() });
    Ok(Outcome::Replaced)
}

/// x + bias + skip.
pub(super) fn bias_add(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let (Some(bias), Some(skip)) = (node.at(1), node.at(2)) else {
        return Err(lacks("its bias or skip"));
    };
    let sum = make.add("bias", x, bias);
    make.last("Add", &[&sum, skip], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// With x + bias = [a, b]: a gelu(b).
pub(super) fn bias_split_gelu(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let bias = node.at(1).ok_or_else(|| lacks("its bias"))?;
    let Some(&[width]) = make.shape(bias).as_deref() else { return Ok(Outcome::Later) };
    let half = (width / 2) as i64;
    let sum = make.add("sum", x, bias);
    let (a, b) = (make.slice("left", &sum, -1, 0, half)?, make.slice("right", &sum, -1, half, i64::MAX)?);
    let b = make.op("gelu", "Gelu", &[&b], Vec::new());
    make.last("Mul", &[&a, &b], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// Rotary embedding: ONNX's with its inputs in another order, and one start position in place of one per token.
pub(super) fn rotary(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let (Some(places), Some(cos), Some(sin)) = (node.at(1), node.at(2), node.at(3)) else {
        return Err(lacks("positions or tables"));
    };
    if node.int("is_packed_batching", 0) != 0 {
        return Err(refuse(
            "batches without padding are not supported",
            "export the model with is_packed_batching = 0",
        ));
    }
    let (Some(rank), Some(shape), Some(tokens)) = (make.rank(places), make.shape(x), make.shape(cos)) else {
        return Ok(Outcome::Later);
    };
    let mut places = places.to_owned();
    if rank < 2 {
        let count = make.length("tokens", x, if shape.len() == 4 { 2 } else { 1 })?;
        let range = make.range("places", &count)?;
        let moved = make.add("moved", &range, &places);
        places = make.reshape("batch", &moved, &[1, -1])?;
    }
    let scale = node.float("scale", 1.0);
    let x = make.scale("scaled", x, scale)?;
    let half = tokens.last().map_or(0, |&n| n as i64);
    let mut heads = node.int("num_heads", 0);
    let mut rotated = node.int("rotary_embedding_dim", 0);
    if shape.len() == 3 && heads == 0 {
        heads = shape[2] as i64 / (2 * half).max(1);
    }
    if rotated == 0 {
        rotated = 2 * half;
    }
    let attributes = vec![
        node::int("interleaved", node.int("interleaved", 0)),
        node::int("num_heads", heads),
        node::int("rotary_embedding_dim", rotated),
    ];
    make.last("RotaryEmbedding", &[&x, cos, sin, &places], y, attributes);
    Ok(Outcome::Replaced)
}

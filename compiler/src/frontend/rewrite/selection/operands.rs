//! What a node says of axes and whole numbers, and why it cannot be followed.

use crate::frontend::refusal::{Refusal, incorrect, refuse};
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    tensor,
};
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

/// Why a node that reads selected rows cannot be rewritten.
pub(super) fn mixes() -> Refusal {
    refuse(
        "it reads rows whose number depends on data, and it is not known to compute each by itself and put it back",
        "export the model so that it computes all rows and weighs those that do not count by 0",
    )
}

/// A value that is 0 where this one is.
pub(super) fn as_is<'n>(make: &'n Builder<'_, '_>, mut name: &'n str) -> &'n str {
    let same = |node: &&NodeProto| match &node.op_type[..] {
        "Identity" => true,
        "Cast" => node.int("to", 0) == DataType::Bool as i64,
        _ => false,
    };
    while let Some(input) = make.net.producer(name).filter(same).and_then(|node| node.at(0)) {
        name = input;
    }
    name
}

/// An axis that may count from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Rewritten<usize> {
    node::place(axis, rank).ok_or_else(|| incorrect(format!("its axis {axis} lies outside of {rank} axes")))
}

/// Integers that follow from constants and shapes.
pub(super) fn known(make: &Builder<'_, '_>, name: Option<&str>) -> Rewritten<Option<Vec<i64>>> {
    let Some(name) = name else { return Ok(None) };
    let value = make.net.constant(name)?.or_else(|| make.facts?.value(name));
    value.map(|v| tensor::integers(&v).map_err(Refusal::from)).transpose()
}

/// The axes of a node, as attribute or input.
pub(super) fn axes(make: &Builder<'_, '_>, node: &NodeProto, rank: usize) -> Rewritten<Option<Vec<usize>>> {
    let given = match known(make, node.at(1))? {
        Some(axes) => axes,
        None if node.at(1).is_none() => node.ints("axes").to_vec(),
        None => return Ok(None),
    };
    if given.is_empty() {
        return Ok(None);
    }
    given.into_iter().map(|a| axis(a, rank)).collect::<Rewritten<_>>().map(Some)
}

//! `Pad` by negative amounts, which cuts values off: the padding that there is, then a slice.

use super::{builder::Builder, control::all, moves, net::Rewritten, node, node::Parts, rule::Outcome};
use crate::frontend::refusal::{incorrect, missing};
use tract_onnx::pb::NodeProto;

/// `Pad` of which some amounts are negative.
pub(super) fn pad(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let whole = |make: &Builder<'_, '_>, slot: usize| match node.at(slot) {
        Some(value) => all(make.net, make.facts, value),
        None => Ok(None),
    };
    let amounts = match node.ints("pads") {
        [] => whole(make, 1)?,
        pads => Some(pads.to_vec()),
    };
    let Some(amounts) = amounts.filter(|a| a.iter().any(|&n| n < 0)) else { return moves::filling(make, node) };
    let half = amounts.len() / 2;
    let axes = match node.at(3) {
        None => (0..half as i64).collect(),
        Some(_) => match whole(make, 3)? {
            Some(axes) if axes.len() == half => axes,
            Some(_) => return Err(incorrect("it has not two amounts for each axis")),
            None => return Ok(Outcome::Later),
        },
    };
    let padding: Vec<i64> = amounts.iter().map(|&n| n.max(0)).collect();
    let mut value = x.to_owned();
    if node.ints("pads").is_empty() {
        let mut inputs = node.input.clone();
        inputs[1] = make.list("pads", &padding)?;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        value = make.op("padded", "Pad", &inputs, node.attribute.clone());
    } else {
        let others = node.attribute.iter().filter(|a| a.name != "pads").cloned();
        value = make.op("padded", "Pad", &[&value], others.chain([node::ints("pads", &padding)]).collect());
    }
    for (i, &axis) in axes.iter().enumerate() {
        let (from, cut) = ((-amounts[i]).max(0), (-amounts[half + i]).max(0));
        if from > 0 || cut > 0 {
            value = make.slice("cropped", &value, axis, from, if cut > 0 { -cut } else { i64::MAX })?;
        }
    }
    make.export(&value, Some(y));
    Ok(Outcome::Replaced)
}

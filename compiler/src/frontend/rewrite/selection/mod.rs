//! Rows that a mask selects, each computed by itself and put back: the routing of experts as exporters write it.
//!
//! `NonZero` lists the places of a mask that are not 0, how many of them depends on data. A row for every place of the
//! mask, kept where the mask is not 0, gives the same where all that is done with the rows acts on each by itself and they
//! end in a scatter: a row that the mask leaves out is computed and not written. So each value behind the list gets a row
//! for every place, and each scatter the mask; an operator that mixes rows is refused. A value that follows some
//! coordinates of the mask only (the token, not its rank among the experts' tokens) gets a row for each of these. Tokens that
//! are sorted by their experts and cut by how many each has ([`sorted`]) are the rows of such a mask too.

mod indices;
mod operands;
mod rowwise;
mod scatter;
pub(super) mod sorted;
mod value;

use super::{
    builder::Builder,
    facts::Facts,
    net::{Net, Rewritten},
    node::Parts,
    order,
    outputs::reads,
};
use crate::frontend::refusal::{missing, refuse};
use operands::{as_is, axis, mixes};
use std::{collections::HashSet, rc::Rc};
use tract_onnx::pb::NodeProto;
use value::{Column, Grid, Index, Rows, Value, Values};

/// Most rows of one mask.
const MAX_ROWS: usize = 1 << 20;

/// Rewrites all selections whose shapes are known; says whether there were any.
pub(super) fn run(net: &mut Net<'_>, facts: &Facts) -> Rewritten<bool> {
    if !net.graph.node.iter().any(|node| node.op_type == "NonZero") {
        return Ok(false);
    }
    order::sort(net)?;
    let counts = sorted::open(net);
    let ends: HashSet<String> = net.graph.output.iter().map(|o| o.name.clone()).collect();
    let (mut values, mut changed) = (Values::new(), false);
    for node in std::mem::take(&mut net.graph.node) {
        let mut make = Builder::new(net, Some(facts), &node);
        match step(&mut make, &node, &values, &counts) {
            Ok(Some(outputs)) => {
                let parts = make.nodes;
                net.graph.node.extend(parts);
                if outputs.iter().any(|(name, _)| ends.contains(name)) {
                    let refusal = refuse("its length depends on data, and it is an output", "drop it with `--outputs`");
                    net.refuse(&node, refusal);
                }
                values.extend(outputs);
                changed = true;
            }
            Ok(None) => net.graph.node.push(node),
            Err(refusal) => {
                net.refuse(&node, refusal);
                net.graph.node.push(node);
            }
        }
    }
    Ok(changed)
}

/// What a node's outputs become; none where its parts give them their own names. `None` when it stays as it is. `counts` are
/// sums that cut rows.
fn step(
    make: &mut Builder<'_, '_>,
    node: &NodeProto,
    values: &Values,
    counts: &[String],
) -> Rewritten<Option<Vec<(String, Value)>>> {
    if node.op_type == "NonZero" {
        return selected(make, node, values);
    }
    if let Some(sums) = sorted::sums(make, node, counts)? {
        return Ok(Some(vec![(node.output[0].clone(), sums)]));
    }
    let mut read = Vec::new();
    reads(node, &mut read);
    if !read.iter().any(|&value| values.contains_key(value)) {
        return Ok(None);
    }
    let inputs: Vec<&Value> = node.input.iter().filter_map(|input| values.get(input)).collect();
    let outputs = match (&node.op_type[..], inputs.first()) {
        ("Shape", Some(value)) => vec![Value::Lengths(value.lengths())],
        ("ScatterND", _) => scatter::slices(make, node, values).map(|()| Vec::new())?,
        ("ScatterElements" | "Scatter", _) => scatter::elements(make, node, values).map(|()| Vec::new())?,
        ("Split", Some(Value::Index(index))) if axis(node.int("axis", 0), index.rank)? == index.row_axis => {
            indices::one_by_one(make, node, index).map(|()| Vec::new())?
        }
        ("Split", Some(Value::Rows(rows))) if axis(node.int("axis", 0), rows.dims.len())? == rows.axis => {
            sorted::by_expert(make, node, values)?.into_iter().map(Value::Rows).collect()
        }
        ("Concat", Some(Value::Rows(Rows { expert: Some(_), .. }))) => {
            vec![Value::Rows(sorted::of_all_experts(make, node, values)?)]
        }
        ("Gather" | "GatherND", _) if values.get(node.at(0).unwrap_or_default()).is_none() => {
            vec![Value::Rows(rowwise::gather(make, node, values)?)]
        }
        _ if inputs.iter().any(|v| matches!(v, Value::Rows(_))) => {
            rowwise::rowwise(make, node, values)?.into_iter().map(Value::Rows).collect()
        }
        _ if inputs.iter().any(|v| matches!(v, Value::Index(_))) => {
            indices::index(make, node, values)?.into_iter().map(Value::Index).collect()
        }
        _ => vec![Value::Lengths(indices::lengths(make, node, values)?)],
    };
    let named = node.output.iter().filter(|output| !output.is_empty()).count();
    if !outputs.is_empty() && outputs.len() < named {
        return Err(mixes());
    }
    Ok(Some(node.output.iter().cloned().zip(outputs).collect()))
}

/// The coordinates of the places of a mask.
fn selected(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values) -> Rewritten<Option<Vec<(String, Value)>>> {
    let (mask, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    if values.contains_key(mask) {
        return Err(mixes());
    }
    if make.net.is_fixed(mask) {
        return Ok(None);
    }
    let Some(lengths) = make.shape(mask) else { return Ok(None) };
    let rows: usize = lengths.iter().product();
    if lengths.is_empty() || rows == 0 || rows > MAX_ROWS {
        return Err(refuse(format!("its mask has {rows} elements"), format!("use one of 1 to {MAX_ROWS}")));
    }
    let (mask, own) = origin(make, mask, &lengths);
    let column = |c: usize| Rc::new(Column { coords: vec![c], values: (0..lengths[c] as i64).collect() });
    let columns = (0..lengths.len()).map(column).collect();
    let grid = Rc::new(Grid { mask, lengths, own });
    let index = Index { grid, columns, times: 1, divisor: 1, rank: 2, row_axis: 1 };
    Ok(Some(vec![(y.to_owned(), Value::Index(index))]))
}

/// The value that a mask repeats along new last axes, and how many axes it has.
fn origin(make: &Builder<'_, '_>, mask: &str, lengths: &[usize]) -> (String, usize) {
    let name = as_is(make, mask);
    let repeated = || {
        let spread = make.net.producer(name).filter(|n| n.op_type == "Expand")?.at(0)?;
        let column = make.net.producer(spread).filter(|n| matches!(&n.op_type[..], "Unsqueeze" | "Reshape"))?.at(0)?;
        let (ones, own) = (make.shape(spread)?, make.shape(column)?);
        let same = ones.starts_with(&own) && lengths.starts_with(&own) && ones.len() == lengths.len();
        (same && ones[own.len()..].iter().all(|&d| d == 1)).then(|| (as_is(make, column).to_owned(), own.len()))
    };
    repeated().unwrap_or_else(|| (name.to_owned(), lengths.len()))
}

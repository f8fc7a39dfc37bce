//! tract's inference of shapes, with the axes that nodes name held against those that there are: from a place in front of
//! the first axis tract counts through all numbers.

use super::rewrite::{
    node::{Parts, place},
    tensor::integers,
};
use super::screen::MAX_AXES;
use crate::frontend::refusal::{Refusal, incorrect};
use std::collections::{BTreeMap, BTreeSet};
use tract_onnx::{
    model::ParseResult,
    pb::{AttributeProto, NodeProto},
    tract_hir::internal::*,
};

/// Attributes that name axes.
const ATTRIBUTES: [&str; 6] = ["axis", "axes", "perm", "batch_axis", "time_axis", "batch_dims"];

/// Operators that take axes as an input, with its position; so do all reductions.
const INPUTS: [(&str, usize); 7] =
    [("CumProd", 1), ("CumSum", 1), ("DFT", 2), ("Pad", 3), ("Slice", 3), ("Squeeze", 1), ("Unsqueeze", 1)];

/// Operators that act on the last axis unless told otherwise.
const LAST: [&str; 5] = ["LayerNormalization", "LpNormalization", "OneHot", "RMSNormalization", "TopK"];

/// Nodes, by their place in the graph, of which nothing was inferred.
#[derive(Default)]
pub(super) struct Left {
    /// Those that name axes, or elements of one, which are not there, with the reason.
    pub absent: BTreeMap<usize, Refusal>,
    /// Those of which that could not be told.
    pub open: BTreeSet<usize>,
}

/// Infers what follows for the values of `parsed`, which was made from a graph of these nodes.
pub(super) fn infer(parsed: &mut ParseResult, nodes: &[NodeProto]) -> Left {
    let mut places: Vec<Option<usize>> = vec![None; parsed.model.nodes().len()];
    for (place, node) in nodes.iter().enumerate() {
        let made = node.output.iter().find_map(|output| parsed.outlets_by_name.get(output));
        if let Some(outlet) = made {
            places[outlet.node] = Some(place);
        }
    }
    // The branches of a condition may give a value different ranks, of which tract knows one.
    let settled = !nodes.iter().any(|node| matches!(&node.op_type[..], "If" | "Loop" | "Scan"));
    let mut left = Left::default();
    let mut visit: BTreeSet<usize> = (0..places.len()).collect();
    while let Some(id) = visit.pop_first() {
        if let Some(place) = places[id] {
            match axes(parsed, &nodes[place], settled) {
                Axes::There => {
                    left.open.remove(&place);
                    let refusal = settled.then(|| misfit(parsed, &nodes[place])).flatten();
                    refusal.is_some_and(|refusal| left.absent.insert(place, refusal).is_none())
                }
                Axes::Open => left.open.insert(place),
                Axes::Absent(refusal) => left.absent.insert(place, refusal).is_none(),
            };
            if left.open.contains(&place) || left.absent.contains_key(&place) {
                continue;
            }
        }
        // The error of a node that fails shows when the graph is analysed for good.
        for outlet in refine(&mut parsed.model, id).unwrap_or_default() {
            let readers = parsed.model.nodes()[outlet.node].outputs[outlet.slot].successors.iter().map(|r| r.node);
            visit.extend(readers.chain([outlet.node]).filter(|&node| node != id));
        }
    }
    left
}

/// Infers what follows from one node; the values of which more is known now.
fn refine(model: &mut InferenceModel, id: usize) -> TractResult<Vec<OutletId>> {
    let (inputs, outputs) = model.node_facts(id)?;
    let (inputs, outputs): (TVec<_>, TVec<_>) =
        (inputs.into_iter().cloned().collect(), outputs.into_iter().cloned().collect());
    let inferred = model.nodes[id].op.infer(inputs.iter().collect(), outputs.iter().collect(), tvec!())?;
    let own = (0..outputs.len()).map(|slot| OutletId::new(id, slot));
    let outlets: Vec<OutletId> = model.nodes[id].inputs.iter().copied().chain(own).collect();
    let mut refined = Vec::new();
    for (outlet, fact) in outlets.into_iter().zip(inferred.0.iter().chain(&inferred.1)) {
        let known = model.outlet_fact(outlet)?;
        let fact = known.unify(fact)?;
        if &fact != known {
            model.set_outlet_fact(outlet, fact)?;
            refined.push(outlet);
        }
    }
    Ok(refined)
}

/// What is known of the axes that a node names.
enum Axes {
    /// They are there, or it names none.
    There,
    /// One is not, for this reason.
    Absent(Refusal),
    /// How many there are is not known, and one that it names is far from the first.
    Open,
}

/// What is known of a value.
fn fact<'p>(parsed: &'p ParseResult, value: &str) -> Option<&'p InferenceFact> {
    parsed.model.outlet_fact(*parsed.outlets_by_name.get(value)?).ok()
}

/// The integers of a value that is known.
fn constant(parsed: &ParseResult, value: &str) -> Option<Vec<i64>> {
    let value = fact(parsed, value)?.value.concretize()?;
    integers(&value).ok()
}

fn axes(parsed: &ParseResult, node: &NodeProto, settled: bool) -> Axes {
    let named: Vec<&AttributeProto> = node.attribute.iter().filter(|a| ATTRIBUTES.contains(&&a.name[..])).collect();
    let list = |a: &AttributeProto| if matches!(&a.name[..], "axes" | "perm") { a.ints.clone() } else { vec![a.i] };
    let mut axes: Vec<i64> = named.iter().flat_map(|a| list(a)).collect();
    let slot = INPUTS.iter().find(|(op, _)| *op == node.op_type).map(|(_, slot)| *slot);
    let slot = slot.or_else(|| node.op_type.starts_with("Reduce").then_some(1));
    if let Some(given) = slot.and_then(|slot| node.at(slot)) {
        let Some(value) = constant(parsed, given) else { return Axes::There };
        axes.extend(value);
    } else if named.is_empty() && LAST.contains(&&node.op_type[..]) {
        axes.push(-1);
    }
    // The axis of scales counts for nothing where one scale serves all; tract checks it where it counts.
    if axes.is_empty() || matches!(&node.op_type[..], "QuantizeLinear" | "DequantizeLinear") {
        return Axes::There;
    }
    let rank = |value: &String| fact(parsed, value)?.shape.rank().concretize();
    let operands = if node.op_type == "Concat" { &node.input[..] } else { &node.input[..node.input.len().min(1)] };
    // What a tensor may have is left to tract where it cannot be told whether it is there.
    let near = axes.iter().all(|axis| axis.unsigned_abs() <= MAX_AXES);
    let Some((operand, rank)) = operands.iter().find_map(|value| Some((value, rank(value)?))) else {
        return if near { Axes::There } else { Axes::Open };
    };
    let (least, most) = match &node.op_type[..] {
        "Transpose" | "GatherND" => (0, rank - 1),
        "Flatten" => (-rank, rank),
        "OneHot" => (-rank - 1, rank),
        "Unsqueeze" => (-rank - axes.len() as i64, rank + axes.len() as i64 - 1),
        _ => (-rank, rank - 1),
    };
    match axes.iter().find(|axis| !(least..=most).contains(axis)) {
        None => Axes::There,
        Some(_) if near && !settled => Axes::There,
        Some(axis) if rank == 0 => Axes::Absent(incorrect(format!("it names axis {axis}, and \"{operand}\" has none"))),
        Some(axis) => Axes::Absent(incorrect(format!(
            "it names axis {axis}, and of the {rank} axes of \"{operand}\" it can name {least} to {most}"
        ))),
    }
}

/// Why the constant sizes of a `Split`, or the constant indices of a `Gather`, are not those of the axis they are for.
fn misfit(parsed: &ParseResult, node: &NodeProto) -> Option<Refusal> {
    let data = node.at(0)?;
    let shape = &fact(parsed, data)?.shape;
    let axis = place(node.int("axis", 0), usize::try_from(shape.rank().concretize()?).ok()?)?;
    let length = shape.dim(axis)?.concretize()?.to_i64().ok()?;
    match &node.op_type[..] {
        "Split" => {
            let given = node.attribute("split").map(|a| a.ints.clone());
            let sizes = given.or_else(|| constant(parsed, node.at(1)?))?;
            (sizes.iter().sum::<i64>() != length).then(|| {
                incorrect(format!(
                    "it cuts axis {axis} of \"{data}\", of length {length}, into {sizes:?}, which do not add up to it"
                ))
            })
        }
        "Gather" | "GatherElements" => {
            let indices = node.at(1)?;
            let outside = constant(parsed, indices)?.into_iter().find(|index| !(-length..length).contains(index))?;
            Some(incorrect(format!(
                "\"{indices}\" holds index {outside}, and axis {axis} of \"{data}\" has {length} elements"
            )))
        }
        _ => None,
    }
}

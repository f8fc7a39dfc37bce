//! What has no plain form after all rewriting, with the reason and the way out.

use super::{net::Net, node::Parts, outputs::reads};
use crate::frontend::refusal::{Refusal, refuse};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{NodeProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto};

/// Operators of other domains that tract reads under their name.
const FOREIGN: [(&str, &str); 3] =
    [("com.microsoft", "BiasGelu"), ("com.microsoft", "FastGelu"), ("com.microsoft", "QuickGelu")];

/// Operands that fix what a node does: their operators and positions, and what they tell.
const FIXED: [(&[&str], &[usize], &str); 18] = [
    (&["ConstantOfShape"], &[0], "the shape of its result"),
    (&["CenterCropPad", "Expand", "Reshape"], &[1], "the shape of its result"),
    (&["MaxUnpool"], &[2], "the shape of its result"),
    (&["Tile"], &[1], "how often it repeats its input"),
    (&["Slice"], &[1, 2], "where it cuts"),
    (&["Slice"], &[3], "along which axes it cuts"),
    (&["Slice"], &[4], "the step of its cut"),
    (&["Split"], &[1], "where it cuts"),
    (&["Pad"], &[1], "how much it adds"),
    (&["Pad"], &[3], "along which axes it adds"),
    (&["Range"], &[0, 1, 2], "how many numbers it counts"),
    (&["OneHot"], &[1], "the length of its rows"),
    (&["TopK"], &[1], "how many elements it takes"),
    (&["Resize", "Upsample"], &[1, 2, 3], "the size of its result"),
    (&["Squeeze", "Unsqueeze", "CumSum", "CumProd"], &[1], "which axis it means"),
    (&["Trilu"], &[1], "which diagonal it means"),
    (&["BlackmanWindow", "HammingWindow", "HannWindow"], &[0], "the length of its window"),
    (&["Col2Im", "DFT"], &[1, 2], "the size of its result"),
];

/// Why an operand of a node that must be fixed is not, if there is one.
fn unsettled(net: &Net<'_>, node: &NodeProto) -> Option<Refusal> {
    let op = &node.op_type[..];
    let reduces = op.starts_with("Reduce").then_some((1, "along which axes it reduces"));
    let named = FIXED.iter().filter(|(ops, ..)| ops.contains(&op));
    let named = named.flat_map(|(_, slots, what)| slots.iter().map(move |&slot| (slot, *what)));
    let open = |slot: usize| node.at(slot).is_some_and(|value| !net.is_fixed(value));
    let (slot, what) = named.chain(reduces).find(|(slot, _)| open(*slot))?;
    node.domain.is_empty().then(|| depends(what, net, node, slot))
}

/// Refuses all nodes of the graph that tract does not read.
pub(super) fn remaining(net: &mut Net<'_>) {
    let refusals: Vec<(NodeProto, Refusal)> = net
        .graph
        .node
        .iter()
        .filter_map(|node| Some((NodeProto { attribute: Vec::new(), ..node.clone() }, refusal(net, node)?)))
        .collect();
    for (node, refusal) in refusals {
        net.refuse(&node, refusal);
    }
    // A rule that lacks such an operand knows less of what decides it.
    for place in 0..net.refused.len() {
        let refused = &net.refused[place];
        let node = net.graph.node.iter().find(|node| node.label() == refused.node && node.op_type == refused.op);
        if let Some(refusal) = node.and_then(|node| unsettled(net, node)) {
            net.refused[place].refusal = refusal;
        }
    }
}

/// Why tract does not read a node, if it does not.
fn refusal(net: &Net<'_>, node: &NodeProto) -> Option<Refusal> {
    let known = node.domain.is_empty() && net.reads(&node.op_type);
    let random = |op: &str| op.starts_with("Random") || matches!(op, "Bernoulli" | "Multinomial");
    match &node.op_type[..] {
        op if random(op) => {
            Some(refuse("it draws random numbers, and a proof is about one result", "export the model without it"))
        }
        "If" => Some(depends("which branch runs", net, node, 0)),
        "Loop" => {
            let open = if node.at(0).is_some_and(|trips| !net.is_constant(trips)) { 0 } else { 1 };
            Some(depends("how often it runs", net, node, open))
        }
        "SequenceAt" | "SequenceInsert" | "SequenceErase" | "SplitToSequence" => {
            let slot = if node.op_type == "SplitToSequence" { 1 } else { node.input.len().saturating_sub(1) };
            Some(depends("the length of its sequence, or a place in it,", net, node, slot))
        }
        "NonMaxSuppression" | "Unique" => Some(refuse(
            "how many values it gives depends on data, and a circuit is fixed",
            "give what it reads as outputs (`--outputs`), and select outside of the model",
        )),
        _ if known || FOREIGN.contains(&(node.domain.as_str(), node.op_type.as_str())) => unsettled(net, node),
        _ if node.domain.is_empty() => {
            Some(refuse("this operator is not supported", "compute it outside of the model or replace it"))
        }
        _ => Some(refuse(
            format!("operators of the domain \"{}\" other than those in README.md are not supported", node.domain),
            "replace it by plain ONNX",
        )),
    }
}

/// Whether an input has one element.
fn is_single(input: &ValueInfoProto) -> bool {
    match input.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(type_proto::Value::TensorType(t)) => {
            t.shape.iter().flat_map(|s| &s.dim).all(|d| d.value == Some(dimension::Value::DimValue(1)))
        }
        None => false,
    }
}

/// The inputs that decide a value.
fn sources<'n>(net: &'n Net<'_>, value: Option<&str>) -> Vec<&'n ValueInfoProto> {
    let producers: HashMap<&str, &NodeProto> =
        net.graph.node.iter().flat_map(|n| n.output.iter().map(move |o| (o.as_str(), n))).collect();
    let mut open: Vec<&str> = value.into_iter().collect();
    let mut seen = HashSet::new();
    while let Some(value) = open.pop() {
        if seen.insert(value)
            && let Some(producer) = producers.get(value)
        {
            reads(producer, &mut open);
        }
    }
    net.graph.input.iter().filter(|i| seen.contains(i.name.as_str())).collect()
}

/// Whether a value follows from inputs of one element alone, which `--set` takes out of the model.
pub(super) fn is_for_the_user(net: &Net<'_>, node: &NodeProto, slot: usize) -> bool {
    let inputs = sources(net, node.at(slot));
    !inputs.is_empty() && inputs.iter().all(|input| is_single(input))
}

/// Refuses an operand that is not settled and decides `what`, by the inputs that settle it.
pub(super) fn depends(what: &str, net: &Net<'_>, node: &NodeProto, slot: usize) -> Refusal {
    let inputs = sources(net, node.at(slot));
    let names = inputs.iter().map(|i| format!("\"{}\"", i.name)).collect::<Vec<_>>().join(", ");
    match is_for_the_user(net, node, slot) {
        true => {
            let sets: Vec<String> = inputs.iter().map(|i| format!("`--set {}=VALUE`", i.name)).collect();
            refuse(
                format!("{what} is decided by the input {names} when the model runs, and a circuit is fixed"),
                format!("settle it with {}", sets.join(" ")),
            )
        }
        false if names.is_empty() => {
            refuse(format!("{what} is not settled by the model"), "export it with a fixed one")
        }
        false => refuse(
            format!("{what} is computed from the input {names}, and a circuit is fixed"),
            "export the model with a fixed one",
        ),
    }
}

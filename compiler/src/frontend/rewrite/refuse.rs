//! What has no plain form after all rewriting, with the reason and the way out.

use super::{net::Net, node::Parts, outputs::reads};
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
fn unsettled(net: &Net<'_>, node: &NodeProto) -> Option<String> {
    let op = &node.op_type[..];
    let reduces = op.starts_with("Reduce").then_some((1, "along which axes it reduces"));
    let named = FIXED.iter().filter(|(ops, ..)| ops.contains(&op));
    let named = named.flat_map(|(_, slots, what)| slots.iter().map(move |&slot| (slot, *what)));
    let open = |slot: usize| node.at(slot).is_some_and(|value| !net.is_fixed(value));
    let (slot, what) = named.chain(reduces).find(|(slot, _)| open(*slot))?;
    node.domain.is_empty().then(|| format!("{what} is {}", depends(net, node, slot)))
}

/// Refuses all nodes of the graph that tract does not read.
pub(super) fn remaining(net: &mut Net<'_>) {
    let reasons: Vec<(NodeProto, String)> = net
        .graph
        .node
        .iter()
        .filter_map(|node| Some((NodeProto { attribute: Vec::new(), ..node.clone() }, reason(net, node)?)))
        .collect();
    for (node, reason) in reasons {
        net.refuse(&node, reason);
    }
    // A rule that lacks such an operand knows less of what decides it.
    for place in 0..net.refusals.len() {
        let refused = &net.refusals[place];
        let node = net.graph.node.iter().find(|node| node.label() == refused.node && node.op_type == refused.op);
        if let Some(reason) = node.and_then(|node| unsettled(net, node)) {
            net.refusals[place].reason = reason;
        }
    }
}

fn reason(net: &Net<'_>, node: &NodeProto) -> Option<String> {
    let known = node.domain.is_empty() && net.reads(&node.op_type);
    let random = |op: &str| op.starts_with("Random") || matches!(op, "Bernoulli" | "Multinomial");
    match &node.op_type[..] {
        op if random(op) => {
            Some("it draws random numbers, and a proof is about one result; export the model without it".into())
        }
        "If" => Some(format!("which branch runs is {}", depends(net, node, 0))),
        "Loop" => {
            let open = if node.at(0).is_some_and(|trips| !net.is_constant(trips)) { 0 } else { 1 };
            Some(format!("how often it runs is {}", depends(net, node, open)))
        }
        "SequenceAt" | "SequenceInsert" | "SequenceErase" | "SplitToSequence" => Some(format!(
            "the length of its sequence, or a place in it, is {}",
            depends(net, node, if node.op_type == "SplitToSequence" { 1 } else { node.input.len().saturating_sub(1) })
        )),
        "NonMaxSuppression" | "Unique" => Some(
            "how many values it gives depends on data, and a circuit is fixed; give what it reads as outputs \
             (`--outputs`), and select outside of the model"
                .into(),
        ),
        _ if known || FOREIGN.contains(&(node.domain.as_str(), node.op_type.as_str())) => unsettled(net, node),
        _ if node.domain.is_empty() => {
            Some("this operator is not supported; compute it outside of the model or replace it".into())
        }
        _ => Some(format!(
            "operators of the domain \"{}\" other than those in README.md are not supported; replace it by plain ONNX",
            node.domain
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

/// Words for a value that is not settled, with the inputs that settle it.
pub(super) fn depends(net: &Net<'_>, node: &NodeProto, slot: usize) -> String {
    let inputs = sources(net, node.at(slot));
    let names: Vec<String> = inputs.iter().map(|i| format!("\"{}\"", i.name)).collect();
    match is_for_the_user(net, node, slot) {
        true => {
            let sets: Vec<String> = inputs.iter().map(|i| format!("`--set {}=VALUE`", i.name)).collect();
            format!(
                "decided by the input {} when the model runs, and a circuit is fixed; settle it with {}",
                names.join(", "),
                sets.join(" ")
            )
        }
        false if names.is_empty() => "not settled by the model; export it with a fixed one".to_owned(),
        false => format!(
            "computed from the input {}, and a circuit is fixed; export the model with a fixed one",
            names.join(", ")
        ),
    }
}

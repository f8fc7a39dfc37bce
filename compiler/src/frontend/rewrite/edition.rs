//! Nodes of functions that were written for another version of the default operator set than the model.

use super::{
    net::{Net, Rewritten},
    node::Parts,
};
use crate::frontend::refusal::{Refusal, refuse};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// Versions before this one changed more than is told apart here.
const OLDEST: i64 = 7;

/// Operators whose text means something else from a version on.
const CHANGED: [(&[&str], i64); 11] = [
    (&["BatchNormalization", "Scan", "Upsample"], 9),
    (&["Slice", "TopK"], 10),
    (&["Clip", "Pad", "Resize"], 11),
    (&["Hardmax", "LogSoftmax", "Softmax"], 13),
    (&["ReduceSum", "Split", "Squeeze", "Unsqueeze"], 13),
    (&["BatchNormalization"], 14),
    (&["RoiAlign"], 16),
    (&["ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"], 18),
    (&["ReduceMin", "ReduceProd", "ReduceSumSquare", "Split"], 18),
    (&["DFT", "GridSample"], 20),
    (&["GroupNormalization"], 21),
];

/// Brings a node of version `own` into the form of the model, with the nodes of its graphs: axes and lengths that were an
/// attribute become the second input.
///
/// # Errors
/// Where the operator means something else to the model.
pub(super) fn translate(net: &mut Net<'_>, node: &mut NodeProto, own: i64) -> Rewritten<()> {
    let model = net.opset;
    if own == model || model == 0 {
        return Ok(());
    }
    let graphs = node.attribute.iter_mut().filter_map(|a| a.g.as_mut());
    graphs.flat_map(|graph| &mut graph.node).try_for_each(|inner| translate(net, inner, own))?;
    if !matches!(&node.domain[..], "" | "ai.onnx") {
        return Ok(());
    }
    let (old, new) = (own.min(model), own.max(model));
    let op = node.op_type.clone();
    let mut changes = CHANGED.iter().filter(|(ops, since)| ops.contains(&&op[..]) && old < *since && *since <= new);
    let Some((_, since)) = changes.next() else {
        return if old < OLDEST { Err(between(&op, own, model)) } else { Ok(()) };
    };
    let moved = if op == "Split" { "split" } else { "axes" };
    let moves = op.starts_with("Reduce") || matches!(&op[..], "Split" | "Squeeze" | "Unsqueeze");
    if !moves || own >= *since || old < OLDEST {
        return Err(between(&op, own, model));
    }
    let Some(at) = node.attribute.iter().position(|a| a.name == moved) else { return Ok(()) };
    let list = node.attribute.remove(at).ints;
    let name = net.add_constant(format!("{}/{moved}", node.label()), &tensor1(&list))?;
    node.input.truncate(1);
    node.input.push(name);
    Ok(())
}

fn between(op: &str, own: i64, model: i64) -> Refusal {
    refuse(
        format!("its function is of operator set {own}, the model of {model}, and {op} changed between them"),
        "export with one operator set",
    )
}

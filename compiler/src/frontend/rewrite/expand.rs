//! Operators that are replaced by plain ones, each by its published definition.

use super::{
    attention,
    builder::Builder,
    conv_transpose::conv_transpose,
    crop,
    facts::Facts,
    indices, microsoft, ml,
    net::{Net, Rewritten},
    quantised::qlinear,
    recurrent,
    resize::resize,
};
use tract_onnx::pb::NodeProto;

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its parts stand for it.
    Replaced,
    /// tract reads it as it is.
    Kept,
    /// Facts about its inputs are missing.
    Later,
}

/// Makes the parts of a node.
pub(super) type Rule = fn(&mut Builder<'_, '_>, &NodeProto) -> Rewritten<Outcome>;

/// The rule for an operator, if it needs one.
fn rule(node: &NodeProto) -> Option<Rule> {
    match &node.domain[..] {
        "" => match &node.op_type[..] {
            "Attention" => Some(attention::attention),
            "Cast" => Some(indices::cast),
            "ConvTranspose" => Some(conv_transpose),
            "GRU" => Some(recurrent::gru),
            "GatherND" | "ScatterND" => Some(indices::from_the_end),
            "LSTM" => Some(recurrent::lstm),
            "Pad" => Some(crop::pad),
            "QLinearConv" => Some(qlinear::conv),
            "QLinearMatMul" => Some(qlinear::matmul),
            "RNN" => Some(recurrent::rnn),
            "Resize" | "Upsample" => Some(resize),
            _ => None,
        },
        "ai.onnx.ml" => ml::rule(&node.op_type),
        "com.microsoft" => microsoft::rule(&node.op_type),
        _ => None,
    }
}

/// Whether tract reads a node as it is meant, apart from rare forms.
pub(super) fn is_plain(node: &NodeProto) -> bool {
    (rule(node).is_none() && node.op_type != "Scan")
        || matches!(&node.op_type[..], "Cast" | "GatherND" | "Pad" | "ScatterND")
}

/// Replaces all nodes with a rule whose facts are there; says whether there were any.
pub(super) fn expand(net: &mut Net<'_>, facts: Option<&Facts>) -> bool {
    let mut changed = false;
    for node in std::mem::take(&mut net.graph.node) {
        let Some(rule) = rule(&node) else {
            net.graph.node.push(node);
            continue;
        };
        let mut builder = Builder::new(net, facts, &node);
        match rule(&mut builder, &node) {
            Ok(Outcome::Replaced) => {
                let parts = builder.nodes;
                net.graph.node.extend(parts);
                changed = true;
            }
            Ok(Outcome::Kept | Outcome::Later) => net.graph.node.push(node),
            Err(reason) => {
                net.refuse(&node, reason);
                net.graph.node.push(node);
            }
        }
    }
    changed
}

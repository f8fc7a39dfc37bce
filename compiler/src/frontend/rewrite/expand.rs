//! Operators that are replaced by plain ones, each by its published definition.

use super::{
    attention,
    builder::Builder,
    facts::Facts,
    microsoft, ml,
    net::{Net, Rewritten},
};
use tract_onnx::pb::NodeProto;

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its parts stand for it.
    Replaced,
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
            _ => None,
        },
        "ai.onnx.ml" => ml::rule(&node.op_type),
        "com.microsoft" => microsoft::rule(&node.op_type),
        _ => None,
    }
}

/// Whether a node is to be replaced.
pub(super) fn has_rule(node: &NodeProto) -> bool {
    rule(node).is_some()
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
            Ok(Outcome::Later) => net.graph.node.push(node),
            Err(reason) => {
                net.refuse(&node, reason);
                net.graph.node.push(node);
            }
        }
    }
    changed
}

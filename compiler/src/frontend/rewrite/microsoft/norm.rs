//! Normalisations of a sum.

use crate::frontend::refusal::{missing, refuse};
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use tract_onnx::pb::NodeProto;

/// LayerNorm(input + skip + bias); the fourth output is that sum.
pub(super) fn skip_layer_normalization(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    normalise(make, node, "LayerNormalization", node.at(3), node.at(4))
}

/// RMSNorm(input + skip + bias); the fourth output is that sum.
pub(super) fn skip_simplified(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    normalise(make, node, "SimplifiedLayerNormalization", None, node.at(3))
}

fn normalise(
    make: &mut Builder<'_, '_>,
    node: &NodeProto,
    op: &str,
    shift: Option<&str>,
    bias: Option<&str>,
) -> Rewritten<Outcome> {
    let (input, skip) = node.at(0).zip(node.at(1)).ok_or_else(missing)?;
    let (gain, output) = node.at(2).zip(node.out(0)).ok_or_else(missing)?;
    if node.out(1).is_some() || node.out(2).is_some() {
        return Err(refuse(
            "its mean and deviation are not outputs outside of training",
            "export the model for inference",
        ));
    }
    let mut sum = make.add("sum", input, skip);
    if let Some(bias) = bias {
        sum = make.add("sum_bias", &sum, bias);
    }
    make.export(&sum, node.out(3));
    let inputs: Vec<&str> = [sum.as_str(), gain].into_iter().chain(shift).collect();
    let attributes = vec![node::int("axis", -1), node::float("epsilon", node.float("epsilon", 1e-5))];
    make.last(op, &inputs, output, attributes);
    Ok(Outcome::Replaced)
}

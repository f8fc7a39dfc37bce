//! `RNN`: `h' = f(x W + h R + b)`.

use super::unroll::{Kind, Weights, unroll};
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, rule::Outcome};
use tract_onnx::pb::NodeProto;

pub(in crate::frontend::rewrite) fn rnn(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let kind = Kind { gates: 1, functions: &["Tanh"], states: &[5], apart: false };
    unroll(make, node, &kind, step)
}

fn step(make: &mut Builder<'_, '_>, w: &Weights, x: &str, states: &[Option<String>]) -> Rewritten<Vec<String>> {
    let sum = w.with_state(make, "product", x, states[0].as_deref(), (0, 1))?;
    Ok(vec![w.activate(make, "hidden", 0, &sum)?])
}

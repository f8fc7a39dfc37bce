//! Recurrent networks with weights of 8 bits.

use crate::frontend::refusal::{Refusal, incorrect, missing, refuse};
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
    tensor,
};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// Slots of the weights [directions, rows, 4 hidden] of input and state, each with those of scale and zero point.
const WEIGHTS: [[usize; 3]; 2] = [[1, 8, 9], [2, 10, 11]];

/// `LSTM` with the floats that its weights stand for. Its activations are not rounded.
pub(super) fn dynamic_quantize_lstm(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let mut inputs: Vec<String> = node.input.iter().take(WEIGHTS[0][1]).cloned().collect();
    for ([weights, scale, zero], part) in WEIGHTS.into_iter().zip(["input_weights", "state_weights"]) {
        let read = |slot: usize| -> Rewritten<Tensor> {
            let value = make.net.constant(node.at(slot).ok_or_else(missing)?)?;
            value.ok_or_else(|| refuse("its weights or their scales are computed", "export them as constants"))
        };
        let floats = columns_first(&read(weights)?, &read(scale)?, &read(zero)?)?;
        inputs[weights] = make.constant(part, &floats)?;
    }
    make.net.notes.push(format!("the activations of \"{}\" are not rounded to 8 bits", node.label()));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let lstm = node::node(node.label(), "LSTM", &inputs, "", node.attribute.clone());
    make.nodes.push(NodeProto { output: node.output.clone(), ..lstm });
    Ok(Outcome::Replaced)
}

/// `(q - zero) scale` with the last two axes turned around; scales and zero points by direction, or by direction and column.
fn columns_first(q: &Tensor, scale: &Tensor, zero: &Tensor) -> Rewritten<Tensor> {
    let read = |t: &Tensor| tensor::floats(t).map_err(|e| incorrect(e.to_string()));
    let (numbers, scales, zeros) = (read(q)?, read(scale)?, read(zero)?);
    let &[directions, rows, columns] = q.shape() else {
        return Err(incorrect("its weights have not three axes"));
    };
    let of = |list: &[f32], direction: usize, column: usize| match list.len() {
        n if n == directions => Some(list[direction]),
        n if n == directions * columns => Some(list[direction * columns + column]),
        _ => None,
    };
    let mut floats = Vec::with_capacity(numbers.len());
    for (d, j) in (0..directions).flat_map(|d| (0..columns).map(move |j| (d, j))) {
        let unit = of(&scales, d, j).zip(of(&zeros, d, j)).ok_or(incorrect("scales do not fit its weights"))?;
        floats.extend((0..rows).map(|i| (numbers[(d * rows + i) * columns + j] - unit.1) * unit.0));
    }
    tensor1(&floats).into_shape(&[directions, columns, rows]).map_err(Refusal::from)
}

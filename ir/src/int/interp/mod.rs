//! The reference interpreter: the one definition of what a proof says.
//!
//! [`run`] computes every node of one layer, [`run_model`] every boundary tensor of a model. All arithmetic is exact;
//! a value that leaves its node's static bounds is an [`Error`], never a wrapped number. What
//! each op computes is in its file under [`super::ops`].

mod check;
mod clamps;
mod error;

pub use check::{check, check_structure};
pub use clamps::{Clamp, clamps};
pub use error::{Error, Fault};

use super::ops::{Numbers, Port, Ports, Site};
use super::{Graph, Known, Model, Node, Weights};

/// Magnitude that every value stays below.
pub const LIMIT: i64 = 1 << 62;

/// All node values of layer `layer`, each row-major `[tokens, features]`, in node order. `inputs` are the boundary
/// tensors of the layer's input ports. An [`Op::Output`] node repeats its operand.
///
/// # Errors
/// A malformed shape, an input of wrong length, or a value outside its node's bounds.
pub fn run<W: Known>(model: &Model<W>, layer: usize, inputs: &[&[i64]]) -> Result<Vec<Vec<i64>>, Error> {
    let l = model.layers.get(layer).ok_or(Error::NoLayer { layer })?;
    run_with(model, layer, l.weights.get()?.as_ref(), inputs)
}

/// [`run`], for weights of the layer that are at hand.
///
/// # Errors
/// As [`run`].
pub fn run_with<W>(
    model: &Model<W>,
    layer: usize,
    weights: &Weights,
    inputs: &[&[i64]],
) -> Result<Vec<Vec<i64>>, Error> {
    let shape = check::check_sizes(model, layer, weights.sizes())?;
    let l = &model.layers[layer];
    if inputs.len() != l.inputs.len() {
        return Err(Error::InputCount { layer: l.name.clone(), expected: l.inputs.len(), got: inputs.len() });
    }
    let numbers = Numbers { weights, tables: &l.tables, params: &l.params, inputs };
    let mut values: Vec<Vec<i64>> = Vec::with_capacity(shape.nodes.len());
    for (i, node) in shape.nodes.iter().enumerate() {
        let args: Vec<&[i64]> = node.inputs.iter().map(|&v| values[v as usize].as_slice()).collect();
        let site = Site::new(model.tokens, model.limb_bits, shape, node, Ports::default());
        let at = |fault: Fault| {
            let (layer, name) = (l.name.clone(), node.name.clone());
            match node.op.meaning().refusal(&site) {
                Some((what, why)) => Error::Refused { layer, name, what, feature: fault.feature, why },
                None => Error::Value { layer, node: i as u32, name, fault },
            }
        };
        let out = node.op.meaning().eval(&site, &numbers, &args).map_err(at)?;
        let expected = model.tokens as usize * node.features as usize;
        if out.len() != expected {
            let (layer, node) = (l.name.clone(), node.name.clone());
            return Err(Error::InputLength { layer, node, expected, got: out.len() });
        }
        within(&out, node).map_err(at)?;
        values.push(out);
    }
    Ok(values)
}

/// All boundary tensors of `model`, indexed by [`super::TensorId`]. `inputs` are the model inputs in order, and behind them
/// the noise of a draw, if there is to be one.
///
/// # Errors
/// As [`run`]; also when a layer reads a tensor that no earlier layer writes.
pub fn run_model<W: Known>(model: &Model<W>, inputs: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, Error> {
    run_seen(model, inputs, &mut |_, _| ())
}

/// [`run_model`], with the node values of each layer shown as they are computed: `see(layer, values)`.
///
/// # Errors
/// As [`run_model`].
pub fn run_seen<W: Known>(
    model: &Model<W>,
    inputs: &[Vec<i64>],
    see: &mut dyn FnMut(usize, &[Vec<i64>]),
) -> Result<Vec<Vec<i64>>, Error> {
    let noise = model.noise();
    if inputs.len() < model.inputs.len() || inputs.len() > model.inputs.len() + usize::from(noise.is_some()) {
        return Err(Error::InputCount { layer: "model".into(), expected: model.inputs.len(), got: inputs.len() });
    }
    let mut tensors: Vec<Option<Vec<i64>>> = vec![None; model.tensors.len()];
    if let Some(id) = noise {
        tensors[id as usize] = Some(vec![0; model.tokens as usize * model.tensors[id as usize].features as usize]);
    }
    for (&id, data) in model.inputs.iter().chain(&noise).zip(inputs) {
        let missing = || Error::Unwritten { layer: "model".into(), tensor: id };
        *tensors.get_mut(id as usize).ok_or_else(missing)? = Some(data.clone());
    }
    for (i, layer) in model.layers.iter().enumerate() {
        let args = layer
            .inputs
            .iter()
            .map(|&id| {
                let data = tensors.get(id as usize).and_then(|t| t.as_deref());
                data.ok_or_else(|| Error::Unwritten { layer: layer.name.clone(), tensor: id })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut values = run(model, i, &args)?;
        see(i, &values);
        for (port, v) in outputs(&model.shapes[layer.shape as usize]) {
            tensors[layer.outputs[port] as usize] = Some(std::mem::take(&mut values[v]));
        }
    }
    let missing = |id: usize| Error::Unwritten { layer: "model".into(), tensor: id as u32 };
    tensors.into_iter().enumerate().map(|(id, t)| t.ok_or_else(|| missing(id))).collect()
}

/// Output nodes of a shape as `(port, node)`.
pub fn outputs(shape: &Graph) -> impl Iterator<Item = (usize, usize)> + '_ {
    shape.nodes.iter().enumerate().filter_map(|(i, n)| match n.op.meaning().port() {
        Some(Port::Output(port)) => Some((port as usize, i)),
        _ => None,
    })
}

/// Whether every value lies within the node's static bounds.
fn within(values: &[i64], node: &Node) -> Result<(), Fault> {
    let (lo, hi) = (node.lo.max(-LIMIT), node.hi.min(LIMIT));
    match values.iter().position(|v| !(lo..=hi).contains(v)) {
        None => Ok(()),
        Some(p) => {
            let n = node.features as usize;
            Err(Fault { token: p / n, feature: p % n, value: values[p].into(), lo, hi })
        }
    }
}

#[cfg(test)]
mod tests;

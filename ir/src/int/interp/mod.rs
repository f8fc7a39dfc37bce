//! The reference interpreter: the one definition of what a proof says.
//!
//! [`run`] computes every node of one layer, [`run_model`] every boundary tensor of a model. All arithmetic is exact;
//! a value that leaves its node's static bounds is an [`Error`], never a wrapped number. The pure helpers
//! ([`requant`], [`attention`], [`inverse`], [`argmax`]) also return the internal quantities (remainders, excesses,
//! maxima) that a witness needs beside the result.

mod affine;
pub mod argmax;
pub mod attention;
mod check;
mod clamps;
mod error;
pub mod inverse;
mod linear;
mod pointwise;
pub mod requant;
mod rows;

pub use check::{check, check_structure};
pub use clamps::{Clamp, clamps};
pub use error::{Error, Fault};

use super::gadgets::Site;
use super::{Graph, Known, Model, Node, Op, Table, Weights};
pub(in crate::int) use rows::narrow;
use rows::par_rows;

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
    let env = Env {
        tokens: model.tokens as usize,
        limb_bits: model.limb_bits,
        weights,
        tables: &l.tables,
        params: &l.params,
    };
    let mut values: Vec<Vec<i64>> = Vec::with_capacity(shape.nodes.len());
    for (i, node) in shape.nodes.iter().enumerate() {
        let at = |fault| Error::Value { layer: l.name.clone(), node: i as u32, name: node.name.clone(), fault };
        let out = match node.op {
            Op::Input { port } => inputs[port as usize].to_vec(),
            _ => {
                let args: Vec<&[i64]> = node.inputs.iter().map(|&v| values[v as usize].as_slice()).collect();
                let widths: Vec<usize> =
                    node.inputs.iter().map(|&v| shape.nodes[v as usize].features as usize).collect();
                eval(&env, node, &args, &widths).map_err(at)?
            }
        };
        let expected = env.tokens * node.features as usize;
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
    shape.nodes.iter().enumerate().filter_map(|(i, n)| match n.op {
        Op::Output { port } => Some((port as usize, i)),
        _ => None,
    })
}

/// What ops need beside their operands.
struct Env<'a> {
    tokens: usize,
    limb_bits: u32,
    weights: &'a [Vec<i32>],
    tables: &'a [Table],
    params: &'a [i64],
}

fn eval(env: &Env, node: &Node, args: &[&[i64]], widths: &[usize]) -> Result<Vec<i64>, Fault> {
    let (t, b, n) = (env.tokens, env.limb_bits, node.features as usize);
    let weight = |w: u32| env.weights[w as usize].as_slice();
    match &node.op {
        Op::Input { .. } | Op::Output { .. } => Ok(args[0].to_vec()),
        Op::Embed { weight: w, vocab } => {
            let out = linear::embed(args[0], weight(*w), *vocab as usize, n / widths[0]);
            out.map_err(|f| f.of_position(widths[0], 1))
        }
        Op::TokenBias { weight: w } => Ok(weight(*w).iter().map(|&v| v.into()).cycle().take(t * n).collect()),
        Op::Linear { weight: w, bias, positions } => {
            let p = *positions as usize;
            let out = linear::linear(t * p, args[0], widths[0] / p, weight(*w), bias.map(weight), n / p);
            out.map_err(|f| f.of_position(p, n / p))
        }
        Op::Diagonal { weight: w, bias, .. } => linear::diagonal(t, args[0], weight(*w), bias.map(weight), n),
        Op::Const { rows, data } => Ok(if *rows == 1 { data.repeat(t) } else { data.clone() }),
        Op::Param { first } => Ok(env.params[*first as usize..*first as usize + n].repeat(t)),
        Op::Affine { rows } => affine::affine(t, args, widths, rows),
        Op::Requant { limbs, out_limbs, clamp } => {
            pointwise::map(t, n, args[0], |x| requant::checked(x, limbs * b, out_limbs * b, *clamp))
        }
        Op::Table { table } => {
            let table = &env.tables[*table as usize];
            pointwise::map(t, n, args[0], |x| requant::lookup(table, x))
        }
        Op::Mul => pointwise::mul(t, n, args[0], args[1]),
        Op::Recip { param } => {
            let c = env.params[*param as usize];
            pointwise::map(t, n, args[0], |z| inverse::recip(c, z).ok_or(z))
        }
        Op::RSqrt { param } => {
            let c = env.params[*param as usize];
            pointwise::map(t, n, args[0], |v| inverse::rsqrt(c, v).ok_or(v))
        }
        Op::Scores { heads, kv_heads, head_dim } => {
            let dims = attention::Dims::new(t, *heads, *kv_heads, *head_dim);
            attention::scores(&dims, args[0], args[1])
        }
        Op::Attend { keys, table, limbs, over_limbs, causal } => {
            let table = &env.tables[*table as usize];
            attention::attend(t, keys, args[0], table, limbs * b, over_limbs * b, *causal)
        }
        Op::Context { heads, kv_heads, head_dim } => {
            let dims = attention::Dims::new(t, *heads, *kv_heads, *head_dim);
            attention::context(&dims, args[0], args[1])
        }
        Op::Range { limbs } => pointwise::map(t, n, args[0], |x| requant::in_limbs(x, limbs * b).then_some(x).ok_or(x)),
        Op::ArgMax { groups, limbs } => argmax::argmax(t, widths[0], *groups as usize, args, limbs * b),
        Op::Gadget(gadget) => {
            let site = Site { tokens: t, limb_bits: b, widths, features: n };
            par_rows(t, n, |token, row| {
                let args: Vec<&[i64]> = args.iter().zip(widths).map(|(x, n)| &x[token * n..(token + 1) * n]).collect();
                gadget.meaning().eval(&site, &args, row).map_err(|f| Fault { token, ..f })
            })
        }
    }
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

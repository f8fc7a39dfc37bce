//! Llama-style language models: RMSNorm, rotary causal attention with shared keys and values, residual, RMSNorm, SwiGLU,
//! residual.

use super::random::Random;
use super::shape::{Language, Shape};
use super::writer::Writer;
use crate::Result;
use nanozk_compiler::onnx::{DataType, int, ints};

/// Value of a hidden score, as exporters write it.
const HIDDEN: f32 = -1e9;

/// What a Llama has beside its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Llama {
    /// Heads of keys and values; divides the heads of queries.
    pub groups: usize,
    /// Features inside the MLP.
    pub hidden: usize,
}

/// The whole language model from tokens to scores, with tables of its own for both.
pub fn language(shape: &Shape, llama: &Llama, size: &Language, graph: &mut Writer, random: &mut Random) -> Result<()> {
    let d = shape.width;
    graph.input("tokens", DataType::Int64, &[1, shape.tokens]);
    constants(shape, llama, graph);
    random.matrix(graph, "table", [size.vocabulary, d], 1.0)?;
    let mut x = graph.op("Gather", "embedded", &["table", "tokens"], &[]);
    for i in 0..size.layers {
        x = layer(shape, llama, graph, random, &format!("h{i}."), &x)?;
    }
    let x = norm(shape, graph, random, "norm", &x);
    let logits = linear(graph, random, "logits", &x, [d, size.vocabulary])?;
    graph.output(&logits, &[1, shape.tokens, size.vocabulary]);
    Ok(())
}

/// What all layers share: mask, angles, scalars and shapes.
fn constants(shape: &Shape, llama: &Llama, graph: &mut Writer) {
    let (t, heads, d) = (shape.tokens, shape.heads, shape.width / shape.heads);
    let mask = (0..t * t).map(|i| if i % t > i / t { HIDDEN } else { 0.0 }).collect::<Vec<_>>();
    graph.constant("mask", &[1, 1, t, t], &mask);
    let rate = |i: usize| 10_000f64.powf(-((i % (d / 2)) as f64) * 2.0 / d as f64);
    let angles = |f: fn(f64) -> f64| (0..t * d).map(|i| f((i / d) as f64 * rate(i % d)) as f32).collect::<Vec<_>>();
    graph.constant("cos", &[1, 1, t, d], &angles(f64::cos));
    graph.constant("sin", &[1, 1, t, d], &angles(f64::sin));
    graph.constant("scale", &[], &[1.0 / (d as f32).sqrt()]);
    graph.constant("epsilon", &[], &[1e-5]);
    graph.lengths("queries", &[1, t, heads, d]);
    graph.lengths("groups", &[1, t, llama.groups, d]);
    graph.lengths("halves", &[d / 2, d / 2]);
    graph.lengths("second", &[2]);
    graph.lengths("shared", &[1, llama.groups, heads / llama.groups, t, d]);
    graph.lengths("by_head", &[1, heads, t, d]);
    graph.lengths("by_token", &[1, t, shape.width]);
}

/// One layer; the names of its tensors begin with `at`.
fn layer(shape: &Shape, llama: &Llama, graph: &mut Writer, random: &mut Random, at: &str, x: &str) -> Result<String> {
    let (d, hidden) = (shape.width, llama.hidden);
    let inner = llama.groups * (d / shape.heads);
    let name = |name: &str| format!("{at}{name}");
    let normed = norm(shape, graph, random, &name("norm1"), x);
    let q = linear(graph, random, &name("q"), &normed, [d, d])?;
    let k = linear(graph, random, &name("k"), &normed, [d, inner])?;
    let v = linear(graph, random, &name("v"), &normed, [d, inner])?;
    let (q, k) = (by_head(graph, &q, "queries"), by_head(graph, &k, "groups"));
    let (q, k) = (rotate(graph, &q), rotate(graph, &k));
    let v = by_head(graph, &v, "groups");
    let (k, v) = (share(graph, &k), share(graph, &v));
    let keys = graph.op("Transpose", &name("keys"), &[&k], &[ints("perm", &[0, 1, 3, 2])]);
    let products = graph.op("MatMul", &name("products"), &[&q, &keys], &[]);
    let scores = graph.op("Mul", &name("scores"), &[&products, "scale"], &[]);
    let masked = graph.op("Add", &name("masked"), &[&scores, "mask"], &[]);
    let shares = graph.op("Softmax", &name("shares"), &[&masked], &[int("axis", -1)]);
    let mixed = graph.op("MatMul", &name("mixed"), &[&shares, &v], &[]);
    let turned = graph.op("Transpose", &name("turned"), &[&mixed], &[ints("perm", &[0, 2, 1, 3])]);
    let context = graph.op("Reshape", &name("context"), &[&turned, "by_token"], &[]);
    let attended = linear(graph, random, &name("o"), &context, [d, d])?;
    let middle = graph.op("Add", &name("middle"), &[x, &attended], &[]);
    let normed = norm(shape, graph, random, &name("norm2"), &middle);
    let gate = linear(graph, random, &name("gate"), &normed, [d, hidden])?;
    let up = linear(graph, random, &name("up"), &normed, [d, hidden])?;
    let sigmoid = graph.op("Sigmoid", &name("sigmoid"), &[&gate], &[]);
    let silu = graph.op("Mul", &name("silu"), &[&gate, &sigmoid], &[]);
    let product = graph.op("Mul", &name("product"), &[&silu, &up], &[]);
    let down = linear(graph, random, &name("down"), &product, [hidden, d])?;
    Ok(graph.op("Add", &name("y"), &[&middle, &down], &[]))
}

/// Features as heads: 1, heads, tokens, features of a head.
fn by_head(graph: &mut Writer, x: &str, shape: &str) -> String {
    let split = graph.op("Reshape", &format!("{x}.split"), &[x, shape], &[]);
    graph.op("Transpose", &format!("{x}.heads"), &[&split], &[ints("perm", &[0, 2, 1, 3])])
}

/// Rotary positions: the second half of each head, negated, before the first.
fn rotate(graph: &mut Writer, x: &str) -> String {
    let [first, second] = ["first", "second"].map(|half| format!("{x}.{half}"));
    graph.op("Split", &first, &[x, "halves"], &[int("axis", 3)]);
    graph.and(&[&second]);
    let negated = graph.op("Neg", &format!("{x}.negated"), &[&second], &[]);
    let turned = graph.op("Concat", &format!("{x}.turned"), &[&negated, &first], &[int("axis", 3)]);
    let cos = graph.op("Mul", &format!("{x}.cos"), &[x, "cos"], &[]);
    let sin = graph.op("Mul", &format!("{x}.sin"), &[&turned, "sin"], &[]);
    graph.op("Add", &format!("{x}.rotated"), &[&cos, &sin], &[])
}

/// Keys or values for each head of queries.
fn share(graph: &mut Writer, x: &str) -> String {
    let one = graph.op("Unsqueeze", &format!("{x}.one"), &[x, "second"], &[]);
    let all = graph.op("Expand", &format!("{x}.all"), &[&one, "shared"], &[]);
    graph.op("Reshape", &format!("{x}.shared"), &[&all, "by_head"], &[])
}

/// RMSNorm of `x`, named like its gain.
fn norm(shape: &Shape, graph: &mut Writer, random: &mut Random, name: &str, x: &str) -> String {
    let gain = format!("{name}.weight");
    random.vector(graph, &gain, shape.width, 1.0, 0.1);
    let square = graph.op("Mul", &format!("{name}.square"), &[x, x], &[]);
    let mean = graph.op("ReduceMean", &format!("{name}.mean"), &[&square], &[ints("axes", &[-1])]);
    let shifted = graph.op("Add", &format!("{name}.shifted"), &[&mean, "epsilon"], &[]);
    let root = graph.op("Sqrt", &format!("{name}.root"), &[&shifted], &[]);
    let normed = graph.op("Div", &format!("{name}.normed"), &[x, &root], &[]);
    graph.op("Mul", name, &[&normed, &gain], &[])
}

/// `x W`, named like its matrix.
fn linear(graph: &mut Writer, random: &mut Random, name: &str, x: &str, dims: [usize; 2]) -> Result<String> {
    let weight = format!("{name}.weight");
    random.matrix(graph, &weight, dims, 1.0 / (dims[0] as f32).sqrt())?;
    Ok(graph.op("MatMul", name, &[x, &weight], &[]))
}

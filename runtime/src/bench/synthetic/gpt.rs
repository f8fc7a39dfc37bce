//! GPT-2-style transformers: LayerNorm, causal attention, residual, LayerNorm, tanh-GELU MLP four times as wide, residual.

use super::random::Random;
use super::shape::{Language, Shape};
use super::writer::Writer;
use crate::Result;
use nanozk_compiler::onnx::{DataType, float, int, ints};

/// One block from features to features.
pub fn block(shape: &Shape, graph: &mut Writer, random: &mut Random) -> Result<()> {
    let dims = [1, shape.tokens, shape.width];
    graph.input("x", DataType::Float, &dims);
    constants(shape, graph);
    let y = layer(shape, graph, random, "", "x")?;
    graph.output(&y, &dims);
    Ok(())
}

/// The whole language model from tokens to scores. One table embeds the tokens and scores them.
pub fn language(shape: &Shape, size: &Language, graph: &mut Writer, random: &mut Random) -> Result<()> {
    graph.input("tokens", DataType::Int64, &[1, shape.tokens]);
    constants(shape, graph);
    random.matrix(graph, "wte", [size.vocabulary, shape.width], 1.0)?;
    random.matrix(graph, "wpe", [shape.tokens, shape.width], 0.1)?;
    let embedded = graph.op("Gather", "embedded", &["wte", "tokens"], &[]);
    let mut x = graph.op("Add", "positioned", &[&embedded, "wpe"], &[]);
    for i in 0..size.layers {
        x = layer(shape, graph, random, &format!("h{i}."), &x)?;
    }
    let x = norm(shape, graph, random, "ln", &x);
    let head = graph.op("Transpose", "head", &["wte"], &[ints("perm", &[1, 0])]);
    let logits = graph.op("MatMul", "logits", &[&x, &head], &[]);
    graph.output(&logits, &[1, shape.tokens, size.vocabulary]);
    Ok(())
}

/// What all layers share: mask, scalars and shapes.
fn constants(shape: &Shape, graph: &mut Writer) {
    let (d, t) = (shape.width, shape.tokens);
    let hidden_key = (0..t * t).map(|i| i % t > i / t).collect::<Vec<_>>();
    graph.constant("mask", &[1, 1, t, t], &hidden_key);
    let mean = (2.0 / std::f32::consts::PI).sqrt();
    for (name, value) in [
        ("hidden", f32::NEG_INFINITY),
        ("scale", 1.0 / ((d / shape.heads) as f32).sqrt()),
        ("cube", 0.044_715),
        ("mean", mean),
        ("one", 1.0),
        ("half", 0.5),
    ] {
        graph.constant(name, &[], &[value]);
    }
    graph.lengths("split", &[d, d, d]);
    graph.lengths("by_head", &[1, t, shape.heads, d / shape.heads]);
    graph.lengths("by_token", &[1, t, d]);
}

/// One layer; the names of its tensors begin with `at`.
fn layer(shape: &Shape, graph: &mut Writer, random: &mut Random, at: &str, x: &str) -> Result<String> {
    let (d, hidden) = (shape.width, 4 * shape.width);
    let normed = norm(shape, graph, random, &format!("{at}ln1"), x);
    let qkv = linear(graph, random, &format!("{at}qkv"), &normed, [d, 3 * d])?;
    let [q, k, v] = ["q", "k", "v"].map(|name| format!("{at}{name}"));
    graph.op("Split", &q, &[&qkv, "split"], &[int("axis", 2)]);
    graph.and(&[&k, &v]);
    let mut by_head = |x: &str, perm: [i64; 4]| {
        let split = graph.op("Reshape", &format!("{x}.split"), &[x, "by_head"], &[]);
        graph.op("Transpose", &format!("{x}.heads"), &[&split], &[ints("perm", &perm)])
    };
    let (q, k, v) = (by_head(&q, [0, 2, 1, 3]), by_head(&k, [0, 2, 3, 1]), by_head(&v, [0, 2, 1, 3]));
    let products = graph.op("MatMul", &format!("{at}products"), &[&q, &k], &[]);
    let scores = graph.op("Mul", &format!("{at}scores"), &[&products, "scale"], &[]);
    let masked = graph.op("Where", &format!("{at}masked"), &["mask", "hidden", &scores], &[]);
    let shares = graph.op("Softmax", &format!("{at}shares"), &[&masked], &[int("axis", -1)]);
    let mixed = graph.op("MatMul", &format!("{at}mixed"), &[&shares, &v], &[]);
    let turned = graph.op("Transpose", &format!("{at}turned"), &[&mixed], &[ints("perm", &[0, 2, 1, 3])]);
    let context = graph.op("Reshape", &format!("{at}context"), &[&turned, "by_token"], &[]);
    let attended = linear(graph, random, &format!("{at}proj"), &context, [d, d])?;
    let middle = graph.op("Add", &format!("{at}middle"), &[x, &attended], &[]);
    let normed = norm(shape, graph, random, &format!("{at}ln2"), &middle);
    let up = linear(graph, random, &format!("{at}up"), &normed, [d, hidden])?;
    let gelu = gelu(graph, at, &up);
    let down = linear(graph, random, &format!("{at}down"), &gelu, [hidden, d])?;
    Ok(graph.op("Add", &format!("{at}y"), &[&middle, &down], &[]))
}

/// GELU by tanh.
fn gelu(graph: &mut Writer, at: &str, x: &str) -> String {
    let mut op = |op: &str, name: &str, a: &str, b: &str| graph.op(op, &format!("{at}{name}"), &[a, b], &[]);
    let square = op("Mul", "square", x, x);
    let third = op("Mul", "third", x, &square);
    let small = op("Mul", "small", "cube", &third);
    let sum = op("Add", "sum", x, &small);
    let angle = op("Mul", "angle", "mean", &sum);
    let tanh = graph.op("Tanh", &format!("{at}tanh"), &[&angle], &[]);
    let mut op = |op: &str, name: &str, a: &str, b: &str| graph.op(op, &format!("{at}{name}"), &[a, b], &[]);
    let gate = op("Add", "gate", "one", &tanh);
    let twice = op("Mul", "twice", x, &gate);
    op("Mul", "gelu", "half", &twice)
}

/// LayerNorm of `x`, named like its parameters.
fn norm(shape: &Shape, graph: &mut Writer, random: &mut Random, name: &str, x: &str) -> String {
    let (gain, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    random.vector(graph, &gain, shape.width, 1.0, 0.1);
    random.vector(graph, &bias, shape.width, 0.0, 0.1);
    graph.op("LayerNormalization", name, &[x, &gain, &bias], &[int("axis", -1), float("epsilon", 1e-5)])
}

/// `x W + b`, named like its parameters.
fn linear(graph: &mut Writer, random: &mut Random, name: &str, x: &str, dims: [usize; 2]) -> Result<String> {
    let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    let spread = 1.0 / (dims[0] as f32).sqrt();
    random.matrix(graph, &weight, dims, spread)?;
    random.vector(graph, &bias, dims[1], 0.0, spread);
    let product = graph.op("MatMul", &format!("{name}.product"), &[x, &weight], &[]);
    Ok(graph.op("Add", name, &[&bias, &product], &[]))
}

//! Evaluation of a float graph in single precision, with every intermediate result shown to an observer.

mod error;
mod general;

pub use error::EvalError;

use super::{Floats, Graph, InputKind, NodeId, NormKind, Op, PICK_ZERO};
use rayon::prelude::*;
use std::borrow::Cow;

/// Value of one graph input.
#[derive(Clone, Debug, PartialEq)]
pub enum InputValue {
    /// Token ids, one per position.
    Tokens(Vec<u32>),
    /// Row-major `[tokens, features]`.
    Float(Vec<f32>),
    /// One flag per key position, `false` = hidden.
    Mask(Vec<bool>),
    /// Whole numbers.
    Integer(Vec<i64>),
}

/// Sees each node's result (`[tokens, features]`, row-major) as soon as it is computed; token and mask inputs appear
/// as one number per position.
pub trait Observer {
    /// Called once per node, operands before consumers.
    fn observe(&mut self, node: NodeId, value: &[f32]);
}

impl<F: FnMut(NodeId, &[f32])> Observer for F {
    fn observe(&mut self, node: NodeId, value: &[f32]) {
        self(node, value)
    }
}

/// Evaluates every node and returns the outputs in order, each `[tokens, features]` row-major.
///
/// A query that sees no key at all (fully masked) attends to nothing and yields zeros.
///
/// # Errors
/// Inputs that are not those of the graph; a graph whose nodes do not fit together.
pub fn eval<O: Observer + ?Sized>(
    graph: &Graph,
    inputs: &[InputValue],
    observer: &mut O,
) -> Result<Vec<Vec<f32>>, EvalError> {
    if inputs.len() != graph.inputs.len() {
        return Err(EvalError::InputCount { expected: graph.inputs.len(), got: inputs.len() });
    }
    let order = graph.topo();
    let mut pending: Vec<usize> = graph.dag.node_indices().map(|n| graph.consumers(n).len()).collect();
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); graph.dag.node_count()];
    for id in order {
        let value = match graph.inputs.iter().position(|&i| i == id) {
            Some(slot) => read_input(graph, id, &inputs[slot])?,
            None => eval_node(graph, id, &values)?,
        };
        observer.observe(id, &value);
        values[id.index()] = value;
        for operand in graph.operands(id) {
            pending[operand.index()] -= 1;
            if pending[operand.index()] == 0 {
                values[operand.index()] = Vec::new();
            }
        }
    }
    Ok(graph.outputs.iter().map(|o| std::mem::take(&mut values[o.index()])).collect())
}

fn read_input(graph: &Graph, id: NodeId, value: &InputValue) -> Result<Vec<f32>, EvalError> {
    let node = &graph.dag[id];
    let (expected, data): (_, Vec<f32>) = match (&node.op, value) {
        (Op::Input(InputKind::Tokens { vocab }), InputValue::Tokens(ids)) => {
            if let Some(position) = ids.iter().position(|&i| i as usize >= *vocab) {
                let (name, vocab) = (node.name.clone(), *vocab);
                return Err(EvalError::TokenId { name, position, id: ids[position], vocab });
            }
            (graph.tokens, ids.iter().map(|&i| i as f32).collect())
        }
        (Op::Input(InputKind::Float), InputValue::Float(x)) => (graph.tokens * node.features, x.clone()),
        (Op::Input(InputKind::Mask), InputValue::Mask(m)) => {
            (graph.tokens, m.iter().map(|&b| f32::from(u8::from(b))).collect())
        }
        (Op::Input(InputKind::Integer { lo, hi }), InputValue::Integer(x)) => {
            if let Some(position) = x.iter().position(|v| !(lo..=hi).contains(&v)) {
                let (name, value, lo, hi) = (node.name.clone(), x[position], *lo, *hi);
                return Err(EvalError::Integer { name, position, value, lo, hi });
            }
            (node.features, x.iter().map(|&v| v as f32).collect())
        }
        (op, _) => return Err(EvalError::InputKind { name: node.name.clone(), expected: op.name() }),
    };
    if data.len() != expected {
        return Err(EvalError::InputLength { name: node.name.clone(), expected, got: data.len() });
    }
    Ok(data)
}

fn eval_node(graph: &Graph, id: NodeId, values: &[Vec<f32>]) -> Result<Vec<f32>, EvalError> {
    let node = &graph.dag[id];
    let (tokens, features) = (graph.tokens, node.features);
    let operands = graph.operands(id);
    let arg = |i: usize| values[operands[i].index()].as_slice();
    let width = |i: usize| graph.dag[operands[i]].features;
    Ok(match &node.op {
        Op::Input(_) => Vec::new(),
        Op::Embed { table } => {
            let tokens_input = matches!(graph.dag[operands[0]].op, Op::Input(InputKind::Tokens { .. }));
            if !tokens_input && !graph.dag[operands[0]].exact {
                return Err(EvalError::Operand { name: node.name.clone(), operand: 0, expected: "Tokens" });
            }
            general::embed(&node.name, arg(0), &read(&node.name, table)?, features / width(0))?
        }
        Op::Const { rows, data } => {
            if *rows == tokens {
                data.clone()
            } else {
                data.repeat(tokens)
            }
        }
        Op::Linear { positions, weight, bias } => {
            let weight = read(&node.name, weight)?;
            linear(arg(0), width(0) / positions, &weight, bias.as_deref(), features / positions)
        }
        Op::Norm { kind, groups, eps, gamma, beta } => {
            let mut y = Vec::with_capacity(tokens * features);
            for row in arg(0).chunks_exact(features / groups) {
                norm(row, *kind, *eps, gamma.as_deref(), beta.as_deref(), &mut y);
            }
            y
        }
        Op::Attention { heads, kv_heads, head_dim, scale, causal, key_mask, bias } => {
            let mask = key_mask.then(|| arg(3));
            let bias = bias.then(|| arg(operands.len() - 1));
            let shape = AttentionShape { heads: *heads, kv_heads: *kv_heads, head_dim: *head_dim, tokens };
            attention(shape, *scale, *causal, [mask, bias], [arg(0), arg(1), arg(2)])
        }
        Op::Rope { heads, cos, sin } => rope(arg(0), *heads, features, cos, sin),
        Op::Unary(f) => arg(0).iter().map(|&x| f.apply(f64::from(x)) as f32).collect(),
        Op::Add => arg(0).iter().zip(arg(1)).map(|(a, b)| a + b).collect(),
        Op::Sub => arg(0).iter().zip(arg(1)).map(|(a, b)| a - b).collect(),
        Op::Mul => arg(0).iter().zip(arg(1)).map(|(a, b)| a * b).collect(),
        Op::Scale(c) => arg(0).iter().map(|a| a * c).collect(),
        Op::Slice { start, len } => {
            arg(0).chunks_exact(width(0)).flat_map(|row| &row[*start..start + len]).copied().collect()
        }
        Op::Concat => {
            let row = |t: usize| (0..operands.len()).flat_map(move |i| &arg(i)[t * width(i)..][..width(i)]);
            (0..tokens).flat_map(row).copied().collect()
        }
        Op::Softmax { groups, hidden: None } => arg(0).chunks_exact(features / groups).flat_map(softmax).collect(),
        Op::Softmax { groups, hidden: Some(hidden) } => {
            let x = general::hide(arg(0), arg(1), operands.get(2).map(|_| arg(2)), *hidden);
            x.chunks_exact(features / groups).flat_map(softmax).collect()
        }
        Op::Pick { picks } => {
            let pick = |t: usize, (i, f): (u32, u32)| match (i, f) {
                PICK_ZERO => 0.0,
                _ => arg(i as usize)[t * width(i as usize) + f as usize],
            };
            (0..tokens).flat_map(|t| picks.iter().map(move |&p| pick(t, p))).collect()
        }
        Op::MatMul { batch, rows, inner, cols } => {
            general::matmul(arg(0), arg(1), tokens * batch, [*rows, *inner, *cols])
        }
        Op::Sum { sizes } => general::stretches(arg(0), sizes, |x| x.iter().map(|&v| f64::from(v)).sum::<f64>() as f32),
        Op::Max { groups } => {
            let greatest = |x: &[f32]| x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            arg(0).chunks_exact(width(0) / groups).map(greatest).collect()
        }
        Op::ArgMax { groups } => arg(0).chunks_exact(width(0) / groups).map(general::argmax).collect(),
        Op::Step => arg(0).iter().map(|&x| f32::from(u8::from(x >= 0.0))).collect(),
        Op::FloorDiv { divisor } => {
            arg(0).iter().map(|&x| (f64::from(x) / f64::from(*divisor)).floor() as f32).collect()
        }
        Op::Quotient => {
            arg(0).iter().zip(arg(1)).map(|(&a, &b)| (f64::from(a) / f64::from(b)).floor() as f32).collect()
        }
        // What reads it takes no others.
        Op::Within { least, most } => arg(0).iter().map(|x| x.clamp(*least as f32, *most as f32)).collect(),
        Op::Bits { count } => {
            let digits = |&x: &f32| (0..*count).map(move |i| ((x as i64 >> i) & 1) as f32);
            arg(0).iter().flat_map(digits).collect()
        }
        Op::TokenSum { of } => {
            general::token_sum(arg(0), features, of.iter().map(|&u| (u as usize, 1.0))).repeat(tokens)
        }
        Op::TokenMean => {
            let count = arg(1).iter().sum::<f32>().max(1.0);
            let shares = arg(1).iter().map(|m| m / count).enumerate();
            general::token_sum(arg(0), features, shares).repeat(tokens)
        }
        Op::Output => arg(0).to_vec(),
    })
}

/// The numbers of a node.
fn read<'n>(name: &str, numbers: &'n Floats) -> Result<Cow<'n, [f32]>, EvalError> {
    numbers.read().map_err(|source| EvalError::Stored { name: name.to_owned(), source })
}

/// `x W + b` for `x` of `[_, inputs]`.
fn linear(x: &[f32], inputs: usize, weight: &[f32], bias: Option<&[f32]>, outputs: usize) -> Vec<f32> {
    let mut y = vec![0f32; x.len() / inputs * outputs];
    y.par_chunks_mut(outputs).zip(x.par_chunks(inputs)).for_each(|(y, x)| {
        for (&x, w) in x.iter().zip(weight.chunks_exact(outputs)) {
            for (y, &w) in y.iter_mut().zip(w) {
                *y += x * w;
            }
        }
        for (y, &b) in y.iter_mut().zip(bias.unwrap_or_default()) {
            *y += b;
        }
    });
    y
}

fn norm(x: &[f32], kind: NormKind, eps: f32, gamma: Option<&[f32]>, beta: Option<&[f32]>, y: &mut Vec<f32>) {
    let n = x.len() as f64;
    let mean = match kind {
        NormKind::Layer => x.iter().map(|&v| f64::from(v)).sum::<f64>() / n,
        NormKind::Rms => 0.0,
    };
    let variance = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    let inverse = 1.0 / (variance + f64::from(eps)).sqrt();
    y.extend(x.iter().enumerate().map(|(c, &v)| {
        let unit = ((f64::from(v) - mean) * inverse) as f32;
        unit * gamma.map_or(1.0, |g| g[c]) + beta.map_or(0.0, |b| b[c])
    }));
}

/// Softmax of one row; all zeros when every entry is minus infinity.
fn softmax(row: &[f32]) -> Vec<f32> {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY {
        return vec![0.0; row.len()];
    }
    let exps: Vec<f32> = row.iter().map(|&x| (x - max).exp()).collect();
    let sum: f32 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
}

#[derive(Clone, Copy)]
struct AttentionShape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    tokens: usize,
}

fn attention(
    shape: AttentionShape,
    scale: f32,
    causal: bool,
    [mask, bias]: [Option<&[f32]>; 2],
    qkv: [&[f32]; 3],
) -> Vec<f32> {
    let AttentionShape { heads, kv_heads, head_dim, tokens } = shape;
    let [q, k, v] = qkv;
    let kv_width = kv_heads * head_dim;
    let mut y = vec![0f32; tokens * heads * head_dim];
    y.par_chunks_mut(heads * head_dim).enumerate().for_each(|(t, out)| {
        for (h, out) in out.chunks_exact_mut(head_dim).enumerate() {
            let group = h * kv_heads / heads * head_dim;
            let query = &q[(t * heads + h) * head_dim..][..head_dim];
            let keys = if causal { t + 1 } else { tokens };
            let scores: Vec<f32> = (0..keys)
                .map(|s| match mask {
                    Some(m) if m[s] == 0.0 => f32::NEG_INFINITY,
                    _ => {
                        let key = &k[s * kv_width + group..][..head_dim];
                        let score = scale * query.iter().zip(key).map(|(a, b)| a * b).sum::<f32>();
                        score + bias.map_or(0.0, |bias| bias[(t * heads + h) * tokens + s])
                    }
                })
                .collect();
            for (s, p) in softmax(&scores).into_iter().enumerate() {
                for (o, &x) in out.iter_mut().zip(&v[s * kv_width + group..][..head_dim]) {
                    *o += p * x;
                }
            }
        }
    });
    y
}

fn rope(x: &[f32], heads: usize, features: usize, cos: &[f32], sin: &[f32]) -> Vec<f32> {
    let head_dim = features / heads;
    let half = head_dim / 2;
    let mut y = Vec::with_capacity(x.len());
    for (t, row) in x.chunks_exact(features).enumerate() {
        let (cos, sin) = (&cos[t * head_dim..][..head_dim], &sin[t * head_dim..][..head_dim]);
        for head in row.chunks_exact(head_dim) {
            for c in 0..head_dim {
                let turned = if c < half { -head[c + half] } else { head[c - half] };
                y.push(head[c] * cos[c] + turned * sin[c]);
            }
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(g: &mut Graph, name: &str, kind: InputKind, features: usize) -> NodeId {
        let id = g.add(name, Op::Input(kind), features, &[]);
        g.inputs.push(id);
        id
    }

    fn output(g: &mut Graph, source: NodeId) {
        let id = g.add("y", Op::Output, g.dag[source].features, &[source]);
        g.outputs.push(id);
    }

    fn run(g: &Graph, inputs: &[InputValue]) -> Result<Vec<f32>, EvalError> {
        Ok(eval(g, inputs, &mut |_: NodeId, _: &[f32]| ())?.remove(0))
    }

    /// Two query heads over one key/value head of width 1, all queries 0: attention averages what it sees.
    fn averaging(causal: bool) -> Graph {
        let mut g = Graph { tokens: 3, ..Graph::default() };
        let x = input(&mut g, "x", InputKind::Float, 1);
        let mask = input(&mut g, "mask", InputKind::Mask, 1);
        let q = g.add("q", Op::Linear { positions: 1, weight: vec![0.0, 0.0].into(), bias: None }, 2, &[x]);
        let op = Op::Attention { heads: 2, kv_heads: 1, head_dim: 1, scale: 1.0, causal, key_mask: true, bias: false };
        let a = g.add("a", op, 2, &[q, x, x, mask]);
        output(&mut g, a);
        g
    }

    #[test]
    fn attention_sees_what_the_masks_show() {
        let x = InputValue::Float(vec![2.0, 4.0, 9.0]);
        let all = InputValue::Mask(vec![true; 3]);
        let y = run(&averaging(true), &[x.clone(), all.clone()]).expect("values");
        assert_eq!(y, [2.0, 2.0, 3.0, 3.0, 5.0, 5.0]);
        assert_eq!(run(&averaging(false), &[x.clone(), all]).expect("values"), [5.0; 6]);
        let masked = InputValue::Mask(vec![false, true, true]);
        assert_eq!(run(&averaging(true), &[x, masked]).expect("values"), [0.0, 0.0, 4.0, 4.0, 6.5, 6.5]);
    }

    #[test]
    fn rope_turns_pairs_of_half_split_heads() {
        let mut g = Graph { tokens: 1, ..Graph::default() };
        let x = input(&mut g, "x", InputKind::Float, 4);
        let rope = g.add("r", Op::Rope { heads: 2, cos: vec![0.0; 2], sin: vec![1.0; 2] }, 4, &[x]);
        output(&mut g, rope);
        let y = run(&g, &[InputValue::Float(vec![1.0, 2.0, 3.0, 4.0])]).expect("values");
        assert_eq!(y, [-2.0, 1.0, -4.0, 3.0]);
    }

    #[test]
    fn slices_and_concatenations_keep_tokens_apart() {
        let mut g = Graph { tokens: 2, ..Graph::default() };
        let x = input(&mut g, "x", InputKind::Float, 3);
        let s = g.add("s", Op::Slice { start: 1, len: 2 }, 2, &[x]);
        let c = g.add("c", Op::Concat, 5, &[s, x]);
        output(&mut g, c);
        let y = run(&g, &[InputValue::Float(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]).expect("values");
        assert_eq!(y, [2.0, 3.0, 1.0, 2.0, 3.0, 5.0, 6.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn wrong_inputs_are_named() {
        let mut g = Graph { tokens: 2, ..Graph::default() };
        let ids = input(&mut g, "ids", InputKind::Tokens { vocab: 3 }, 1);
        let e = g.add("e", Op::Embed { table: vec![1.0, 2.0, 3.0].into() }, 1, &[ids]);
        output(&mut g, e);
        assert_eq!(run(&g, &[InputValue::Tokens(vec![2, 0])]).expect("values"), [3.0, 1.0]);
        let message = |v: &[InputValue]| run(&g, v).expect_err("must be refused").to_string();
        assert!(message(&[InputValue::Tokens(vec![0, 3])]).contains("token id 3 at position 1"));
        assert!(message(&[InputValue::Tokens(vec![0])]).contains("1 values given, 2 expected"));
        assert!(message(&[InputValue::Float(vec![0.0; 2])]).contains("a Tokens input is expected"));
        assert!(message(&[]).contains("has 1 input(s), 0 given"));
    }
}

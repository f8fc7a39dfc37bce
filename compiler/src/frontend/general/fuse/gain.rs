//! Products and sums with constants that repeat along a layer's outputs become part of the layer.

use crate::frontend::general::function::Elementwise;
use crate::frontend::general::graph::{Graph, Op};
use crate::frontend::general::tensor::Code;
use nanozk_ir::float::Binary;
use std::sync::Arc;

pub(super) fn merge(graph: &mut Graph, outputs: &[Vec<Code>]) {
    let uses = graph.uses(outputs);
    for id in 1..graph.nodes.len() {
        if uses[id] == 0 || graph.nodes[id].whole.is_some() {
            continue;
        }
        let Some((source, op)) = merged(graph, id, &uses) else { continue };
        let args = graph.nodes[source].args.clone();
        let node = &mut graph.nodes[id];
        (node.op, node.args) = (op, args);
    }
}

/// The layer that node `id` scales or shifts, and the layer that computes both at once.
fn merged(graph: &Graph, id: usize, uses: &[usize]) -> Option<(usize, Op)> {
    let node = &graph.nodes[id];
    let (Op::Elementwise(Elementwise::Binary(f)), [a, b]) = (&node.op, &node.args[..]) else { return None };
    let (x, constants, first) = match (graph.constants(a), graph.constants(b)) {
        (None, Some(c)) => (a, c, false),
        (Some(c), None) => (b, c, true),
        _ => return None,
    };
    let source = graph.entire(x).filter(|&s| uses[s] == 1)?;
    let period = match &graph.nodes[source].op {
        Op::Linear { positions, .. } => graph.nodes[source].features / positions,
        Op::Norm { groups, .. } => graph.nodes[source].features / groups,
        _ => return None,
    };
    if constants.iter().enumerate().any(|(i, c)| *c != constants[i % period] || !(*c as f32).is_finite()) {
        return None;
    }
    let row: Vec<f32> = constants[..period].iter().map(|&c| c as f32).collect();
    let (gain, shift) = match (f, first) {
        (Binary::Mul, _) => (Some(row), None),
        (Binary::Div, false) => (Some(row.iter().map(|c| 1.0 / c).collect()), None),
        (Binary::Add, _) => (None, Some(row)),
        (Binary::Sub, false) => (None, Some(row.iter().map(|c| -c).collect())),
        (Binary::Sub, true) => (Some(vec![-1.0; period]), Some(row)),
        _ => return None,
    };
    let op = match graph.nodes[source].op.clone() {
        Op::Linear { positions, weight, bias } => {
            let weight = match &gain {
                Some(g) => Arc::new(weight.chunks_exact(period).flat_map(|row| times(row, g)).collect()),
                None => weight,
            };
            Op::Linear { positions, weight, bias: plus(bias.map(|b| scaled(b, &gain)), shift) }
        }
        Op::Norm { kind, groups, eps, gamma, beta } => {
            let gamma = gamma.map(|g| scaled(g, &gain)).or_else(|| gain.clone());
            Op::Norm { kind, groups, eps, gamma, beta: plus(beta.map(|b| scaled(b, &gain)), shift) }
        }
        _ => return None,
    };
    Some((source, op))
}

fn times(row: &[f32], gain: &[f32]) -> Vec<f32> {
    row.iter().zip(gain).map(|(a, b)| a * b).collect()
}

fn scaled(row: Vec<f32>, gain: &Option<Vec<f32>>) -> Vec<f32> {
    gain.as_ref().map_or_else(|| row.clone(), |g| times(&row, g))
}

fn plus(a: Option<Vec<f32>>, b: Option<Vec<f32>>) -> Option<Vec<f32>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.iter().zip(&b).map(|(a, b)| a + b).collect()),
        (a, b) => a.or(b),
    }
}

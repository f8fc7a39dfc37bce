//! Merges on the matrix graph: biases and gains into the layers they belong to, feature selections into weights,
//! scales into attention.

use super::matrix_graph::{MatrixGraph, MatrixId, MatrixOp, Pick};
use nanozk_ir::float::{Binary, Op, Shared};
use std::{collections::HashMap, sync::Arc};

/// Runs all merges on what `roots` need.
pub(super) fn simplify(graph: &mut MatrixGraph, roots: &[MatrixId]) {
    compose_selections(graph);
    attention_order(graph);
    attention_scale(graph, roots);
    sum_constants(graph, roots);
    gains(graph, roots);
    affine(graph, roots);
    select_columns(graph, roots);
}

/// Lets selections of selections read the original features.
fn compose_selections(graph: &mut MatrixGraph) {
    for id in 0..graph.nodes.len() {
        let MatrixOp::Select(picks) = &graph.nodes[id].op else { continue };
        let mut operands: Vec<MatrixId> = Vec::new();
        let mut slot = |source: MatrixId| {
            operands.iter().position(|&o| o == source).unwrap_or_else(|| {
                operands.push(source);
                operands.len() - 1
            })
        };
        let through = |p: &Pick| -> (MatrixId, Pick) {
            let source = graph.nodes[id].operands[p.operand];
            match &graph.nodes[source].op {
                MatrixOp::Select(inner) => {
                    let q = inner[p.feature];
                    (graph.nodes[source].operands[q.operand], Pick { negated: p.negated != q.negated, ..q })
                }
                _ => (source, *p),
            }
        };
        let picks = picks.iter().map(through).map(|(source, p)| Pick { operand: slot(source), ..p }).collect();
        graph.nodes[id].op = MatrixOp::Select(picks);
        graph.nodes[id].operands = operands;
    }
}

/// The source of a selection that permutes the features inside each head alike, and that permutation.
fn head_permutation(graph: &MatrixGraph, id: MatrixId, head_dim: usize) -> Option<(MatrixId, Vec<usize>)> {
    let (MatrixOp::Select(picks), [source]) = (&graph.nodes[id].op, &graph.nodes[id].operands[..]) else { return None };
    let features = graph.nodes[id].features;
    let first: Vec<usize> = picks.iter().take(head_dim).map(|p| p.feature).collect();
    let alike = picks.iter().enumerate().all(|(i, p)| {
        !p.negated && p.feature == i / head_dim * head_dim + first[i % head_dim] && first[i % head_dim] < head_dim
    });
    (alike && graph.nodes[*source].features == features).then_some((*source, first))
}

/// Drops a permutation inside the heads that queries and keys share: scores do not depend on it.
fn attention_order(graph: &mut MatrixGraph) {
    for id in 0..graph.nodes.len() {
        let MatrixOp::Canonical(Op::Attention { head_dim, .. }) = graph.nodes[id].op else { continue };
        let of = |slot: usize| head_permutation(graph, graph.nodes[id].operands[slot], head_dim);
        if let (Some((q, p)), Some((k, r))) = (of(0), of(1))
            && p == r
        {
            graph.nodes[id].operands[0] = q;
            graph.nodes[id].operands[1] = k;
        }
    }
}

/// The operand that is not constant and the constant one of a sum.
fn constant_sum(graph: &MatrixGraph, id: MatrixId) -> Option<(MatrixId, MatrixId)> {
    let constant = |o: MatrixId| matches!(graph.nodes[o].op, MatrixOp::Const { .. });
    match (&graph.nodes[id].op, &graph.nodes[id].operands[..]) {
        (MatrixOp::Binary(Binary::Add), &[a, b]) if !constant(a) && constant(b) => Some((a, b)),
        (MatrixOp::Binary(Binary::Add), &[a, b]) if constant(a) && !constant(b) => Some((b, a)),
        _ => None,
    }
}

/// Merges two sums with constants in a row into one.
fn sum_constants(graph: &mut MatrixGraph, roots: &[MatrixId]) {
    let uses = graph.uses(roots);
    for id in (0..graph.nodes.len()).filter(|&id| uses[id] > 0) {
        let Some((inner, outer_const)) = constant_sum(graph, id) else { continue };
        let Some((x, inner_const)) = constant_sum(graph, inner) else { continue };
        let features = graph.nodes[id].features;
        if uses[inner] != 1 || graph.nodes[inner].features != features {
            continue;
        }
        let tokens = graph.tokens;
        let spread = |id: MatrixId| -> Vec<f32> {
            let node = &graph.nodes[id];
            let MatrixOp::Const { rows, data } = &node.op else { return Vec::new() };
            let at = |t: usize, f: usize| data[t % rows * node.features + f % node.features];
            (0..tokens).flat_map(|t| (0..features).map(move |f| (t, f))).map(|(t, f)| at(t, f)).collect()
        };
        let sum: Vec<f32> = spread(inner_const).iter().zip(spread(outer_const)).map(|(a, b)| a + b).collect();
        // The inner sum is read here only, so it becomes the constant.
        let rows = if sum.chunks_exact(features).all(|row| row == &sum[..features]) { 1 } else { tokens };
        graph.nodes[inner].op = MatrixOp::Const { rows, data: Arc::new(sum[..rows * features].to_vec()) };
        graph.nodes[inner].operands = Vec::new();
        graph.nodes[id].operands = vec![x, inner];
    }
}

/// Merges the gains of a selection of features into the linear and normalisation layers whose features they are.
fn gains(graph: &mut MatrixGraph, roots: &[MatrixId]) {
    let uses = graph.uses(roots);
    for id in (0..graph.nodes.len()).filter(|&id| uses[id] > 0) {
        let (MatrixOp::Binary(Binary::Mul), &[a, b]) = (&graph.nodes[id].op, &graph.nodes[id].operands[..]) else {
            continue;
        };
        let features = graph.nodes[id].features;
        let (x, row) = match (graph.row(a, features), graph.row(b, features)) {
            (None, Some(row)) => (a, row),
            (Some(row), None) => (b, row),
            _ => continue,
        };
        let MatrixOp::Select(picks) = graph.nodes[x].op.clone() else { continue };
        let operands = graph.nodes[x].operands.clone();
        let takes = |&o: &MatrixId| {
            uses[o] == 1 && matches!(graph.nodes[o].op, MatrixOp::Norm { .. } | MatrixOp::Linear { .. })
        };
        if uses[x] != 1 || !operands.iter().all(takes) {
            continue;
        }
        let mut gains: Vec<Vec<Option<f32>>> = operands.iter().map(|&o| vec![None; graph.nodes[o].features]).collect();
        let one = |(pick, &gain): (&Pick, &f32)| *gains[pick.operand][pick.feature].get_or_insert(gain) == gain;
        if !picks.iter().zip(&row).all(one) {
            continue;
        }
        for (&operand, gain) in operands.iter().zip(gains) {
            let gain: Vec<f32> = gain.into_iter().map(|g| g.unwrap_or(1.0)).collect();
            let node = &mut graph.nodes[operand];
            node.op = match node.op.clone() {
                MatrixOp::Linear { weight, bias } => linear(weight, bias, Some(gain), None),
                MatrixOp::Norm { kind, eps, gamma, beta } => {
                    let beta = beta.map(|b| scaled(b, Some(&gain)));
                    MatrixOp::Norm { kind, eps, gamma: times(gamma, Some(&gain)), beta }
                }
                other => other,
            };
        }
        graph.nodes[id].op = MatrixOp::Select(picks);
        graph.nodes[id].operands = operands;
    }
}

/// Merges products and sums with constants into the preceding linear or normalisation layer.
fn affine(graph: &mut MatrixGraph, roots: &[MatrixId]) {
    let uses = graph.uses(roots);
    for id in 0..graph.nodes.len() {
        let MatrixOp::Binary(op) = graph.nodes[id].op else { continue };
        if uses[id] == 0 {
            continue;
        }
        let features = graph.nodes[id].features;
        let [a, b] = graph.nodes[id].operands[..] else { continue };
        let (x, row, const_first) = match (graph.row(a, features), graph.row(b, features)) {
            (None, Some(row)) => (a, row, false),
            (Some(row), None) => (b, row, true),
            _ => continue,
        };
        if uses[x] != 1 || graph.nodes[x].features != features {
            continue;
        }
        let (gain, shift) = match (op, const_first) {
            (Binary::Mul, _) => (Some(row), None),
            (Binary::Add, _) => (None, Some(row)),
            (Binary::Sub, true) => (Some(vec![-1.0; features]), Some(row)),
            _ => continue,
        };
        let merged = match graph.nodes[x].op.clone() {
            MatrixOp::Linear { weight, bias } => linear(weight, bias, gain, shift),
            MatrixOp::Norm { kind, eps, gamma, beta } => {
                let gamma = times(gamma, gain.as_deref());
                let beta = plus(beta.map(|b| scaled(b, gain.as_deref())), shift);
                MatrixOp::Norm { kind, eps, gamma, beta }
            }
            _ => continue,
        };
        graph.nodes[id].op = merged;
        graph.nodes[id].operands = graph.nodes[x].operands.clone();
    }
}

fn linear(weight: Shared, bias: Option<Vec<f32>>, gain: Option<Vec<f32>>, shift: Option<Vec<f32>>) -> MatrixOp {
    let weight = match &gain {
        Some(g) => {
            let rows = weight.chunks_exact(g.len()).flat_map(|row| scaled(row.to_vec(), Some(g)));
            rows.collect::<Vec<_>>().into()
        }
        None => weight,
    };
    let bias = plus(bias.map(|b| scaled(b, gain.as_deref())), shift);
    MatrixOp::Linear { weight, bias }
}

fn scaled(row: Vec<f32>, gain: Option<&[f32]>) -> Vec<f32> {
    match gain {
        Some(g) => row.iter().zip(g).map(|(a, b)| a * b).collect(),
        None => row,
    }
}

fn times(a: Option<Vec<f32>>, gain: Option<&[f32]>) -> Option<Vec<f32>> {
    match a {
        Some(a) => Some(scaled(a, gain)),
        None => gain.map(<[f32]>::to_vec),
    }
}

fn plus(a: Option<Vec<f32>>, b: Option<Vec<f32>>) -> Option<Vec<f32>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.iter().zip(&b).map(|(a, b)| a + b).collect()),
        (a, b) => a.or(b),
    }
}

/// Turns feature selections into linear layers of their own when nothing reads the whole layer.
fn select_columns(graph: &mut MatrixGraph, roots: &[MatrixId]) {
    let uses = graph.uses(roots);
    let mut selections: HashMap<MatrixId, Vec<MatrixId>> = HashMap::new();
    for id in (0..graph.nodes.len()).filter(|&id| uses[id] > 0) {
        if let (MatrixOp::Select(_), [source]) = (&graph.nodes[id].op, &graph.nodes[id].operands[..]) {
            selections.entry(*source).or_default().push(id);
        }
    }
    for (source, readers) in selections {
        let MatrixOp::Linear { weight, bias } = graph.nodes[source].op.clone() else { continue };
        if uses[source] != readers.len() {
            continue;
        }
        let width = graph.nodes[source].features;
        let operands = graph.nodes[source].operands.clone();
        for id in readers {
            let MatrixOp::Select(picks) = &graph.nodes[id].op else { continue };
            let pick = |row: &[f32]| -> Vec<f32> {
                picks.iter().map(|p| if p.negated { -row[p.feature] } else { row[p.feature] }).collect()
            };
            let weight = weight.chunks_exact(width).flat_map(pick).collect::<Vec<_>>().into();
            let bias = bias.as_deref().map(pick);
            graph.nodes[id].op = MatrixOp::Linear { weight, bias };
            graph.nodes[id].operands = operands.clone();
        }
    }
}

/// Moves constant factors on queries and keys into the factor on the scores.
fn attention_scale(graph: &mut MatrixGraph, roots: &[MatrixId]) {
    let uses = graph.uses(roots);
    for id in 0..graph.nodes.len() {
        if !matches!(graph.nodes[id].op, MatrixOp::Canonical(Op::Attention { .. })) {
            continue;
        }
        for slot in 0..2 {
            let (source, factor) = unscaled(graph, graph.nodes[id].operands[slot], &uses);
            graph.nodes[id].operands[slot] = source;
            if let MatrixOp::Canonical(Op::Attention { scale, .. }) = &mut graph.nodes[id].op {
                *scale *= factor;
            }
        }
    }
}

/// The node `id` is a multiple of, and the factor; rotary embeddings and selections in between are moved
/// onto it when nothing else reads them.
fn unscaled(graph: &mut MatrixGraph, id: MatrixId, uses: &[usize]) -> (MatrixId, f32) {
    let node = graph.nodes[id].clone();
    match (&node.op, &node.operands[..]) {
        (MatrixOp::Binary(Binary::Mul), &[a, b]) => match (graph.scalar(a), graph.scalar(b)) {
            (None, Some(c)) if graph.nodes[a].features == node.features => {
                let (source, factor) = unscaled(graph, a, uses);
                (source, factor * c)
            }
            (Some(c), None) if graph.nodes[b].features == node.features => {
                let (source, factor) = unscaled(graph, b, uses);
                (source, factor * c)
            }
            _ => (id, 1.0),
        },
        (MatrixOp::Canonical(Op::Rope { .. }) | MatrixOp::Select(_), &[source]) if uses[id] == 1 => {
            let (inner, factor) = unscaled(graph, source, uses);
            if inner == source {
                return (id, 1.0);
            }
            graph.nodes[id].operands = vec![inner];
            (id, factor)
        }
        _ => (id, 1.0),
    }
}

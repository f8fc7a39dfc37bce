//! Merges on the intermediate graph: biases and gains into the layers they belong to, feature selections into weights,
//! scales into attention.

use super::mid::{Mid, MidId, MidOp, Pick};
use nanozk_ir::float::{Binary, Op, Shared};
use std::{collections::HashMap, sync::Arc};

/// Runs all merges on what `roots` need.
pub(super) fn simplify(mid: &mut Mid, roots: &[MidId]) {
    compose_selections(mid);
    attention_order(mid);
    attention_scale(mid, roots);
    sum_constants(mid, roots);
    gains(mid, roots);
    affine(mid, roots);
    select_columns(mid, roots);
}

/// Lets selections of selections read the original features.
fn compose_selections(mid: &mut Mid) {
    for id in 0..mid.nodes.len() {
        let MidOp::Select(picks) = &mid.nodes[id].op else { continue };
        let mut operands: Vec<MidId> = Vec::new();
        let mut slot = |source: MidId| {
            operands.iter().position(|&o| o == source).unwrap_or_else(|| {
                operands.push(source);
                operands.len() - 1
            })
        };
        let through = |p: &Pick| -> (MidId, Pick) {
            let source = mid.nodes[id].operands[p.operand];
            match &mid.nodes[source].op {
                MidOp::Select(inner) => {
                    let q = inner[p.feature];
                    (mid.nodes[source].operands[q.operand], Pick { negated: p.negated != q.negated, ..q })
                }
                _ => (source, *p),
            }
        };
        let picks = picks.iter().map(through).map(|(source, p)| Pick { operand: slot(source), ..p }).collect();
        mid.nodes[id].op = MidOp::Select(picks);
        mid.nodes[id].operands = operands;
    }
}

/// The source of a selection that permutes the features inside each head alike, and that permutation.
fn head_permutation(mid: &Mid, id: MidId, head_dim: usize) -> Option<(MidId, Vec<usize>)> {
    let (MidOp::Select(picks), [source]) = (&mid.nodes[id].op, &mid.nodes[id].operands[..]) else { return None };
    let features = mid.nodes[id].features;
    let first: Vec<usize> = picks.iter().take(head_dim).map(|p| p.feature).collect();
    let alike = picks.iter().enumerate().all(|(i, p)| {
        !p.negated && p.feature == i / head_dim * head_dim + first[i % head_dim] && first[i % head_dim] < head_dim
    });
    (alike && mid.nodes[*source].features == features).then_some((*source, first))
}

/// Drops a permutation inside the heads that queries and keys share: scores do not depend on it.
fn attention_order(mid: &mut Mid) {
    for id in 0..mid.nodes.len() {
        let MidOp::Canonical(Op::Attention { head_dim, .. }) = mid.nodes[id].op else { continue };
        let of = |slot: usize| head_permutation(mid, mid.nodes[id].operands[slot], head_dim);
        if let (Some((q, p)), Some((k, r))) = (of(0), of(1))
            && p == r
        {
            mid.nodes[id].operands[0] = q;
            mid.nodes[id].operands[1] = k;
        }
    }
}

/// The operand that is not constant and the constant one of a sum.
fn constant_sum(mid: &Mid, id: MidId) -> Option<(MidId, MidId)> {
    let constant = |o: MidId| matches!(mid.nodes[o].op, MidOp::Const { .. });
    match (&mid.nodes[id].op, &mid.nodes[id].operands[..]) {
        (MidOp::Binary(Binary::Add), &[a, b]) if !constant(a) && constant(b) => Some((a, b)),
        (MidOp::Binary(Binary::Add), &[a, b]) if constant(a) && !constant(b) => Some((b, a)),
        _ => None,
    }
}

/// Merges two sums with constants in a row into one.
fn sum_constants(mid: &mut Mid, roots: &[MidId]) {
    let uses = mid.uses(roots);
    for id in (0..mid.nodes.len()).filter(|&id| uses[id] > 0) {
        let Some((inner, outer_const)) = constant_sum(mid, id) else { continue };
        let Some((x, inner_const)) = constant_sum(mid, inner) else { continue };
        let features = mid.nodes[id].features;
        if uses[inner] != 1 || mid.nodes[inner].features != features {
            continue;
        }
        let tokens = mid.tokens;
        let spread = |id: MidId| -> Vec<f32> {
            let node = &mid.nodes[id];
            let MidOp::Const { rows, data } = &node.op else { return Vec::new() };
            let at = |t: usize, f: usize| data[t % rows * node.features + f % node.features];
            (0..tokens).flat_map(|t| (0..features).map(move |f| (t, f))).map(|(t, f)| at(t, f)).collect()
        };
        let sum: Vec<f32> = spread(inner_const).iter().zip(spread(outer_const)).map(|(a, b)| a + b).collect();
        // The inner sum is read here only, so it becomes the constant.
        let rows = if sum.chunks_exact(features).all(|row| row == &sum[..features]) { 1 } else { tokens };
        mid.nodes[inner].op = MidOp::Const { rows, data: Arc::new(sum[..rows * features].to_vec()) };
        mid.nodes[inner].operands = Vec::new();
        mid.nodes[id].operands = vec![x, inner];
    }
}

/// Merges the gains of a selection of features into the linear and normalisation layers whose features they are.
fn gains(mid: &mut Mid, roots: &[MidId]) {
    let uses = mid.uses(roots);
    for id in (0..mid.nodes.len()).filter(|&id| uses[id] > 0) {
        let (MidOp::Binary(Binary::Mul), &[a, b]) = (&mid.nodes[id].op, &mid.nodes[id].operands[..]) else { continue };
        let features = mid.nodes[id].features;
        let (x, row) = match (mid.row(a, features), mid.row(b, features)) {
            (None, Some(row)) => (a, row),
            (Some(row), None) => (b, row),
            _ => continue,
        };
        let MidOp::Select(picks) = mid.nodes[x].op.clone() else { continue };
        let operands = mid.nodes[x].operands.clone();
        let takes = |&o: &MidId| uses[o] == 1 && matches!(mid.nodes[o].op, MidOp::Norm { .. } | MidOp::Linear { .. });
        if uses[x] != 1 || !operands.iter().all(takes) {
            continue;
        }
        let mut gains: Vec<Vec<Option<f32>>> = operands.iter().map(|&o| vec![None; mid.nodes[o].features]).collect();
        let one = |(pick, &gain): (&Pick, &f32)| *gains[pick.operand][pick.feature].get_or_insert(gain) == gain;
        if !picks.iter().zip(&row).all(one) {
            continue;
        }
        for (&operand, gain) in operands.iter().zip(gains) {
            let gain: Vec<f32> = gain.into_iter().map(|g| g.unwrap_or(1.0)).collect();
            let node = &mut mid.nodes[operand];
            node.op = match node.op.clone() {
                MidOp::Linear { weight, bias } => linear(weight, bias, Some(gain), None),
                MidOp::Norm { kind, eps, gamma, beta } => {
                    let beta = beta.map(|b| scaled(b, Some(&gain)));
                    MidOp::Norm { kind, eps, gamma: times(gamma, Some(&gain)), beta }
                }
                other => other,
            };
        }
        mid.nodes[id].op = MidOp::Select(picks);
        mid.nodes[id].operands = operands;
    }
}

/// Merges products and sums with constants into the preceding linear or normalisation layer.
fn affine(mid: &mut Mid, roots: &[MidId]) {
    let uses = mid.uses(roots);
    for id in 0..mid.nodes.len() {
        let MidOp::Binary(op) = mid.nodes[id].op else { continue };
        if uses[id] == 0 {
            continue;
        }
        let features = mid.nodes[id].features;
        let [a, b] = mid.nodes[id].operands[..] else { continue };
        let (x, row, const_first) = match (mid.row(a, features), mid.row(b, features)) {
            (None, Some(row)) => (a, row, false),
            (Some(row), None) => (b, row, true),
            _ => continue,
        };
        if uses[x] != 1 || mid.nodes[x].features != features {
            continue;
        }
        let (gain, shift) = match (op, const_first) {
            (Binary::Mul, _) => (Some(row), None),
            (Binary::Add, _) => (None, Some(row)),
            (Binary::Sub, true) => (Some(vec![-1.0; features]), Some(row)),
            _ => continue,
        };
        let merged = match mid.nodes[x].op.clone() {
            MidOp::Linear { weight, bias } => linear(weight, bias, gain, shift),
            MidOp::Norm { kind, eps, gamma, beta } => {
                let gamma = times(gamma, gain.as_deref());
                let beta = plus(beta.map(|b| scaled(b, gain.as_deref())), shift);
                MidOp::Norm { kind, eps, gamma, beta }
            }
            _ => continue,
        };
        mid.nodes[id].op = merged;
        mid.nodes[id].operands = mid.nodes[x].operands.clone();
    }
}

fn linear(weight: Shared, bias: Option<Vec<f32>>, gain: Option<Vec<f32>>, shift: Option<Vec<f32>>) -> MidOp {
    let weight = match &gain {
        Some(g) => {
            let rows = weight.chunks_exact(g.len()).flat_map(|row| scaled(row.to_vec(), Some(g)));
            rows.collect::<Vec<_>>().into()
        }
        None => weight,
    };
    let bias = plus(bias.map(|b| scaled(b, gain.as_deref())), shift);
    MidOp::Linear { weight, bias }
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
fn select_columns(mid: &mut Mid, roots: &[MidId]) {
    let uses = mid.uses(roots);
    let mut selections: HashMap<MidId, Vec<MidId>> = HashMap::new();
    for id in (0..mid.nodes.len()).filter(|&id| uses[id] > 0) {
        if let (MidOp::Select(_), [source]) = (&mid.nodes[id].op, &mid.nodes[id].operands[..]) {
            selections.entry(*source).or_default().push(id);
        }
    }
    for (source, readers) in selections {
        let MidOp::Linear { weight, bias } = mid.nodes[source].op.clone() else { continue };
        if uses[source] != readers.len() {
            continue;
        }
        let width = mid.nodes[source].features;
        let operands = mid.nodes[source].operands.clone();
        for id in readers {
            let MidOp::Select(picks) = &mid.nodes[id].op else { continue };
            let pick = |row: &[f32]| -> Vec<f32> {
                picks.iter().map(|p| if p.negated { -row[p.feature] } else { row[p.feature] }).collect()
            };
            let weight = weight.chunks_exact(width).flat_map(pick).collect::<Vec<_>>().into();
            let bias = bias.as_deref().map(pick);
            mid.nodes[id].op = MidOp::Linear { weight, bias };
            mid.nodes[id].operands = operands.clone();
        }
    }
}

/// Moves constant factors on queries and keys into the factor on the scores.
fn attention_scale(mid: &mut Mid, roots: &[MidId]) {
    let uses = mid.uses(roots);
    for id in 0..mid.nodes.len() {
        if !matches!(mid.nodes[id].op, MidOp::Canonical(Op::Attention { .. })) {
            continue;
        }
        for slot in 0..2 {
            let (source, factor) = unscaled(mid, mid.nodes[id].operands[slot], &uses);
            mid.nodes[id].operands[slot] = source;
            if let MidOp::Canonical(Op::Attention { scale, .. }) = &mut mid.nodes[id].op {
                *scale *= factor;
            }
        }
    }
}

/// The node `id` is a multiple of, and the factor; rotary embeddings and selections in between are moved
/// onto it when nothing else reads them.
fn unscaled(mid: &mut Mid, id: MidId, uses: &[usize]) -> (MidId, f32) {
    let node = mid.nodes[id].clone();
    match (&node.op, &node.operands[..]) {
        (MidOp::Binary(Binary::Mul), &[a, b]) => match (mid.scalar(a), mid.scalar(b)) {
            (None, Some(c)) if mid.nodes[a].features == node.features => {
                let (source, factor) = unscaled(mid, a, uses);
                (source, factor * c)
            }
            (Some(c), None) if mid.nodes[b].features == node.features => {
                let (source, factor) = unscaled(mid, b, uses);
                (source, factor * c)
            }
            _ => (id, 1.0),
        },
        (MidOp::Canonical(Op::Rope { .. }) | MidOp::Select(_), &[source]) if uses[id] == 1 => {
            let (inner, factor) = unscaled(mid, source, uses);
            if inner == source {
                return (id, 1.0);
            }
            mid.nodes[id].operands = vec![inner];
            (id, factor)
        }
        _ => (id, 1.0),
    }
}

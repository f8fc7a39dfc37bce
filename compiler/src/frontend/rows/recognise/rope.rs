//! Rotary embedding, in the half-split form and in the form that rotates neighbouring features.

use super::probe::{Mat, algebraic, noise, run};
use crate::frontend::rows::matrix_graph::{MatrixGraph, MatrixId, MatrixOp, Pick};
use nanozk_ir::float::Op;

/// Largest accepted difference between a region and a rotation, relative to `1 + |value|`; the region is linear.
const TOLERANCE: f64 = 2e-5;

/// Order of the two features of a rotated pair within a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// `c` and `c + head_dim / 2`.
    Halves,
    /// `2 c` and `2 c + 1`.
    Neighbours,
}

/// For each feature in half-split order, its place in `order`.
fn places(order: Order, features: usize, half: usize) -> Vec<usize> {
    let place = |f: usize| {
        let (head, c) = (f / (2 * half), f % (2 * half));
        match order {
            Order::Halves => f,
            Order::Neighbours => head * 2 * half + 2 * (c % half) + c / half,
        }
    };
    (0..features).map(place).collect()
}

/// The nodes that compute the region from the pivot: a rotary embedding, between reorderings where the features do not
/// come in halves.
pub(super) fn rope(graph: &MatrixGraph, id: MatrixId, pivot: MatrixId) -> Option<Vec<MatrixOp>> {
    let features = graph.nodes[pivot].features;
    let interesting = matches!(graph.nodes[id].op, MatrixOp::Binary(_) | MatrixOp::Select(_)) && pivot + 1 < id;
    if !interesting || features < 2 || !algebraic(graph, id, pivot) {
        return None;
    }
    let random = noise(graph.tokens * features, 17);
    let apply = |x: Vec<f64>| run(graph, id, pivot, graph.tokens, Mat { features, data: x }).map(|m| m.data);
    let expected = apply(random.clone())?;
    if !graph.nodes[pivot..=id].iter().any(|n| matches!(n.op, MatrixOp::Select(_))) {
        return None;
    }
    let halves = (1..=features / 2).filter(|half| features.is_multiple_of(2 * half));
    let orders =
        [(Order::Halves, Order::Halves), (Order::Neighbours, Order::Halves), (Order::Neighbours, Order::Neighbours)];
    halves.flat_map(|half| orders.map(|o| (half, o))).find_map(|(half, (from, to))| {
        let (from, to) = (places(from, features, half), places(to, features, half));
        let (cos, sin) = fit(&apply, [&random, &expected], half, [&from, &to], features)?;
        let op = MatrixOp::Canonical(Op::Rope { heads: features / (2 * half), cos, sin });
        let pick = |feature: usize| Pick { operand: 0, feature, negated: false };
        let moved = |places: &[usize]| places.iter().enumerate().any(|(i, &p)| i != p);
        let mut chain = Vec::new();
        if moved(&from) {
            chain.push(MatrixOp::Select(from.iter().map(|&f| pick(f)).collect()));
        }
        chain.push(op);
        if moved(&to) {
            let mut back = vec![pick(0); features];
            to.iter().enumerate().for_each(|(i, &p)| back[p] = pick(i));
            chain.push(MatrixOp::Select(back));
        }
        Some(chain)
    })
}

/// Cosines and sines of the rotation, if the region is one: read off two indicator probes, checked on a random one.
fn fit(
    apply: &impl Fn(Vec<f64>) -> Option<Vec<f64>>,
    random: [&[f64]; 2],
    half: usize,
    places: [&[usize]; 2],
    features: usize,
) -> Option<(Vec<f32>, Vec<f32>)> {
    let [from, to] = places;
    let [x, y] = random;
    let (tokens, head_dim) = (x.len() / features, 2 * half);
    let indicator = |upper: bool| {
        let mut probe = vec![0.0; x.len()];
        for t in 0..tokens {
            for f in (0..features).filter(|f| (f % head_dim >= half) == upper) {
                probe[t * features + from[f]] = 1.0;
            }
        }
        probe
    };
    let (low, high) = (apply(indicator(false))?, apply(indicator(true))?);
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for t in 0..tokens {
        for (c, &place) in to.iter().enumerate().take(head_dim) {
            let i = t * features + place;
            cos.push(if c < half { low[i] } else { high[i] });
            sin.push(if c < half { -high[i] } else { low[i] });
        }
    }
    let (mut rotated, mut wanted) = (Vec::new(), Vec::new());
    for t in 0..tokens {
        for f in 0..features {
            let c = f % head_dim;
            let at = |f: usize| x[t * features + from[f]];
            let other = if c < half { -at(f + half) } else { at(f - half) };
            rotated.push(at(f) * cos[t * head_dim + c] + other * sin[t * head_dim + c]);
            wanted.push(y[t * features + to[f]]);
        }
    }
    // Both features of a pair turn by one angle: gains are hidden weights of what stands before.
    let turns = |v: &[f64]| v.chunks_exact(head_dim).all(|row| close(&row[..half], &row[half..]));
    if !close(&rotated, &wanted) || !turns(&cos) || !turns(&sin) || sin.iter().all(|s| s.abs() < 1e-9) {
        return None;
    }
    let narrow = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect();
    Some((narrow(cos), narrow(sin)))
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE * (1.0 + b.abs()))
}

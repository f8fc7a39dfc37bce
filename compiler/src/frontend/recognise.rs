//! Pattern recognition by evaluation.
//!
//! A node and an earlier node it depends on (the pivot) span a region. Whatever operators an exporter used inside, the
//! region is a function of the pivot; it is evaluated on probes and compared with the functions of the canonical op
//! set: elementwise functions, LayerNorm and RMSNorm, rotary embedding.

mod rope;

use super::mid::{Fun, Mid, MidId, MidNode, MidOp};
use nanozk_ir::float::{NormKind, UnaryFn};
use std::collections::HashMap;

/// Most operators in one region.
const REGION: usize = 24;
/// Largest accepted difference between a region and the function it is taken for, relative to `1 + |value|`.
const TOLERANCE: f64 = 2e-5;

/// Replaces every recognised region reachable from `roots` by one node, or by a short chain of nodes that are appended
/// to the graph: afterwards it must be sorted.
pub(super) fn recognise(mid: &mut Mid, roots: &[MidId]) {
    let mut visited = vec![false; mid.nodes.len()];
    let mut stack = roots.to_vec();
    while let Some(id) = stack.pop() {
        if std::mem::replace(&mut visited[id], true) {
            continue;
        }
        if let Some((chain, pivot)) = find(mid, id) {
            let (name, features) = (mid.nodes[id].name.clone(), mid.nodes[id].features);
            let mut source = pivot;
            let last = chain.len() - 1;
            for (i, op) in chain.into_iter().enumerate() {
                if i == last {
                    mid.nodes[id].op = op;
                    mid.nodes[id].operands = vec![source];
                } else {
                    source = mid.add(&name, op, features, &[source]);
                    visited.push(true);
                }
            }
        }
        stack.extend(&mid.nodes[id].operands);
    }
}

fn inside(op: &MidOp) -> bool {
    matches!(
        op,
        MidOp::Bin(_)
            | MidOp::Fun(_)
            | MidOp::Reduce(_)
            | MidOp::Select(_)
            | MidOp::Norm { kind: NormKind::Rms, gamma: None, beta: None, .. }
    )
}

fn find(mid: &Mid, id: MidId) -> Option<(Vec<MidOp>, MidId)> {
    if !inside(&mid.nodes[id].op) {
        return None;
    }
    let mut region = vec![id];
    let mut pivots = Vec::new();
    let mut next = 0;
    while next < region.len() && region.len() < REGION {
        for &operand in &mid.nodes[region[next]].operands {
            let node = &mid.nodes[operand];
            if matches!(node.op, MidOp::Const { .. }) || pivots.contains(&operand) {
                continue;
            }
            pivots.push(operand);
            if inside(&node.op) {
                region.push(operand);
            }
        }
        next += 1;
    }
    pivots.retain(|&p| mid.nodes[p].features == mid.nodes[id].features);
    pivots.sort_unstable();
    pivots.into_iter().find_map(|pivot| {
        let one = unary(mid, id, pivot).or_else(|| norm(mid, id, pivot)).map(|op| vec![op]);
        let chain = one.or_else(|| rope::rope(mid, id, pivot))?;
        Some((chain, pivot))
    })
}

/// A matrix of probe values.
#[derive(Clone)]
struct Mat {
    features: usize,
    data: Vec<f64>,
}

/// How constants and selections are seen while a region is evaluated.
struct Probe {
    pivot: MidId,
    rows: usize,
    /// Scalars only: the columns of a probe are independent samples, not features.
    scalar: bool,
    memo: HashMap<MidId, Option<Mat>>,
}

fn run(mid: &Mid, id: MidId, pivot: MidId, rows: usize, scalar: bool, x: Mat) -> Option<Mat> {
    let mut probe = Probe { pivot, rows, scalar, memo: HashMap::from([(pivot, Some(x))]) };
    probe.eval(mid, id)
}

impl Probe {
    fn eval(&mut self, mid: &Mid, id: MidId) -> Option<Mat> {
        if let Some(known) = self.memo.get(&id) {
            return known.clone();
        }
        let value = if id < self.pivot && !matches!(mid.nodes[id].op, MidOp::Const { .. }) {
            None
        } else {
            self.compute(mid, id)
        };
        self.memo.insert(id, value.clone());
        value
    }

    fn compute(&mut self, mid: &Mid, id: MidId) -> Option<Mat> {
        let node = &mid.nodes[id];
        if let MidOp::Const { rows, data } = &node.op {
            if (self.scalar && data.len() != 1) || (*rows != 1 && *rows != self.rows) {
                return None;
            }
            let data: Vec<f64> = data.iter().map(|&v| f64::from(v)).collect();
            let data = if *rows == 1 { data.repeat(self.rows) } else { data };
            return Some(Mat { features: node.features, data });
        }
        let sign = uniform_sign(node);
        if !inside(&node.op) || (self.scalar && sign.is_none() && !matches!(node.op, MidOp::Bin(_) | MidOp::Fun(_))) {
            return None;
        }
        let args: Vec<Mat> = node.operands.iter().map(|&o| self.eval(mid, o)).collect::<Option<_>>()?;
        let rows = self.rows;
        Some(match &node.op {
            MidOp::Fun(f) => {
                Mat { features: args[0].features, data: args[0].data.iter().map(|&x| f.apply(x)).collect() }
            }
            MidOp::Bin(op) => {
                let features = args[0].features.max(args[1].features);
                let at = |m: &Mat, r: usize, c: usize| m.data[r * m.features + if m.features == 1 { 0 } else { c }];
                let cell = |i: usize| {
                    op.apply(at(&args[0], i / features, i % features), at(&args[1], i / features, i % features))
                };
                Mat { features, data: (0..rows * features).map(cell).collect() }
            }
            MidOp::Reduce(red) => {
                let rows = args[0].data.chunks_exact(args[0].features);
                Mat { features: 1, data: rows.map(|row| reduce(*red, row)).collect() }
            }
            MidOp::Norm { eps, .. } => {
                let data = args[0].data.chunks_exact(args[0].features);
                let data = data.flat_map(|row| normalise(row, NormKind::Rms, f64::from(*eps))).collect();
                Mat { features: args[0].features, data }
            }
            MidOp::Select(_) if self.scalar => {
                Mat { features: args[0].features, data: args[0].data.iter().map(|x| x * sign.unwrap_or(1.0)).collect() }
            }
            MidOp::Select(picks) => {
                let cell = |r: usize| {
                    let args = &args;
                    picks.iter().map(move |p| {
                        let v = args[p.operand].data[r * args[p.operand].features + p.feature];
                        if p.negated { -v } else { v }
                    })
                };
                Mat { features: picks.len(), data: (0..rows).flat_map(cell).collect() }
            }
            _ => return None,
        })
    }
}

/// The factor of a selection that keeps all features in place and only sets their sign.
fn uniform_sign(node: &MidNode) -> Option<f64> {
    let MidOp::Select(picks) = &node.op else { return None };
    let negated = picks.first()?.negated;
    let in_place =
        node.operands.len() == 1 && picks.iter().enumerate().all(|(i, p)| p.feature == i && p.negated == negated);
    in_place.then_some(if negated { -1.0 } else { 1.0 })
}

fn reduce(red: super::mid::Red, row: &[f64]) -> f64 {
    use super::mid::Red;
    match red {
        Red::Sum => row.iter().sum(),
        Red::MeanOfSquares => row.iter().map(|v| v * v).sum::<f64>() / row.len() as f64,
        Red::Max => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Red::Min => row.iter().copied().fold(f64::INFINITY, f64::min),
    }
}

fn normalise(row: &[f64], kind: NormKind, eps: f64) -> Vec<f64> {
    let n = row.len() as f64;
    let mean = if kind == NormKind::Layer { row.iter().sum::<f64>() / n } else { 0.0 };
    let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    row.iter().map(|v| (v - mean) / (variance + eps).sqrt()).collect()
}

/// Fixed pseudo-random numbers in -1..1.
fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE * (1.0 + b.abs()))
}

fn unary(mid: &Mid, id: MidId, pivot: MidId) -> Option<MidOp> {
    let samples: Vec<f64> = (0..97).map(|i| f64::from(i - 48) / 8.0 + 0.015_625).collect();
    let y = run(mid, id, pivot, 1, true, Mat { features: samples.len(), data: samples.clone() })?.data;
    let minus_one = run(mid, id, pivot, 1, true, Mat { features: 1, data: vec![-1.0] })?.data[0];
    let slope = -minus_one as f32;
    let known = [
        UnaryFn::Relu,
        UnaryFn::GeluErf,
        UnaryFn::GeluTanh,
        UnaryFn::Silu,
        UnaryFn::Sigmoid,
        UnaryFn::Tanh,
        UnaryFn::Erf,
        UnaryFn::Exp,
        UnaryFn::Square,
        UnaryFn::Abs,
    ];
    let leaky = (slope != 1.0 && slope.is_finite()).then_some(UnaryFn::LeakyRelu(slope));
    let matches = |f: &UnaryFn| close(&y, &samples.iter().map(|&x| f.apply(x)).collect::<Vec<_>>());
    known.into_iter().chain(leaky).find(matches).map(|f| MidOp::Fun(Fun::Known(f)))
}

fn norm(mid: &Mid, id: MidId, pivot: MidId) -> Option<MidOp> {
    let features = mid.nodes[pivot].features;
    if features < 2 || !matches!(mid.nodes[id].op, MidOp::Bin(_) | MidOp::Norm { .. }) {
        return None;
    }
    let scales = [(1.0, 0.0), (2.0, 3.0), (1e-3, 1e-3), (1e-2, -0.5)];
    let rows = scales.len();
    let row = |(i, &(scale, shift)): (usize, &(f64, f64))| {
        noise(features, i as u64 + 1).into_iter().map(move |v| v * scale + shift)
    };
    let x: Vec<f64> = scales.iter().enumerate().flat_map(row).collect();
    let y = run(mid, id, pivot, rows, false, Mat { features, data: x.clone() })?.data;
    let mut candidates = Vec::new();
    for node in &mid.nodes[pivot..=id] {
        if let MidOp::Norm { eps, .. } = node.op {
            candidates.push(eps);
        }
        candidates.extend(node.operands.iter().filter_map(|&o| mid.scalar(o)).filter(|c| (0.0..0.1).contains(c)));
    }
    candidates.push(0.0);
    candidates.dedup();
    let mut best: Option<(f64, MidOp)> = None;
    for eps in candidates {
        for kind in [NormKind::Layer, NormKind::Rms] {
            let expected: Vec<f64> =
                x.chunks_exact(features).flat_map(|row| normalise(row, kind, f64::from(eps))).collect();
            let error = y.iter().zip(&expected).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
            if close(&y, &expected) && best.as_ref().is_none_or(|(e, _)| error < *e) {
                best = Some((error, MidOp::Norm { kind, eps, gamma: None, beta: None }));
            }
        }
    }
    best.map(|(_, op)| op)
}

//! Evaluation of a region on a matrix of probe values.

use crate::frontend::rows::matrix_graph::{MatrixGraph, MatrixId, MatrixOp, Reduction};
use nanozk_ir::float::{Binary, NormKind, UnaryFn};
use std::collections::HashMap;

/// A matrix of probe values.
#[derive(Clone)]
pub(super) struct Mat {
    pub features: usize,
    pub data: Vec<f64>,
}

/// The region from `pivot` to `id` on a matrix of `rows` rows; `None` where it reads something else than the pivot.
pub(super) fn run(graph: &MatrixGraph, id: MatrixId, pivot: MatrixId, rows: usize, x: Mat) -> Option<Mat> {
    let mut probe = Probe { pivot, rows, memo: HashMap::from([(pivot, Some(x))]) };
    probe.eval(graph, id)
}

/// Greatest bound from below that counts as none.
const TINY: f32 = 1e-7;

/// Whether only sums, products, quotients, powers, roots and moves of features lie between `pivot` and `id`: no bound
/// or comparison that a probe could miss, but tiny ones of a length.
pub(super) fn algebraic(graph: &MatrixGraph, id: MatrixId, pivot: MatrixId) -> bool {
    let mut stack = vec![id];
    let mut seen = vec![false; graph.nodes.len()];
    while let Some(at) = stack.pop() {
        if at <= pivot || std::mem::replace(&mut seen[at], true) {
            continue;
        }
        let plain = match &graph.nodes[at].op {
            MatrixOp::Binary(Binary::Max) => {
                let bound = graph.nodes[at].operands.iter().find_map(|&o| graph.scalar(o));
                graph.nodes[at].features == 1 && bound.is_some_and(|c| (0.0..TINY).contains(&c))
            }
            MatrixOp::Binary(op) => matches!(op, Binary::Add | Binary::Sub | Binary::Mul | Binary::Div),
            MatrixOp::Unary(f) => {
                matches!(f, UnaryFn::Square | UnaryFn::Sqrt | UnaryFn::Rsqrt | UnaryFn::Recip | UnaryFn::Pow(_))
            }
            MatrixOp::Reduce(reduction) => matches!(reduction, Reduction::Sum | Reduction::MeanOfSquares),
            MatrixOp::Select(_) | MatrixOp::Norm { .. } | MatrixOp::Const { .. } => true,
            _ => false,
        };
        if !plain {
            return false;
        }
        stack.extend(&graph.nodes[at].operands);
    }
    true
}

struct Probe {
    pivot: MatrixId,
    rows: usize,
    memo: HashMap<MatrixId, Option<Mat>>,
}

impl Probe {
    fn eval(&mut self, graph: &MatrixGraph, id: MatrixId) -> Option<Mat> {
        if let Some(known) = self.memo.get(&id) {
            return known.clone();
        }
        let value = if id < self.pivot && !matches!(graph.nodes[id].op, MatrixOp::Const { .. }) {
            None
        } else {
            self.compute(graph, id)
        };
        self.memo.insert(id, value.clone());
        value
    }

    fn compute(&mut self, graph: &MatrixGraph, id: MatrixId) -> Option<Mat> {
        let node = &graph.nodes[id];
        let rows = self.rows;
        if let MatrixOp::Const { rows: own, data } = &node.op {
            if *own != 1 && *own != rows {
                return None;
            }
            let data: Vec<f64> = data.iter().map(|&v| f64::from(v)).collect();
            let data = if *own == 1 { data.repeat(rows) } else { data };
            return Some(Mat { features: node.features, data });
        }
        if !inside(&node.op) {
            return None;
        }
        let args: Vec<Mat> = node.operands.iter().map(|&o| self.eval(graph, o)).collect::<Option<_>>()?;
        let by_row = |f: &dyn Fn(&[f64]) -> Vec<f64>| -> Vec<f64> {
            args[0].data.chunks_exact(args[0].features).flat_map(f).collect()
        };
        Some(match &node.op {
            MatrixOp::Unary(f) => {
                Mat { features: args[0].features, data: args[0].data.iter().map(|&x| f.apply(x)).collect() }
            }
            MatrixOp::Binary(op) => {
                let features = args[0].features.max(args[1].features);
                let at = |m: &Mat, r: usize, c: usize| m.data[r * m.features + if m.features == 1 { 0 } else { c }];
                let cell = |i: usize| {
                    op.apply(at(&args[0], i / features, i % features), at(&args[1], i / features, i % features))
                };
                Mat { features, data: (0..rows * features).map(cell).collect() }
            }
            MatrixOp::Reduce(reduction) => Mat { features: 1, data: by_row(&|row| vec![reduce(*reduction, row)]) },
            MatrixOp::Norm { eps, .. } => {
                let data = by_row(&|row| normalise(row, NormKind::Rms, f64::from(*eps)));
                Mat { features: args[0].features, data }
            }
            MatrixOp::Select(picks) => {
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

fn reduce(reduction: Reduction, row: &[f64]) -> f64 {
    match reduction {
        Reduction::Sum => row.iter().sum(),
        Reduction::MeanOfSquares => row.iter().map(|v| v * v).sum::<f64>() / row.len() as f64,
        Reduction::Max => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Reduction::Min => row.iter().copied().fold(f64::INFINITY, f64::min),
    }
}

/// A normalised row, without gain.
pub(super) fn normalise(row: &[f64], kind: NormKind, eps: f64) -> Vec<f64> {
    let n = row.len() as f64;
    let mean = if kind == NormKind::Layer { row.iter().sum::<f64>() / n } else { 0.0 };
    let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    row.iter().map(|v| (v - mean) / (variance + eps).sqrt()).collect()
}

/// Fixed pseudo-random numbers in -1..1.
pub(super) fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Whether a region may hold an op.
pub(super) fn inside(op: &MatrixOp) -> bool {
    matches!(
        op,
        MatrixOp::Binary(_)
            | MatrixOp::Unary(_)
            | MatrixOp::Reduce(_)
            | MatrixOp::Select(_)
            | MatrixOp::Norm { kind: NormKind::Rms, gamma: None, beta: None, .. }
    )
}

//! LayerNorm and RMSNorm, and rows divided by their length.

use super::probe::{Mat, algebraic, noise, normalise, run};
use crate::frontend::rows::matrix_graph::{MatrixGraph, MatrixId, MatrixOp};
use nanozk_ir::float::NormKind;

/// Largest accepted difference between a region and a normalisation, relative to the greatest value of the row.
const TOLERANCE: f64 = 2e-5;
/// What rounding makes of such differences.
const ROUNDING: f64 = 1e-12;

/// Magnitude and shift of the probed rows: the region is an algebraic function, so a few rows tell it from others.
const ROWS: [(f64, f64); 6] = [(1.0, 0.0), (2.0, 3.0), (1e-3, 1e-3), (1e-2, -0.5), (1e-6, 0.0), (1e6, 1e5)];

/// The normalisation that the region from `pivot` to `id` is.
pub(super) fn norm(graph: &MatrixGraph, id: MatrixId, pivot: MatrixId) -> Option<MatrixOp> {
    let features = graph.nodes[pivot].features;
    let ends = matches!(graph.nodes[id].op, MatrixOp::Binary(_) | MatrixOp::Norm { .. });
    if features < 2 || !ends || !algebraic(graph, id, pivot) {
        return None;
    }
    let row = |(i, &(scale, shift)): (usize, &(f64, f64))| {
        noise(features, i as u64 + 1).into_iter().map(move |v| v * scale + shift)
    };
    let x: Vec<f64> = ROWS.iter().enumerate().flat_map(row).collect();
    let y = run(graph, id, pivot, ROWS.len(), Mat { features, data: x.clone() })?.data;
    let mut candidates = Vec::new();
    for node in &graph.nodes[pivot..=id] {
        if let MatrixOp::Norm { eps, .. } = node.op {
            candidates.push(eps);
        }
        candidates.extend(node.operands.iter().filter_map(|&o| graph.scalar(o)).filter(|c| (0.0..0.1).contains(c)));
    }
    candidates.push(0.0);
    candidates.dedup();
    let length = (features as f64).sqrt().recip();
    // A tiny bound of the length from below is as good as a tiny number added to its square.
    let bounds: Vec<f32> = candidates.iter().map(|&c| c * c / features as f32).collect();
    let kinds =
        [(NormKind::Layer, 1.0, &candidates), (NormKind::Rms, 1.0, &candidates), (NormKind::Rms, length, &bounds)];
    let mut best: Option<(f64, MatrixOp)> = None;
    for (kind, gain, &eps) in kinds.iter().flat_map(|(kind, gain, all)| all.iter().map(move |eps| (*kind, *gain, eps)))
    {
        let expected = |x| normalise(x, kind, f64::from(eps)).into_iter().map(|v| v * gain).collect::<Vec<_>>();
        let rows = x.chunks_exact(features).zip(y.chunks(features));
        let error = rows.map(|(x, y)| distance(y, &expected(x))).fold(0.0, f64::max);
        // A tiny bound stays where none is as good: with it a row of zeros has an answer.
        if error <= TOLERANCE && best.as_ref().is_none_or(|(e, _)| error + ROUNDING < *e) {
            let gamma = (gain != 1.0).then(|| vec![gain as f32; features]);
            best = Some((error, MatrixOp::Norm { kind, eps, gamma, beta: None }));
        }
    }
    best.map(|(_, op)| op)
}

/// Largest difference between two rows relative to the greatest value of the second, infinite where there is none.
fn distance(y: &[f64], expected: &[f64]) -> f64 {
    let size = expected.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let gap = |(a, b): (&f64, &f64)| if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
    if y.len() != expected.len() {
        return f64::INFINITY;
    }
    y.iter().zip(expected).map(gap).fold(0.0, f64::max) / size
}

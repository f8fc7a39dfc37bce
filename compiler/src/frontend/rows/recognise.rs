//! Pattern recognition by evaluation.
//!
//! A node and an earlier node it depends on (the pivot) span a region. Whatever operators an exporter used inside, the
//! region is a function of the pivot. One that works on single numbers becomes an elementwise function, under its name
//! where it is one of the canonical set ([`scalar`]); one that works on rows is evaluated on probes and compared with
//! LayerNorm and RMSNorm ([`norm`]) and with rotary embedding ([`rope`]).

mod norm;
mod probe;
mod rope;
mod scalar;

use super::matrix_graph::{MatrixGraph, MatrixId, MatrixOp};
use nanozk_ir::float::UnaryFn;
use probe::inside;

/// Most operators in one region.
const REGION: usize = 24;

/// Replaces every recognised region reachable from `roots` by one node, or by a short chain of nodes that are appended
/// to the graph: afterwards it must be sorted.
pub(super) fn recognise(graph: &mut MatrixGraph, roots: &[MatrixId]) {
    let mut visited = vec![false; graph.nodes.len()];
    let mut stack = roots.to_vec();
    while let Some(id) = stack.pop() {
        if std::mem::replace(&mut visited[id], true) {
            continue;
        }
        if let Some((chain, pivot)) = find(graph, id) {
            let (name, features) = (graph.nodes[id].name.clone(), graph.nodes[id].features);
            let mut source = pivot;
            let last = chain.len() - 1;
            for (i, op) in chain.into_iter().enumerate() {
                if i == last {
                    graph.nodes[id].op = op;
                    graph.nodes[id].operands = vec![source];
                } else {
                    source = graph.add(&name, op, features, &[source]);
                    visited.push(true);
                }
            }
        }
        stack.extend(&graph.nodes[id].operands);
    }
}

/// What the region that ends in `id` computes, and its pivot. The region with the furthest pivot counts. A function
/// with a name comes before one without, unless its argument would need a table of its own.
fn find(graph: &MatrixGraph, id: MatrixId) -> Option<(Vec<MatrixOp>, MatrixId)> {
    if !inside(&graph.nodes[id].op) {
        return None;
    }
    let pivots = pivots(graph, id);
    let formulas: Vec<_> = pivots.iter().map(|&pivot| scalar::formula(graph, id, pivot)).collect();
    let named = pivots.iter().zip(&formulas).find_map(|(&pivot, formula)| {
        let function = formula.as_ref().and_then(scalar::known).map(MatrixOp::Unary);
        let one = function.or_else(|| norm::norm(graph, id, pivot)).map(|op| vec![op]);
        Some((one.or_else(|| rope::rope(graph, id, pivot))?, pivot))
    });
    let tabulated = |(pivot, f): (MatrixId, Option<_>)| Some((pivot, f.filter(scalar::worth_a_table)?));
    let Some((pivot, formula)) = pivots.into_iter().zip(formulas).find_map(tabulated) else { return named };
    match named {
        Some((chain, at)) if !scalar::formula(graph, at, pivot).is_some_and(|f| scalar::bends(&f)) => Some((chain, at)),
        _ => Some((vec![MatrixOp::Unary(UnaryFn::Formula(formula))], pivot)),
    }
}

/// The nodes that a region ending in `id` may start from, the furthest first.
fn pivots(graph: &MatrixGraph, id: MatrixId) -> Vec<MatrixId> {
    let mut region = vec![id];
    let mut pivots = Vec::new();
    let mut next = 0;
    while next < region.len() && region.len() < REGION {
        for &operand in &graph.nodes[region[next]].operands {
            let node = &graph.nodes[operand];
            if matches!(node.op, MatrixOp::Const { .. }) || pivots.contains(&operand) {
                continue;
            }
            pivots.push(operand);
            if inside(&node.op) {
                region.push(operand);
            }
        }
        next += 1;
    }
    pivots.retain(|&p| graph.nodes[p].features == graph.nodes[id].features);
    pivots.sort_unstable();
    pivots
}

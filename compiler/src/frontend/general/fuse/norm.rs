//! Root-mean-square normalisation of `x - mean(x)` is layer normalisation.

use crate::frontend::general::function::Elementwise;
use crate::frontend::general::graph::{Graph, Op};
use crate::frontend::general::tensor::Code;
use nanozk_ir::float::{Binary, NormKind};
use std::sync::Arc;

pub(super) fn centre(graph: &mut Graph) {
    for id in 1..graph.nodes.len() {
        if let Some(x) = centred(graph, id) {
            let node = &mut graph.nodes[id];
            node.args = vec![x];
            if let Op::Norm { kind, .. } = &mut node.op {
                *kind = NormKind::Layer;
            }
        }
    }
}

/// What node `id` normalises before its mean was subtracted.
fn centred(graph: &Graph, id: usize) -> Option<Arc<Vec<Code>>> {
    let Op::Norm { kind: NormKind::Rms, groups, .. } = graph.nodes[id].op else { return None };
    let codes = &graph.nodes[id].args[0];
    let size = codes.len() / groups;
    let mut x = Vec::with_capacity(codes.len());
    for group in codes.chunks_exact(size) {
        let mut mean = None;
        let from = x.len();
        for &code in group {
            let node = graph.node(code);
            let (Op::Elementwise(Elementwise::Binary(Binary::Sub)), [a, b]) = (&node.op, &node.args[..]) else {
                return None;
            };
            x.push(a[code.feature()]);
            let subtracted = b[code.feature()];
            if *mean.get_or_insert(subtracted) != subtracted {
                return None;
            }
        }
        let mut summed = mean_of(graph, mean?, size)?;
        let mut own = x[from..].to_vec();
        summed.sort_unstable();
        own.sort_unstable();
        if summed != own {
            return None;
        }
    }
    Some(Arc::new(x))
}

/// The elements whose mean `code` is.
fn mean_of(graph: &Graph, code: Code, size: usize) -> Option<Vec<Code>> {
    let node = graph.node(code);
    let (Op::Elementwise(Elementwise::Binary(f @ (Binary::Mul | Binary::Div))), [a, b]) = (&node.op, &node.args[..])
    else {
        return None;
    };
    let (total, factor) = match (graph.pool.value(a[code.feature()]), graph.pool.value(b[code.feature()])) {
        (Some(c), None) if *f == Binary::Mul => (b[code.feature()], c),
        (None, Some(c)) if *f == Binary::Mul => (a[code.feature()], c),
        (None, Some(c)) => (a[code.feature()], 1.0 / c),
        _ => return None,
    };
    let sum = graph.node(total);
    let Op::Sum { sizes } = &sum.op else { return None };
    let from: usize = sizes[..total.feature()].iter().map(|&s| s as usize).sum();
    let stretch = sum.args[0].get(from..from + sizes[total.feature()] as usize)?;
    ((factor * size as f64 - 1.0).abs() < 1e-5 && stretch.len() == size).then(|| stretch.to_vec())
}

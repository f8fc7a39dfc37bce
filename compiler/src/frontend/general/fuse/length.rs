//! Values divided by their own length, `x / sqrt(f sum x^2 + e)` or `x / max(sqrt(..), c)`, are a root-mean-square
//! normalisation with a gain.

use crate::frontend::general::function::Elementwise;
use crate::frontend::general::graph::{Graph, Op};
use crate::frontend::general::tensor::Code;
use nanozk_ir::float::{Binary, NormKind, UnaryFn};
use std::sync::Arc;

/// What divides: `sqrt(factor * sum x^2 + added)`.
struct Length {
    squared: Vec<Code>,
    factor: f64,
    added: f64,
}

pub(super) fn normalise(graph: &mut Graph) {
    for id in 1..graph.nodes.len() {
        let found = (0..2).find_map(|slot| normalised(graph, id, slot));
        if let Some((x, op)) = found {
            let node = &mut graph.nodes[id];
            (node.op, node.args) = (op, vec![x]);
        }
    }
}

/// What node `id` normalises, and how, when operand `slot` is one over the length of the other.
fn normalised(graph: &Graph, id: usize, slot: usize) -> Option<(Arc<Vec<Code>>, Op)> {
    let node = &graph.nodes[id];
    let (Op::Elementwise(Elementwise::Binary(Binary::Mul)), [a, b]) = (&node.op, &node.args[..]) else { return None };
    let (x, over) = if slot == 0 { (b, a) } else { (a, b) };
    let size = over.iter().take_while(|c| **c == over[0]).count();
    if size < 2 || !over.len().is_multiple_of(size) {
        return None;
    }
    let mut all: Option<(f64, f64)> = None;
    for (over, x) in over.chunks_exact(size).zip(x.chunks_exact(size)) {
        if over.iter().any(|c| *c != over[0]) {
            return None;
        }
        let Length { mut squared, factor, added } = length(graph, over[0])?;
        let mut own = x.to_vec();
        squared.sort_unstable();
        own.sort_unstable();
        if squared != own || *all.get_or_insert((factor, added)) != (factor, added) {
            return None;
        }
    }
    let (factor, added) = all?;
    let total = factor * size as f64;
    let op = Op::Norm {
        kind: NormKind::Rms,
        groups: over.len() / size,
        eps: (added / total) as f32,
        gamma: Some(vec![total.sqrt().recip() as f32; size]),
        beta: None,
    };
    (total > 0.0 && added >= 0.0).then(|| (x.clone(), op))
}

/// Op and operands of an element.
fn element(graph: &Graph, code: Code) -> (&Op, Vec<Code>) {
    let node = graph.node(code);
    (&node.op, node.args.iter().filter_map(|arg| arg.get(code.feature()).copied()).collect())
}

/// An element that is `f` of another one and a constant.
fn with_constant(graph: &Graph, code: Code, f: Binary) -> Option<(Code, f64)> {
    let (op, args) = element(graph, code);
    let (Op::Elementwise(Elementwise::Binary(found)), &[a, b]) = (op, &args[..]) else { return None };
    match (graph.pool.value(a), graph.pool.value(b)) {
        _ if *found != f => None,
        (Some(c), None) if f != Binary::Div => Some((b, c)),
        (None, Some(c)) => Some((a, c)),
        _ => None,
    }
}

/// The length that an element is one over of.
fn length(graph: &Graph, code: Code) -> Option<Length> {
    let (Op::Elementwise(Elementwise::Unary(f)), args) = element(graph, code) else { return None };
    let mut inside = *args.first()?;
    let mut least = 0.0;
    match f {
        UnaryFn::Rsqrt => (),
        UnaryFn::Recip => {
            if let Some((length, bound)) = with_constant(graph, inside, Binary::Max) {
                (inside, least) = (length, bound);
            }
            let (Op::Elementwise(Elementwise::Unary(UnaryFn::Sqrt)), args) = element(graph, inside) else {
                return None;
            };
            inside = *args.first()?;
        }
        _ => return None,
    }
    // A tiny bound from below is as good as a tiny number added.
    let mut added = if least > 0.0 { least * least } else { 0.0 };
    if let Some((rest, c)) = with_constant(graph, inside, Binary::Add) {
        (inside, added) = (rest, added + c);
    }
    let mut factor = 1.0;
    if let Some((rest, c)) = with_constant(graph, inside, Binary::Mul) {
        (inside, factor) = (rest, c);
    } else if let Some((rest, c)) = with_constant(graph, inside, Binary::Div) {
        (inside, factor) = (rest, 1.0 / c);
    }
    let sum = graph.node(inside);
    let Op::Sum { sizes } = &sum.op else { return None };
    let from: usize = sizes[..inside.feature()].iter().map(|&s| s as usize).sum();
    let terms = sum.args[0].get(from..from + sizes[inside.feature()] as usize)?;
    let squared = terms.iter().map(|&term| root(graph, term)).collect::<Option<Vec<_>>>()?;
    (least <= 1e-3).then_some(Length { squared, factor, added })
}

/// The element that `code` is the square of.
fn root(graph: &Graph, code: Code) -> Option<Code> {
    let (op, args) = element(graph, code);
    let inner = match (op, &args[..]) {
        (Op::Elementwise(Elementwise::Unary(UnaryFn::Square)), &[x]) => x,
        (Op::Elementwise(Elementwise::Unary(UnaryFn::Pow(p))), &[x]) if *p == 2.0 => x,
        (Op::Elementwise(Elementwise::Binary(Binary::Mul)), &[x, y]) if x == y => x,
        (Op::Elementwise(Elementwise::Binary(Binary::Pow)), &[x, p]) if graph.pool.value(p) == Some(2.0) => x,
        _ => return None,
    };
    match element(graph, inner) {
        (Op::Elementwise(Elementwise::Unary(UnaryFn::Abs)), args) => args.first().copied(),
        _ => Some(inner),
    }
}

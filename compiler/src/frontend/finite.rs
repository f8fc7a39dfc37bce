//! Parameters of a float graph that are no finite numbers.

use nanozk_ir::float::{Floats, Graph, Op, Step, UnaryFn};

/// First value of a parameter that is not finite: node, index, value.
pub(super) fn non_finite(graph: &Graph) -> Option<(String, usize, f32)> {
    let find = |data: &[f32]| data.iter().position(|v| !v.is_finite()).map(|i| (i, data[i]));
    let all = |numbers: &Floats| find(&numbers.read().unwrap_or_default());
    graph.topo().into_iter().find_map(|id| {
        let node = &graph.dag[id];
        let found = match &node.op {
            Op::Embed { table } => all(table),
            Op::Const { data, .. } => find(data),
            Op::Linear { weight, bias, .. } => all(weight).or_else(|| find(bias.as_deref().unwrap_or_default())),
            Op::Norm { gamma, beta, .. } => {
                find(gamma.as_deref().unwrap_or_default()).or_else(|| find(beta.as_deref().unwrap_or_default()))
            }
            Op::Rope { cos, sin, .. } => find(cos).or_else(|| find(sin)),
            Op::Scale(c) => find(&[*c]),
            Op::Unary(f) => find(&undefined(f)),
            Op::Attention { scale, .. } => find(&[*scale]),
            Op::Input(_) | Op::Add | Op::Sub | Op::Mul | Op::Slice { .. } | Op::Concat | Op::Output => None,
            Op::Softmax { .. } | Op::Pick { .. } | Op::MatMul { .. } | Op::Sum { .. } | Op::Max { .. } => None,
            Op::ArgMax { .. } | Op::Step | Op::FloorDiv { .. } | Op::Quotient | Op::Bits { .. } => None,
            Op::Within { .. } => None,
            Op::TokenSum { .. } | Op::TokenMean => None,
        };
        found.map(|(i, v)| (node.name.clone(), i, v))
    })
}

/// Constants of an elementwise function that make no sense; the bounds of a clip may be infinite.
fn undefined(f: &UnaryFn) -> Vec<f32> {
    match f {
        UnaryFn::LeakyRelu(c) | UnaryFn::Pow(c) if !c.is_finite() => vec![*c],
        UnaryFn::Formula(formula) => {
            let of = |step: &Step| match step {
                Step::Constant(c) if c.is_nan() => vec![*c],
                Step::Unary(f, _) => undefined(f),
                Step::Argument | Step::Constant(_) | Step::Binary(..) => Vec::new(),
            };
            formula.steps().iter().flat_map(of).collect()
        }
        _ => Vec::new(),
    }
}

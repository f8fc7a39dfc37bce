//! Regions of elementwise nodes that are one function of one variable.

use crate::frontend::general::function::Elementwise;
use crate::frontend::general::graph::{Graph, Op};
use crate::frontend::general::tensor::Code;
use nanozk_ir::float::{Binary, Formula, Step, UnaryFn};
use std::collections::HashMap;
use std::sync::Arc;

/// Most steps of one function.
const MOST_STEPS: usize = 64;

/// A node's features as one function of other elements.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub source: Arc<Vec<Code>>,
    pub function: Formula,
}

/// Origins of all elementwise nodes, found on demand.
#[derive(Default)]
pub(super) struct Origins {
    known: HashMap<usize, Option<Origin>>,
}

impl Origins {
    /// The origin of node `id`, when it is a function of one variable with the same constants for all features.
    pub(super) fn of(&mut self, graph: &Graph, id: usize) -> Option<Origin> {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        let origin = self.find(graph, id);
        self.known.insert(id, origin.clone());
        origin
    }

    fn find(&mut self, graph: &Graph, id: usize) -> Option<Origin> {
        let node = &graph.nodes[id];
        let Op::Elementwise(function) = &node.op else { return None };
        let mut joined = Joined::default();
        let mut slots = Vec::new();
        for arg in &node.args {
            slots.push(match graph.uniform(arg) {
                Some(c) => joined.step(Step::Constant(c as f32)),
                None if arg.iter().any(|c| c.is_constant()) => return None,
                None => {
                    let operand = self.operand(graph, arg);
                    joined.operand(&operand)?
                }
            });
        }
        let last = match (function, &slots[..]) {
            (Elementwise::Unary(f), &[a]) => Step::Unary(f.clone(), a),
            (Elementwise::Binary(f), &[a, b]) => Step::Binary(*f, a, b),
            (Elementwise::Select, &[c, a, b]) => {
                let not = joined.step(Step::Unary(UnaryFn::Not, c));
                let yes = joined.step(Step::Binary(Binary::Gate, a, c));
                let no = joined.step(Step::Binary(Binary::Gate, b, not));
                Step::Binary(Binary::Add, yes, no)
            }
            _ => return None,
        };
        joined.steps.push(last);
        let source = joined.source?;
        (joined.steps.len() <= MOST_STEPS).then(|| Origin { source, function: Formula::new(joined.steps) })
    }

    /// The origin of a list of elements: that of the elementwise node that they are features of, or themselves.
    fn operand(&mut self, graph: &Graph, arg: &Arc<Vec<Code>>) -> Origin {
        let id = arg[0].node();
        if arg.iter().all(|c| c.node() == id)
            && let Some(inner) = self.of(graph, id)
        {
            let source = match graph.entire(arg) {
                Some(_) => inner.source,
                None => Arc::new(arg.iter().map(|c| inner.source[c.feature()]).collect()),
            };
            return Origin { source, function: inner.function };
        }
        Origin { source: arg.clone(), function: Formula::new(vec![Step::Argument]) }
    }
}

/// Formulas of one source, joined into one program.
#[derive(Default)]
struct Joined {
    source: Option<Arc<Vec<Code>>>,
    steps: Vec<Step>,
}

impl Joined {
    /// The place of a step; equal steps are one.
    fn step(&mut self, step: Step) -> usize {
        self.steps.iter().position(|s| *s == step).unwrap_or_else(|| {
            self.steps.push(step);
            self.steps.len() - 1
        })
    }

    /// The step of an operand; none when it has another source.
    fn operand(&mut self, operand: &Origin) -> Option<usize> {
        let source = self.source.get_or_insert_with(|| operand.source.clone());
        if !Arc::ptr_eq(source, &operand.source) && **source != *operand.source {
            return None;
        }
        let mut places: Vec<usize> = Vec::new();
        for step in operand.function.steps() {
            let moved = match step {
                Step::Unary(f, a) => Step::Unary(f.clone(), places[*a]),
                Step::Binary(f, a, b) => Step::Binary(*f, places[*a], places[*b]),
                Step::Argument | Step::Constant(_) => step.clone(),
            };
            places.push(self.step(moved));
        }
        places.last().copied()
    }
}

/// Whether the function is a sum of a multiple of its variable and a constant.
pub(super) fn is_affine(f: &Formula) -> bool {
    let (a, b) = (f.apply(0.0), f.apply(1.0) - f.apply(0.0));
    let sample = |i: i32| f64::from(i) * 1.37 - 40.0;
    (0..64).map(sample).all(|x| (f.apply(x) - (a + b * x)).abs() <= 1e-9 * (1.0 + a.abs() + (b * x).abs()))
}

/// Whether the function jumps where a comparison or a rounding in it changes.
pub(super) fn jumps(f: &Formula) -> bool {
    let marks: Vec<usize> = (0..f.steps().len()).filter(|&i| is_mark(&f.steps()[i])).collect();
    if marks.is_empty() {
        return false;
    }
    let reach = f.steps().iter().fold(64.0, |r: f64, s| match s {
        Step::Constant(c) if c.is_finite() && c.abs() < 1e9 => r.max(2.0 * f64::from(c.abs())),
        _ => r,
    });
    const POINTS: i32 = 2048;
    let sample = |i: i32| reach * (f64::from(i) / f64::from(POINTS) + 1.234e-5);
    let state = |x: f64| {
        let values = f.trace(x);
        marks.iter().map(|&m| values[m]).collect::<Vec<f64>>()
    };
    (-POINTS..POINTS).any(|i| {
        let (mut a, mut b) = (sample(i), sample(i + 1));
        let before = state(a);
        if before == state(b) {
            return false;
        }
        for _ in 0..60 {
            let middle = 0.5 * (a + b);
            if state(middle) == before { a = middle } else { b = middle }
        }
        let (left, right) = (f.apply(a), f.apply(b));
        (left - right).abs() > 1e-6 * (1.0 + left.abs())
    })
}

/// Whether a step's value changes by jumps.
fn is_mark(step: &Step) -> bool {
    use UnaryFn as U;
    match step {
        Step::Unary(f, _) => {
            matches!(f, U::Floor | U::Ceil | U::RoundAway | U::Round | U::Trunc | U::Sign | U::Not)
        }
        Step::Binary(f, ..) => {
            matches!(f, Binary::Greater | Binary::GreaterEqual | Binary::Equal | Binary::And | Binary::Or | Binary::Xor)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_found() {
        // x above 0.5, else a line
        let leaky = |slope: f32, shift: f32| {
            Formula::new(vec![
                Step::Argument,
                Step::Constant(0.5),
                Step::Binary(Binary::Greater, 0, 1),
                Step::Unary(UnaryFn::Not, 2),
                Step::Constant(slope),
                Step::Binary(Binary::Mul, 0, 4),
                Step::Constant(shift),
                Step::Binary(Binary::Add, 5, 6),
                Step::Binary(Binary::Gate, 0, 2),
                Step::Binary(Binary::Gate, 7, 3),
                Step::Binary(Binary::Add, 8, 9),
            ])
        };
        assert!(!jumps(&leaky(0.1, 0.45)));
        assert!(jumps(&leaky(0.1, 0.0)));
        assert!(!is_affine(&leaky(0.1, 0.45)) && is_affine(&leaky(1.0, 0.0)));
    }
}

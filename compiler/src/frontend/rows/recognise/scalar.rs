//! Elementwise functions: the formula of a region, and the canonical function that it is.
//!
//! A formula gets the name of a canonical function only if both agree wherever a float can be: on a grid over all
//! magnitudes and on both sides of every point where a bound or a comparison of the formula switches. Between those
//! points both are smooth. A bound far outside of what a model usually sees thus keeps its meaning.

use crate::frontend::rows::matrix_graph::{MatrixGraph, MatrixId, MatrixOp};
use nanozk_ir::float::{Binary, Formula, Step, UnaryFn};
use std::collections::HashMap;

/// Largest accepted difference between a formula and the function it is taken for: relative to the value, or to the
/// argument where that is greater but below 1.
const TOLERANCE: f64 = 1e-6;
/// Bisections that pin a switch to neighbouring floats.
const BISECTIONS: usize = 80;

/// The region from `pivot` to `id` as a function of one number; `None` if it is none.
pub(super) fn formula(graph: &MatrixGraph, id: MatrixId, pivot: MatrixId) -> Option<Formula> {
    let mut writer = Writer { graph, steps: vec![Step::Argument], known: HashMap::from([(pivot, 0)]), pivot };
    writer.step(id)?;
    (writer.steps.len() > 1).then(|| Formula::new(writer.steps))
}

struct Writer<'m> {
    graph: &'m MatrixGraph,
    steps: Vec<Step>,
    known: HashMap<MatrixId, usize>,
    pivot: MatrixId,
}

impl Writer<'_> {
    fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// The step that computes `id`.
    fn step(&mut self, id: MatrixId) -> Option<usize> {
        if let Some(&step) = self.known.get(&id) {
            return Some(step);
        }
        let node = &self.graph.nodes[id];
        let index = match &node.op {
            MatrixOp::Const { .. } => {
                let value = self.graph.scalar(id)?;
                self.push(Step::Constant(value))
            }
            _ if id < self.pivot => return None,
            MatrixOp::Unary(f) => {
                let operand = self.step(*node.operands.first()?)?;
                self.push(Step::Unary(f.clone(), operand))
            }
            MatrixOp::Binary(op) => {
                let &[a, b] = &node.operands[..] else { return None };
                let (a, b) = (self.step(a)?, self.step(b)?);
                self.push(Step::Binary(*op, a, b))
            }
            MatrixOp::Select(picks) => {
                let negated = picks.first()?.negated;
                let in_place = |(i, p): (usize, &crate::frontend::rows::matrix_graph::Pick)| {
                    p.feature == i && p.negated == negated
                };
                let &[source] = &node.operands[..] else { return None };
                if self.graph.nodes[source].features != picks.len() || !picks.iter().enumerate().all(in_place) {
                    return None;
                }
                let operand = self.step(source)?;
                if negated {
                    let sign = self.push(Step::Constant(-1.0));
                    self.push(Step::Binary(Binary::Mul, operand, sign))
                } else {
                    operand
                }
            }
            _ => return None,
        };
        self.known.insert(id, index);
        Some(index)
    }
}

/// Whether one table is the right form of a formula: its last operation needs one, or adds what needs one each, and
/// there is more to it than a function that has a table anyway.
pub(super) fn worth_a_table(formula: &Formula) -> bool {
    let bent = bent(formula);
    formula.steps().last().is_some_and(|last| match last {
        Step::Unary(..) => bent.iter().filter(|b| **b).count() > 1,
        _ => bent.last() == Some(&true) && !scaled(formula, last),
    })
}

/// Whether a formula needs a table.
pub(super) fn bends(formula: &Formula) -> bool {
    bent(formula).last() == Some(&true)
}

/// Which steps need a table to be computed from the argument.
fn bent(formula: &Formula) -> Vec<bool> {
    let mut bent: Vec<bool> = Vec::with_capacity(formula.steps().len());
    for step in formula.steps() {
        bent.push(match *step {
            Step::Argument | Step::Constant(_) => false,
            Step::Binary(_, a, b) if scaled(formula, step) => bent[a] || bent[b],
            Step::Binary(Binary::Add | Binary::Sub, a, b) => bent[a] && bent[b],
            Step::Unary(..) | Step::Binary(..) => true,
        });
    }
    bent
}

/// Whether a step multiplies by a constant or adds one.
fn scaled(formula: &Formula, step: &Step) -> bool {
    let constant = |i: usize| matches!(formula.steps()[i], Step::Constant(_));
    match *step {
        Step::Binary(Binary::Mul | Binary::Add | Binary::Sub, a, b) => constant(a) || constant(b),
        _ => false,
    }
}

/// The canonical function that a formula is.
pub(super) fn known(formula: &Formula) -> Option<UnaryFn> {
    let slope = -formula.apply(-1.0) as f32;
    let named = [
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
        UnaryFn::HardSwish,
    ];
    let leaky = (slope != 1.0 && slope.is_finite()).then_some(UnaryFn::LeakyRelu(slope));
    let first = |f: &UnaryFn| same(f, formula, 1.0) && same(f, formula, -2.5);
    let mut candidates = named.into_iter().chain(leaky).filter(first).peekable();
    candidates.peek()?;
    let probes = probes(formula);
    candidates.find(|f| probes.iter().all(|&x| same(f, formula, x)))
}

fn same(f: &UnaryFn, formula: &Formula, x: f64) -> bool {
    let (a, b) = (f.apply(x), formula.apply(x));
    let scale = a.abs().max(x.abs().min(1.0));
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= TOLERANCE * scale
}

/// Arguments over all magnitudes, with both sides of every switch of the formula.
fn probes(formula: &Formula) -> Vec<f64> {
    let magnitudes = (-38 * 12..=38 * 12).map(|i| 10f64.powf(f64::from(i) / 12.0));
    let mut probes: Vec<f64> = magnitudes.flat_map(|m| [-m, m]).collect();
    probes.extend((-1200..=1200).map(|i| f64::from(i) / 32.0 + 1.0 / 97.0));
    probes.push(0.0);
    probes.sort_unstable_by(f64::total_cmp);
    let mut switches = Vec::new();
    for step in formula.steps() {
        let Some(side) = switch(step) else { continue };
        for pair in probes.windows(2) {
            let at = |x: f64| side(&formula.trace(x));
            if at(pair[0]) != at(pair[1]) {
                switches.push(bisect(pair[0], pair[1], &at));
            }
        }
    }
    switches.sort_unstable_by(f64::total_cmp);
    // Just beside each switch, further off, and halfway to its neighbours.
    let beside = |s: &f64| [1e-9, 1e-4, 1e-2, 1.0].map(|d| d * s.abs().max(1e-38)).map(|d| [s - d, *s, s + d]);
    let halfway: Vec<f64> = switches.windows(2).map(|w| (w[0] + w[1]) / 2.0).collect();
    let near: Vec<f64> = switches.iter().flat_map(beside).flatten().chain(halfway).collect();
    probes.extend(near);
    probes
}

/// On which side of a switch a step is, given the values of all steps.
type Side<'s> = Box<dyn Fn(&[f64]) -> bool + 's>;

/// The switch of a step that has one.
fn switch(step: &Step) -> Option<Side<'_>> {
    match step {
        Step::Binary(Binary::Max | Binary::Min | Binary::Greater | Binary::GreaterEqual, a, b) => {
            Some(Box::new(|v| v[*a] > v[*b]))
        }
        Step::Binary(Binary::Gate, _, b) => Some(Box::new(|v| v[*b] != 0.0)),
        Step::Unary(UnaryFn::Relu | UnaryFn::LeakyRelu(_) | UnaryFn::Abs | UnaryFn::Sign | UnaryFn::Sqrt, a) => {
            Some(Box::new(|v| v[*a] > 0.0))
        }
        Step::Unary(UnaryFn::HardSwish, a) => Some(Box::new(|v| v[*a].abs() > 3.0)),
        _ => None,
    }
}

/// A point between `low` and `high`, which `side` tells apart, where the side changes.
fn bisect(mut low: f64, mut high: f64, side: &dyn Fn(f64) -> bool) -> f64 {
    let first = side(low);
    for _ in 0..BISECTIONS {
        let middle = low / 2.0 + high / 2.0;
        if side(middle) == first { low = middle } else { high = middle }
    }
    low / 2.0 + high / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `f` with more steps behind it; step 1 is the function's value.
    fn after(f: UnaryFn, steps: &[Step]) -> Formula {
        Formula::new([Step::Argument, Step::Unary(f, 0)].iter().chain(steps).cloned().collect())
    }

    #[test]
    fn a_bound_anywhere_is_not_lost() {
        let functions =
            [UnaryFn::Relu, UnaryFn::GeluErf, UnaryFn::GeluTanh, UnaryFn::Silu, UnaryFn::Exp, UnaryFn::Square];
        for f in functions {
            assert_eq!(known(&after(f.clone(), &[])), Some(f.clone()));
            for bound in [1e-30, 1e-6, 0.3, 6.0, 7.0, 12.0, 20.0, 137.5, 4096.0, 1e6, 1e20, 1e37] {
                let clipped = after(f.clone(), &[Step::Constant(bound), Step::Binary(Binary::Min, 1, 2)]);
                assert_eq!(known(&clipped), None, "min({}, {bound})", f.name());
            }
        }
    }

    #[test]
    fn a_narrow_exception_is_not_lost() {
        // 1 more where 5.0001 < x < 5.0002
        let steps = [
            Step::Constant(5.0001),
            Step::Constant(5.0002),
            Step::Binary(Binary::Greater, 0, 2),
            Step::Binary(Binary::Greater, 3, 0),
            Step::Binary(Binary::Mul, 4, 5),
            Step::Binary(Binary::Add, 1, 6),
        ];
        assert_eq!(known(&after(UnaryFn::Relu, &steps)), None);
    }

    #[test]
    fn a_small_slope_or_offset_is_not_lost() {
        let sum = |c: f32| after(UnaryFn::Relu, &[Step::Constant(c), Step::Binary(Binary::Add, 1, 2)]);
        assert_eq!(known(&sum(1e-5)), None);
        let slope = |c: f32| known(&Formula::new(vec![Step::Argument, Step::Unary(UnaryFn::LeakyRelu(c), 0)]));
        assert_eq!([slope(0.01), slope(1e-5)], [Some(UnaryFn::LeakyRelu(0.01)), Some(UnaryFn::LeakyRelu(1e-5))]);
    }
}

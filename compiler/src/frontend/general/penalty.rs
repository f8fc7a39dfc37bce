//! Penalties of masks on their way through other steps: rounded to eight bits as files of onnxruntime's quantiser have them.

use super::function::{Elementwise, HUGE};
use super::graph::{Graph, Op};
use super::tensor::Code;
use nanozk_ir::float::Binary;

/// Most steps between a bit and what it decides.
const DEEPEST: usize = 16;

/// A penalty that stands for infinity, or a value, by a bit.
pub(super) struct Hidden {
    bit: Code,
    /// Whether the penalty is there for 1, not for 0.
    by_one: bool,
    penalty: f64,
    value: Code,
    factor: Code,
}

/// Such elements times a factor that makes the penalty an ordinary number: scores that are rounded to the steps of a mask.
#[derive(Default)]
pub(super) struct Shrunk {
    hidden: Vec<(usize, Hidden)>,
    values: Vec<Code>,
    factors: Vec<Code>,
}

impl Shrunk {
    pub(super) fn push(&mut self, place: usize, hidden: Hidden) {
        self.values.push(hidden.value);
        self.factors.push(hidden.factor);
        self.hidden.push((place, hidden));
    }

    /// The products as decisions: place, bit, and what there is for 1 and for 0.
    pub(super) fn decided(self, g: &mut Graph) -> Vec<(usize, Code, Code, Code)> {
        if self.hidden.is_empty() {
            return Vec::new();
        }
        let values = g.binary(Binary::Mul, &self.values, &self.factors);
        let decided = |((i, hidden), value): ((usize, Hidden), Code)| {
            let penalty = g.pool.code(hidden.penalty);
            let (yes, no) = if hidden.by_one { (penalty, value) } else { (value, penalty) };
            (i, hidden.bit, yes, no)
        };
        self.hidden.into_iter().zip(values).map(decided).collect()
    }
}

impl Graph {
    /// The bit that an element is a function of, by steps of one variable each, and its values for 1 and 0.
    pub(super) fn of_bit(&self, code: Code) -> Option<(Code, f64, f64)> {
        self.of_bit_within(code, DEEPEST)
    }

    fn of_bit_within(&self, code: Code, depth: usize) -> Option<(Code, f64, f64)> {
        if self.is_bit(code) {
            return Some((code, 1.0, 0.0));
        }
        let node = self.node(code);
        let Op::Elementwise(f) = &node.op else { return None };
        if *f == Elementwise::Select {
            return self.choice(code);
        }
        let operands: Vec<Code> = node.args.iter().map(|a| a[code.feature()]).collect();
        let mut varying = operands.iter().filter(|c| !c.is_constant());
        let &inner = varying.next().filter(|_| varying.next().is_none() && depth > 0)?;
        let (bit, on, off) = self.of_bit_within(inner, depth - 1)?;
        let at = |y: f64| f.apply(&operands.iter().map(|&c| self.pool.value(c).unwrap_or(y)).collect::<Vec<_>>());
        Some((bit, at(on), at(off)))
    }

    /// Whether an element is a penalty for one value of a bit, or a sum with one.
    pub(super) fn may_be_penalty(&self, code: Code) -> bool {
        self.may_be_penalty_within(code, DEEPEST)
    }

    fn may_be_penalty_within(&self, code: Code, depth: usize) -> bool {
        if let Some(value) = self.pool.value(code) {
            return value <= -HUGE;
        }
        if let Some((_, yes, no)) = self.of_bit(code) {
            return yes.min(no) <= -HUGE;
        }
        let node = self.node(code);
        let operand = |slot: usize| node.args[slot][code.feature()];
        match node.op {
            _ if depth == 0 => false,
            Op::Elementwise(Elementwise::Binary(Binary::Add | Binary::Sub)) => {
                (0..2).any(|i| self.may_be_penalty_within(operand(i), depth - 1))
            }
            Op::Elementwise(Elementwise::Select) => (1..3).any(|i| self.may_be_penalty_within(operand(i), depth - 1)),
            _ => false,
        }
    }

    /// Takes an element for a penalty or a value: the bit, whether the penalty is there for 1, the penalty and the value.
    fn hidden(&self, code: Code) -> Option<(Code, bool, f64, Code)> {
        let node = self.node(code);
        let operand = |slot: usize| node.args[slot][code.feature()];
        match node.op {
            Op::Elementwise(Elementwise::Select) if self.is_bit(operand(0)) => {
                let (yes, no) = (operand(1), operand(2));
                match (self.pool.value(yes), self.pool.value(no)) {
                    (Some(penalty), None) => Some((operand(0), true, penalty, no)),
                    (None, Some(penalty)) => Some((operand(0), false, penalty, yes)),
                    _ => None,
                }
            }
            Op::Elementwise(Elementwise::Binary(Binary::Add)) => {
                let (a, b) = (operand(0), operand(1));
                let one = |choice: Code, value: Code| match self.choice(choice)? {
                    (bit, yes, 0.0) if yes.abs() >= HUGE => Some((bit, true, yes, value)),
                    (bit, 0.0, no) if no.abs() >= HUGE => Some((bit, false, no, value)),
                    _ => None,
                };
                one(a, b).or_else(|| one(b, a))
            }
            _ => None,
        }
    }

    /// A product of what stands for a number or infinity with a constant that makes the latter an ordinary number.
    pub(super) fn shrunk(&self, f: &Elementwise, x: &[Code]) -> Option<Hidden> {
        let (&Elementwise::Binary(Binary::Mul), &[a, b]) = (f, x) else { return None };
        let (code, factor) = if b.is_constant() { (a, b) } else { (b, a) };
        let by = self.pool.value(factor)?;
        let (bit, by_one, penalty, value) = self.hidden(code)?;
        let fits = penalty.abs() >= HUGE && (penalty * by).abs() < HUGE;
        fits.then_some(Hidden { bit, by_one, penalty: penalty * by, value, factor })
    }

    /// A penalty, or a value that rounds to 0: the bit, and what there is for 1 and for 0 before it is rounded.
    pub(super) fn rounded_away(&self, code: Code) -> Option<(Code, f64, f64)> {
        let (bit, by_one, penalty, value) = self.hidden(code)?;
        let (on, off) = if by_one { (penalty, 0.0) } else { (0.0, penalty) };
        self.is_below_one(value).then_some((bit, on, off))
    }

    /// Whether an element is a number times a factor so small that the product rounds to 0.
    pub(super) fn is_below_one(&self, code: Code) -> bool {
        let node = self.node(code);
        let (Op::Elementwise(Elementwise::Binary(Binary::Mul)), [a, b]) = (&node.op, &node.args[..]) else {
            return false;
        };
        let factor = [a, b].into_iter().find_map(|arg| self.pool.value(arg[code.feature()]));
        factor.is_some_and(|c| c.abs() * HUGE < 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::BIT;
    use super::super::tensor::ZERO;
    use super::*;
    use nanozk_ir::float::UnaryFn;

    /// As QuantizeLinear and DequantizeLinear around each step leave it.
    #[test]
    fn masks_that_are_rounded_stay_masks() {
        let mut g = Graph::default();
        let m = g.add(Op::Input, vec![], 2, Some(BIT));
        let scores = g.add(Op::Input, vec![], 2, None);
        let rounded = |g: &mut Graph, x: &[Code], scale: f64, low: f64, high: f64| {
            let steps = g.with_constant(Binary::Mul, x, 1.0 / scale);
            let whole = g.unary(UnaryFn::Round, &steps);
            let raised = g.with_constant(Binary::Max, &whole, low);
            let clipped = g.with_constant(Binary::Min, &raised, high);
            g.with_constant(Binary::Mul, &clipped, scale)
        };
        let share = rounded(&mut g, &m, 0.0039, 0.0, 255.0);
        let penalties = g.with_constant(Binary::Mul, &share, -3.4e38);
        let (scale, most) = (3.4e38 / 255.0, 255.0);
        let penalties = rounded(&mut g, &penalties, scale, -most, 0.0);
        let (bit, on, off) = g.choice(penalties[0]).unwrap();
        assert!(bit == m[0] && off == 0.0 && (on / -3.4e38 - 1.0).abs() < 0.01, "{on}");
        // Beside such steps every score is 0.
        let hidden = g.binary(Binary::Add, &scores, &penalties);
        let hidden = rounded(&mut g, &hidden, scale, -most, 0.0);
        let (bit, on, off) = g.choice(hidden[1]).unwrap();
        assert!(bit == m[1] && off == 0.0 && on < -3e38, "{on}");
        assert_eq!(rounded(&mut g, &scores, scale, -most, 0.0), [ZERO, ZERO]);
    }
}

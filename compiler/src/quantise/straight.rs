//! Continuous functions of straight pieces.

use nanozk_ir::float::{Binary, Formula, Step, UnaryFn};

/// `offset + slope x + sum_i change_i max(x - at_i, 0)` over the bends (at, change), ascending.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Straight {
    pub offset: f64,
    pub slope: f64,
    pub bends: Vec<(f64, f64)>,
}

impl Straight {
    /// The pieces of `f`, if it has some.
    pub fn of(f: &UnaryFn) -> Option<Self> {
        let x = Straight { offset: 0.0, slope: 1.0, bends: Vec::new() };
        match f {
            UnaryFn::Formula(formula) => Self::of_formula(formula, &x),
            f => x.under(f),
        }
    }

    fn of_formula(formula: &Formula, x: &Self) -> Option<Self> {
        let mut steps: Vec<Option<Straight>> = Vec::with_capacity(formula.steps().len());
        for step in formula.steps() {
            let at = |i: usize| steps.get(i).cloned().flatten();
            let next = match step {
                Step::Argument => Some(x.clone()),
                Step::Constant(c) => Some(Self::constant((*c).into())),
                Step::Unary(f, a) => at(*a).and_then(|a| a.under(f)),
                Step::Binary(op, a, b) => at(*a).zip(at(*b)).and_then(|(a, b)| a.with(*op, &b)),
            };
            steps.push(next);
        }
        steps.pop().flatten().filter(Self::is_finite)
    }

    fn constant(offset: f64) -> Self {
        Straight { offset, slope: 0.0, bends: Vec::new() }
    }

    fn is_constant(&self) -> bool {
        self.slope == 0.0 && self.bends.is_empty()
    }

    fn is_finite(&self) -> bool {
        let bends = self.bends.iter().flat_map(|(at, change)| [at, change]);
        bends.chain([&self.offset, &self.slope]).all(|v| v.is_finite())
    }

    /// `f` of this.
    fn under(&self, f: &UnaryFn) -> Option<Self> {
        match f {
            UnaryFn::Neg => Some(self.times(-1.0)),
            UnaryFn::Relu => Some(self.positive()),
            UnaryFn::LeakyRelu(slope) => {
                let slope = f64::from(*slope);
                Some(self.times(slope).plus(&self.positive(), 1.0 - slope))
            }
            UnaryFn::Abs => Some(self.times(-1.0).plus(&self.positive(), 2.0)),
            _ => None,
        }
    }

    fn with(&self, op: Binary, other: &Self) -> Option<Self> {
        match op {
            Binary::Add => Some(self.plus(other, 1.0)),
            Binary::Sub => Some(self.plus(other, -1.0)),
            Binary::Mul if other.is_constant() => Some(self.times(other.offset)),
            Binary::Mul if self.is_constant() => Some(other.times(self.offset)),
            Binary::Div if other.is_constant() => Some(self.times(1.0 / other.offset)),
            Binary::Max => Some(other.plus(&self.plus(other, -1.0).positive(), 1.0)),
            Binary::Min => Some(self.plus(&self.plus(other, -1.0).positive(), -1.0)),
            _ => None,
        }
    }

    fn times(&self, factor: f64) -> Self {
        Self::constant(0.0).plus(self, factor)
    }

    /// The sum of this and `factor` times another.
    fn plus(&self, other: &Self, factor: f64) -> Self {
        let mut bends = self.bends.clone();
        bends.extend(other.bends.iter().map(|&(at, change)| (at, change * factor)));
        bends.sort_by(|a, b| a.0.total_cmp(&b.0));
        bends.dedup_by(|next, bend| {
            let same = next.0 == bend.0;
            bend.1 += if same { next.1 } else { 0.0 };
            same
        });
        bends.retain(|bend| bend.1 != 0.0);
        Straight { offset: self.offset + factor * other.offset, slope: self.slope + factor * other.slope, bends }
    }

    /// `max(self, 0)`.
    fn positive(&self) -> Self {
        // Where each piece of the result begins, and its line, or 0.
        let mut pieces: Vec<(f64, f64, f64)> = Vec::new();
        let (mut offset, mut slope, mut from) = (self.offset, self.slope, f64::NEG_INFINITY);
        for (to, change) in self.bends.iter().copied().chain([(f64::INFINITY, 0.0)]) {
            let zero = -offset / slope;
            let mut piece =
                |from: f64, kept: bool| pieces.push(if kept { (from, offset, slope) } else { (from, 0.0, 0.0) });
            if from < zero && zero < to {
                piece(from, slope < 0.0);
                piece(zero, slope > 0.0);
            } else {
                let inside = match (from.is_finite(), to.is_finite()) {
                    (true, true) => 0.5 * (from + to),
                    (true, false) => from + 1.0,
                    (false, true) => to - 1.0,
                    (false, false) => 0.0,
                };
                piece(from, offset + slope * inside > 0.0);
            }
            (offset, slope, from) = (offset - change * to, slope + change, to);
        }
        let (_, offset, slope) = pieces[0];
        let bends = pieces.windows(2).map(|pair| (pair[1].0, pair[1].2 - pair[0].2)).filter(|bend| bend.1 != 0.0);
        Straight { offset, slope, bends: bends.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(s: &Straight, x: f64) -> f64 {
        s.offset + s.slope * x + s.bends.iter().map(|(at, change)| change * (x - at).max(0.0)).sum::<f64>()
    }

    fn clip(of: Step, low: f32, high: f32) -> UnaryFn {
        let steps = [Step::Argument, of, Step::Constant(low), Step::Constant(high)];
        let ends = [Step::Binary(Binary::Max, 1, 2), Step::Binary(Binary::Min, 4, 3)];
        UnaryFn::Formula(Formula::new(steps.into_iter().chain(ends).collect()))
    }

    #[test]
    fn pieces_give_the_function() {
        let steps = |steps: &[Step]| UnaryFn::Formula(Formula::new(steps.to_vec()));
        let (argument, constant) = (Step::Argument, Step::Constant);
        let hard_sigmoid = steps(&[
            argument.clone(),
            constant(0.2),
            Step::Binary(Binary::Mul, 0, 1),
            constant(0.5),
            Step::Binary(Binary::Add, 2, 3),
            constant(0.0),
            Step::Binary(Binary::Max, 4, 5),
            constant(1.0),
            Step::Binary(Binary::Min, 6, 7),
        ]);
        let tent = steps(&[
            argument.clone(),
            Step::Unary(UnaryFn::Abs, 0),
            constant(2.0),
            Step::Binary(Binary::Sub, 2, 1),
            Step::Unary(UnaryFn::Relu, 3),
            Step::Unary(UnaryFn::LeakyRelu(0.25), 0),
            Step::Binary(Binary::Sub, 4, 5),
            constant(4.0),
            Step::Binary(Binary::Div, 6, 7),
        ]);
        let functions = [
            (UnaryFn::Relu, 1),
            (UnaryFn::LeakyRelu(0.1), 1),
            (UnaryFn::LeakyRelu(-2.0), 1),
            (UnaryFn::Abs, 1),
            (UnaryFn::Neg, 0),
            (clip(Step::Unary(UnaryFn::Neg, 0), -0.5, 1.5), 2),
            (clip(Step::Unary(UnaryFn::Abs, 0), 0.5, 1.5), 4),
            (hard_sigmoid, 2),
            (tent, 3),
        ];
        for (f, bends) in functions {
            let straight = Straight::of(&f).unwrap();
            assert_eq!(straight.bends.len(), bends, "{f:?}: {straight:?}");
            for x in (-60..=60).map(|i| f64::from(i) / 8.0) {
                assert!((apply(&straight, x) - f.apply(x)).abs() < 1e-6, "{f:?} at {x}: {straight:?}");
            }
        }
    }

    #[test]
    fn what_jumps_or_curves_has_none() {
        let steps = |steps: &[Step]| UnaryFn::Formula(Formula::new(steps.to_vec()));
        let half = [Step::Argument, Step::Constant(0.0), Step::Binary(Binary::Div, 0, 1)];
        let product = [Step::Argument, Step::Binary(Binary::Mul, 0, 0)];
        let mark = [Step::Argument, Step::Constant(0.0), Step::Binary(Binary::Greater, 0, 1)];
        for f in
            [UnaryFn::Tanh, UnaryFn::Sign, UnaryFn::Square, steps(&half), steps(&product), steps(&mark), steps(&[])]
        {
            assert_eq!(Straight::of(&f), None, "{f:?}");
        }
    }
}

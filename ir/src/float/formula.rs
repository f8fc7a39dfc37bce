//! Elementwise functions without a name: the operations that a model applies to one number, in order.

use super::UnaryFn;
use super::unary::{greater, lesser};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::cell::Cell;

/// Operations on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binary {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
    /// The greater one.
    Max,
    /// The lesser one.
    Min,
    /// 1 where the first is greater, else 0.
    Greater,
    /// 1 where the first is greater or equal, else 0.
    GreaterEqual,
    /// The first where the second is not 0, else 0.
    Gate,
    /// 1 where both are equal, else 0.
    Equal,
    /// 1 where neither is 0, else 0.
    And,
    /// 1 where one is not 0, else 0.
    Or,
    /// 1 where just one is 0, else 0.
    Xor,
    /// The first to the power of the second.
    Pow,
    /// What the quotient's whole part leaves of the first.
    Rem,
}

impl Binary {
    /// Whether arguments next to each other may have results far apart.
    fn jumps(self) -> bool {
        use Binary::{And, Equal, Greater, GreaterEqual, Or, Rem, Xor};
        matches!(self, And | Equal | Greater | GreaterEqual | Or | Rem | Xor)
    }

    /// The operation on `a` and `b`.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Max => greater(a, b),
            Binary::Min => lesser(a, b),
            Binary::Greater => f64::from(u8::from(a > b)),
            Binary::GreaterEqual => f64::from(u8::from(a >= b)),
            Binary::Gate if b == 0.0 => 0.0,
            Binary::Gate => a,
            Binary::Equal => f64::from(u8::from(a == b)),
            Binary::And => f64::from(u8::from(a != 0.0 && b != 0.0)),
            Binary::Or => f64::from(u8::from(a != 0.0 || b != 0.0)),
            Binary::Xor => f64::from(u8::from((a == 0.0) != (b == 0.0))),
            Binary::Pow => libm::pow(a, b),
            Binary::Rem => a % b,
        }
    }
}

/// One step of a [`Formula`]; operands are indices of earlier steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// The argument.
    Argument,
    /// A constant.
    Constant(f32),
    /// A function of one step.
    Unary(UnaryFn, usize),
    /// An operation on two steps.
    Binary(Binary, usize, usize),
}

/// A function of one number as a list of steps, of which the last is the result. Operands that are no earlier steps
/// count as 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Formula {
    steps: Vec<Step>,
}

/// No formula stands within another: readers of files do not recurse as deep as the file likes.
impl<'de> Deserialize<'de> for Formula {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            steps: Vec<Step>,
        }
        thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });
        if INSIDE.replace(true) {
            return Err(D::Error::custom("a formula within a formula"));
        }
        let wire = Wire::deserialize(deserializer);
        INSIDE.set(false);
        Ok(Formula { steps: wire?.steps })
    }
}

/// Writes `steps` behind those of `flat`; where the result stands. The argument is step `argument`, or one of its own.
fn written_out(steps: Vec<Step>, argument: Option<usize>, flat: &mut Vec<Step>) -> Option<usize> {
    let mut places: Vec<usize> = Vec::with_capacity(steps.len());
    for step in steps {
        // What is no earlier step stays none.
        let at = |operand: usize| places.get(operand).copied().unwrap_or(usize::MAX);
        let place = match (step, argument) {
            (Step::Argument, Some(argument)) => argument,
            (Step::Unary(UnaryFn::Formula(inner), operand), _) => {
                let operand = at(operand);
                written_out(inner.steps, Some(operand), flat).unwrap_or(operand)
            }
            (step, _) => {
                flat.push(match step {
                    Step::Unary(function, operand) => Step::Unary(function, at(operand)),
                    Step::Binary(op, a, b) => Step::Binary(op, at(a), at(b)),
                    step => step,
                });
                flat.len() - 1
            }
        };
        places.push(place);
    }
    places.last().copied()
}

impl Formula {
    /// The function whose result is the last of `steps`, with formulas among them written out as steps.
    pub fn new(steps: Vec<Step>) -> Self {
        let mut flat = Vec::with_capacity(steps.len());
        let result = written_out(steps, None, &mut flat);
        if let Some(result) = result.filter(|at| at.wrapping_add(1) != flat.len()) {
            flat.push(Step::Binary(Binary::Max, result, result));
        }
        Formula { steps: flat }
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether arguments next to each other may have results far apart.
    pub fn jumps(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Unary(function, _) => function.jumps(),
            Step::Binary(op, ..) => op.jumps(),
            Step::Argument | Step::Constant(_) => false,
        })
    }

    /// The function at `x`, in double precision.
    pub fn apply(&self, x: f64) -> f64 {
        self.trace(x).last().copied().unwrap_or(x)
    }

    /// The function at `x` as a program of single precision computes it: the result of each step is rounded ([`single`]).
    pub fn in_singles(&self, x: f64) -> f64 {
        self.results(x, single).last().copied().unwrap_or(x)
    }

    /// The result of every step at `x`.
    pub fn trace(&self, x: f64) -> Vec<f64> {
        self.results(x, |v| v)
    }

    fn results(&self, x: f64, rounded: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut values: Vec<f64> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let at = |i: usize| values.get(i).copied().unwrap_or(0.0);
            let value = match step {
                Step::Argument => x,
                Step::Constant(c) => f64::from(*c),
                Step::Unary(f, a) => f.apply(at(*a)),
                Step::Binary(op, a, b) => op.apply(at(*a), at(*b)),
            };
            values.push(rounded(value));
        }
        values
    }
}

/// The number that single precision has for `v`. Whole numbers stay, for those of integer types are exact.
pub fn single(v: f64) -> f64 {
    if v.fract() == 0.0 { v } else { f64::from(v as f32) }
}

/// All steps: `Formula[s0 = x, s1 = 2, s2 = Exp(s0), s3 = Min(s2, s1)]`.
impl std::fmt::Display for Formula {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Formula[")?;
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "{}s{i} = ", if i > 0 { ", " } else { "" })?;
            match step {
                Step::Argument => write!(f, "x")?,
                Step::Constant(constant) => write!(f, "{constant}")?,
                Step::Unary(function, a) => write!(f, "{function}(s{a})")?,
                Step::Binary(op, a, b) => write!(f, "{op:?}(s{a}, s{b})")?,
            }
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_earlier_ones() {
        // min(exp(x), 2) where x > 0, else 0
        let steps = vec![
            Step::Argument,
            Step::Constant(0.0),
            Step::Constant(2.0),
            Step::Unary(UnaryFn::Exp, 0),
            Step::Binary(Binary::Min, 3, 2),
            Step::Binary(Binary::Greater, 0, 1),
            Step::Binary(Binary::Gate, 4, 5),
        ];
        let f = Formula::new(steps);
        assert_eq!([f.apply(1.0), f.apply(-3.0), f.apply(0.0)], [2.0, 0.0, 0.0]);
        assert!((f.apply(0.5) - libm::exp(0.5)).abs() < 1e-15);
        let words =
            "Formula[s0 = x, s1 = 0, s2 = 2, s3 = Exp(s0), s4 = Min(s3, s2), s5 = Greater(s0, s1), s6 = Gate(s4, s5)]";
        assert_eq!(f.to_string(), words);
    }

    /// -10 times the single next to 0.1, and a power of a sum whose rounding counts.
    #[test]
    fn steps_are_rounded_as_programs_of_single_precision_round_them() {
        let tenth = Formula::new(vec![
            Step::Argument,
            Step::Constant(0.1),
            Step::Binary(Binary::Mul, 0, 1),
            Step::Unary(UnaryFn::Floor, 2),
        ]);
        assert_eq!([tenth.apply(-10.0), tenth.in_singles(-10.0)], [-2.0, -1.0]);
        let power = Formula::new(vec![
            Step::Argument,
            Step::Constant(7e6),
            Step::Binary(Binary::Div, 0, 1),
            Step::Constant(1.0),
            Step::Binary(Binary::Add, 2, 3),
            Step::Unary(UnaryFn::Pow(-1e5), 4),
        ]);
        let of_singles = libm::pow(f64::from(1f32 + 3.0 / 7e6), -1e5);
        assert!((power.in_singles(3.0) - of_singles).abs() < 1e-6);
        assert!((power.apply(3.0) - of_singles).abs() > 1e-3);
        // Whole numbers of integer types are exact beyond what single precision tells apart.
        let square = Formula::new(vec![Step::Argument, Step::Binary(Binary::Mul, 0, 0)]);
        assert_eq!(square.in_singles(4097.0), 16_785_409.0);
    }

    #[test]
    fn formulas_do_not_nest_in_files() {
        let nest = |inner| Formula { steps: vec![Step::Argument, Step::Unary(UnaryFn::Formula(inner), 0)] };
        let read = |f: &Formula| postcard::from_bytes::<Formula>(&postcard::to_stdvec(f).unwrap());
        let flat = Formula::new(vec![Step::Argument, Step::Unary(UnaryFn::Exp, 0)]);
        assert_eq!(read(&flat).unwrap(), flat);
        let deep = (0..1000).fold(flat.clone(), |f, _| nest(f));
        assert!(read(&deep).is_err());
        assert_eq!(read(&flat).unwrap(), flat, "after a refusal");
    }

    #[test]
    fn formulas_among_the_steps_are_written_out() {
        // softplus(x) = ln(1 + exp(x))
        let softplus = Formula::new(vec![
            Step::Argument,
            Step::Unary(UnaryFn::Exp, 0),
            Step::Constant(1.0),
            Step::Binary(Binary::Add, 1, 2),
            Step::Unary(UnaryFn::Ln, 3),
        ]);
        let inner = |operand| Step::Unary(UnaryFn::Formula(softplus.clone()), operand);
        // softplus(2 x) - softplus(softplus(x)), and the middle one alone
        let steps = [Step::Argument, Step::Binary(Binary::Add, 0, 0), inner(1), inner(0), inner(3)];
        let all = Formula::new([&steps[..], &[Step::Binary(Binary::Sub, 2, 4)]].concat());
        let value = |x: f64| softplus.apply(2.0 * x) - softplus.apply(softplus.apply(x));
        assert!(all.steps().iter().all(|step| !matches!(step, Step::Unary(UnaryFn::Formula(_), _))));
        assert_eq!(all.apply(0.7), value(0.7));
        // The result is an earlier step where the last one is the argument itself.
        let identity = Formula::new(vec![Step::Argument]);
        let last = Formula::new(vec![Step::Argument, inner(0), Step::Unary(UnaryFn::Formula(identity), 0)]);
        assert_eq!(last.apply(0.7), 0.7);
        assert_eq!(Formula::new(vec![Step::Argument, inner(9)]).apply(3.0), softplus.apply(0.0));
        let empty = Step::Unary(UnaryFn::Formula(Formula::new(Vec::new())), 1);
        assert_eq!(Formula::new(vec![Step::Argument, inner(0), empty]).apply(0.7), softplus.apply(0.7));
    }

    #[test]
    fn a_step_that_does_not_exist_is_zero() {
        assert_eq!(Formula::new(vec![Step::Argument, Step::Binary(Binary::Add, 0, 7)]).apply(3.0), 3.0);
        assert_eq!(Formula::new(Vec::new()).apply(3.0), 3.0);
    }
}

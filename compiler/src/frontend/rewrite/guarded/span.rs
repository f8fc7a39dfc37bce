//! What is known of an element: intervals of real numbers, infinities among them, and what is no number.

use crate::frontend::rewrite::node::Parts;
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

/// What an element may be. Truth values are 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Span {
    /// Anything, numbers or not.
    Any,
    /// No number.
    Nan,
    /// A number from the first to the second.
    Within(f64, f64),
}

use Span::{Any, Nan, Within};

/// The numbers above 0, below 0, and all of them.
pub(super) const POSITIVE: Span = Within(f64::MIN_POSITIVE, f64::MAX);
pub(super) const NEGATIVE: Span = Within(-f64::MAX, -f64::MIN_POSITIVE);
pub(super) const NUMBER: Span = Within(-f64::MAX, f64::MAX);

impl Span {
    pub(super) fn of(value: f64) -> Span {
        if value.is_nan() { Nan } else { Within(value, value) }
    }

    /// The truth of a statement; unknown where there is none.
    fn truth(known: Option<bool>) -> Span {
        known.map_or(Within(0.0, 1.0), |t| Span::of(f64::from(u8::from(t))))
    }

    /// Whether it is true, where that is known.
    pub(super) fn is_true(self) -> Option<bool> {
        match self {
            Within(lo, hi) if lo > 0.0 || hi < 0.0 => Some(true),
            Within(0.0, 0.0) => Some(false),
            _ => None,
        }
    }

    /// Whether there may be elements in both.
    pub(super) fn meets(self, other: Span) -> bool {
        match (self, other) {
            (Within(a, b), Within(c, d)) => a <= d && c <= b,
            (Nan, Within(..)) | (Within(..), Nan) => false,
            _ => true,
        }
    }

    /// What both may be.
    pub(super) fn hull(self, other: Span) -> Span {
        match (self, other) {
            (Within(a, b), Within(c, d)) => Within(a.min(c), b.max(d)),
            _ if self == other => self,
            _ => Any,
        }
    }

    /// What `f` makes of the ends, where it is monotone.
    fn ends(self, f: impl Fn(f64) -> f64) -> Span {
        match self {
            Within(lo, hi) => Span::corners(&[f(lo), f(hi)]),
            other => other,
        }
    }

    fn corners(values: &[f64]) -> Span {
        if values.iter().any(|v| v.is_nan()) {
            return if values.iter().all(|v| v.is_nan()) { Nan } else { Any };
        }
        let lo = values.iter().copied().fold(f64::INFINITY, f64::min);
        Within(lo, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    /// A sum, difference, product or bound of two: its ends are among those of the ends.
    fn pair(self, other: Span, f: impl Fn(f64, f64) -> f64) -> Span {
        match (self, other) {
            (Nan, _) | (_, Nan) => Nan,
            // What is computed of finite numbers is taken to be one.
            (Within(a, b), Within(c, d)) if [a, b, c, d].iter().all(|v| v.is_finite()) => {
                let finite = |a, b| f(a, b).clamp(-f64::MAX, f64::MAX);
                Span::corners(&[finite(a, c), finite(a, d), finite(b, c), finite(b, d)])
            }
            (Within(a, b), Within(c, d)) => Span::corners(&[f(a, c), f(a, d), f(b, c), f(b, d)]),
            _ => Any,
        }
    }

    /// Whether `self < other`, or `<=` where `or_equal`; nothing is true of what is no number.
    fn less(self, other: Span, or_equal: bool) -> Span {
        Span::truth(match (self, other) {
            (Nan, _) | (_, Nan) => Some(false),
            (Within(a, b), Within(c, d)) => match or_equal {
                true if b <= c => Some(true),
                true if a > d => Some(false),
                false if b < c => Some(true),
                false if a >= d => Some(false),
                _ => None,
            },
            _ => None,
        })
    }

    fn equal(self, other: Span) -> Span {
        Span::truth(match (self, other) {
            (Nan, _) | (_, Nan) => Some(false),
            (Within(a, b), Within(c, d)) if a == b && c == d && a == c => Some(true),
            _ if !self.meets(other) => Some(false),
            _ => None,
        })
    }

    fn and(self, other: Span) -> Span {
        Span::truth(match (self.is_true(), other.is_true()) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        })
    }

    fn not(self) -> Span {
        Span::truth(self.is_true().map(|t| !t))
    }

    fn cast(self, to: i64) -> Span {
        match DataType::try_from(to as i32) {
            Ok(DataType::Bool) => Span::truth(self.is_true()),
            Ok(DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16) => self,
            _ => match self {
                Within(lo, hi) if lo.is_finite() && hi.is_finite() => self.ends(f64::trunc),
                _ => Any,
            },
        }
    }

    fn is_infinite(self, up: bool, down: bool) -> Span {
        let sought = |v: f64| v.is_infinite() && if v > 0.0 { up } else { down };
        Span::truth(match self {
            Nan => Some(false),
            Within(lo, hi) if !sought(lo) && !sought(hi) => Some(false),
            Within(lo, hi) if lo == hi => Some(true),
            _ => None,
        })
    }
}

/// The operators of [`apply`].
pub(super) const READ: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "Cast",
    "Equal",
    "Exp",
    "Greater",
    "GreaterOrEqual",
    "Identity",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Relu",
    "Sub",
    "Where",
];

/// What one of the operators [`READ`] gives for these operands.
pub(super) fn apply(node: &NodeProto, x: &[Span]) -> Span {
    match (&node.op_type[..], x) {
        ("Identity", &[a]) => a,
        ("Cast", &[a]) => a.cast(node.int("to", 0)),
        ("Neg", &[a]) => a.ends(|v| -v),
        ("Abs", &[Within(lo, hi)]) if lo < 0.0 && hi > 0.0 => Within(0.0, hi.max(-lo)),
        ("Abs", &[a]) => a.ends(f64::abs),
        ("Exp", &[a]) => a.ends(f64::exp),
        ("Relu", &[a]) => a.ends(|v| v.max(0.0)),
        ("Add", &[a, b]) => a.pair(b, |a, b| a + b),
        ("Sub", &[a, b]) => a.pair(b, |a, b| a - b),
        ("Mul", &[a, b]) => a.pair(b, |a, b| a * b),
        ("Max", &[a, b]) => a.pair(b, f64::max),
        ("Min", &[a, b]) => a.pair(b, f64::min),
        ("Where", &[c, yes, no]) => match c.is_true() {
            Some(true) => yes,
            Some(false) => no,
            None => yes.hull(no),
        },
        ("Less", &[a, b]) => a.less(b, false),
        ("Greater", &[a, b]) => b.less(a, false),
        ("LessOrEqual", &[a, b]) => a.less(b, true),
        ("GreaterOrEqual", &[a, b]) => b.less(a, true),
        ("Equal", &[a, b]) => a.equal(b),
        ("Not", &[a]) => a.not(),
        ("And", &[a, b]) => a.and(b),
        ("Or", &[a, b]) => a.not().and(b.not()).not(),
        ("IsNaN", &[Any]) => Span::truth(None),
        ("IsNaN", &[a]) => Span::truth(Some(a == Nan)),
        ("IsInf", &[a]) => a.is_infinite(node.int("detect_positive", 1) != 0, node.int("detect_negative", 1) != 0),
        _ => Any,
    }
}

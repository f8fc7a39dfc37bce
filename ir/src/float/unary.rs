//! Exact values of the elementwise functions.

use super::UnaryFn;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// The greater number. That of two zeros is the first, where IEEE 754 leaves it open.
pub(super) fn greater(a: f64, b: f64) -> f64 {
    if a >= b || b.is_nan() { a } else { b }
}

/// The lesser number, as [`greater`].
pub(super) fn lesser(a: f64, b: f64) -> f64 {
    if a <= b || b.is_nan() { a } else { b }
}

impl UnaryFn {
    /// Whether arguments next to each other may have results far apart.
    pub fn jumps(&self) -> bool {
        use UnaryFn::{Ceil, Floor, Not, Round, RoundAway, Sign, Trunc};
        match self {
            UnaryFn::Formula(formula) => formula.jumps(),
            function => matches!(function, Ceil | Floor | Not | Round | RoundAway | Sign | Trunc),
        }
    }

    /// The function at `x`, in double precision: the same bits on every machine, since operations that IEEE 754 does not
    /// fix are those of the pure Rust `libm`.
    pub fn apply(&self, x: f64) -> f64 {
        match self {
            UnaryFn::GeluErf => 0.5 * x * (1.0 + libm::erf(x * FRAC_1_SQRT_2)),
            UnaryFn::GeluTanh => 0.5 * x * (1.0 + libm::tanh((2.0 / PI).sqrt() * (x + 0.044715 * x * x * x))),
            UnaryFn::Silu => x / (1.0 + libm::exp(-x)),
            UnaryFn::Relu => greater(x, 0.0),
            UnaryFn::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    f64::from(*slope) * x
                }
            }
            UnaryFn::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            UnaryFn::Tanh => libm::tanh(x),
            UnaryFn::Erf => libm::erf(x),
            UnaryFn::Exp => libm::exp(x),
            UnaryFn::Square => x * x,
            UnaryFn::Sqrt => x.sqrt(),
            UnaryFn::Abs => x.abs(),
            UnaryFn::Ln => libm::log(x),
            UnaryFn::Recip => 1.0 / x,
            UnaryFn::Rsqrt => 1.0 / x.sqrt(),
            UnaryFn::Sign if x == 0.0 => 0.0,
            UnaryFn::Sign => x.signum(),
            UnaryFn::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            UnaryFn::Pow(e) => libm::pow(x, f64::from(*e)),
            UnaryFn::Floor => x.floor(),
            UnaryFn::Ceil => x.ceil(),
            UnaryFn::Round => x.round_ties_even(),
            UnaryFn::Sin => libm::sin(x),
            UnaryFn::Cos => libm::cos(x),
            UnaryFn::Neg => -x,
            UnaryFn::Not => f64::from(u8::from(x == 0.0)),
            UnaryFn::Trunc => x.trunc(),
            UnaryFn::RoundAway => x.round(),
            UnaryFn::Tan => libm::tan(x),
            UnaryFn::Asin => libm::asin(x),
            UnaryFn::Acos => libm::acos(x),
            UnaryFn::Atan => libm::atan(x),
            UnaryFn::Sinh => libm::sinh(x),
            UnaryFn::Cosh => libm::cosh(x),
            UnaryFn::Asinh => libm::asinh(x),
            UnaryFn::Acosh => libm::acosh(x),
            UnaryFn::Atanh => libm::atanh(x),
            UnaryFn::Formula(formula) => formula.in_singles(x),
        }
    }

    /// Name for tables and errors.
    pub fn name(&self) -> &'static str {
        match self {
            UnaryFn::GeluErf => "GeluErf",
            UnaryFn::GeluTanh => "GeluTanh",
            UnaryFn::Silu => "Silu",
            UnaryFn::Relu => "Relu",
            UnaryFn::LeakyRelu(_) => "LeakyRelu",
            UnaryFn::Sigmoid => "Sigmoid",
            UnaryFn::Tanh => "Tanh",
            UnaryFn::Erf => "Erf",
            UnaryFn::Exp => "Exp",
            UnaryFn::Square => "Square",
            UnaryFn::Sqrt => "Sqrt",
            UnaryFn::Abs => "Abs",
            UnaryFn::Ln => "Ln",
            UnaryFn::Recip => "Recip",
            UnaryFn::Rsqrt => "Rsqrt",
            UnaryFn::Sign => "Sign",
            UnaryFn::HardSwish => "HardSwish",
            UnaryFn::Pow(_) => "Pow",
            UnaryFn::Floor => "Floor",
            UnaryFn::Ceil => "Ceil",
            UnaryFn::Round => "Round",
            UnaryFn::Sin => "Sin",
            UnaryFn::Cos => "Cos",
            UnaryFn::Neg => "Neg",
            UnaryFn::Not => "Not",
            UnaryFn::Trunc => "Trunc",
            UnaryFn::RoundAway => "RoundAway",
            UnaryFn::Tan => "Tan",
            UnaryFn::Asin => "Asin",
            UnaryFn::Acos => "Acos",
            UnaryFn::Atan => "Atan",
            UnaryFn::Sinh => "Sinh",
            UnaryFn::Cosh => "Cosh",
            UnaryFn::Asinh => "Asinh",
            UnaryFn::Acosh => "Acosh",
            UnaryFn::Atanh => "Atanh",
            UnaryFn::Formula(_) => "Formula",
        }
    }
}

/// The name, with the constants or steps that belong to it.
impl std::fmt::Display for UnaryFn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UnaryFn::LeakyRelu(constant) | UnaryFn::Pow(constant) => write!(f, "{}[{constant}]", self.name()),
            UnaryFn::Formula(formula) => formula.fmt(f),
            function => f.write_str(function.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of a published model are computed again on other machines.
    #[test]
    fn every_machine_computes_the_same_bits() {
        use UnaryFn::*;
        let functions = [
            GeluErf,
            GeluTanh,
            Silu,
            Relu,
            LeakyRelu(0.01),
            Sigmoid,
            Tanh,
            Erf,
            Exp,
            Square,
            Sqrt,
            Abs,
            Ln,
            Recip,
            Rsqrt,
            Sign,
            HardSwish,
            Pow(2.5),
            Floor,
            Ceil,
            Round,
            Sin,
            Cos,
            Neg,
            Not,
            Trunc,
            RoundAway,
            Tan,
            Asin,
            Acos,
            Atan,
            Sinh,
            Cosh,
            Asinh,
            Acosh,
            Atanh,
        ];
        let mut hash = blake2b_simd::Params::new().hash_length(8).to_state();
        for f in &functions {
            for i in -4000i32..4000 {
                let y = f.apply(f64::from(i) / 127.0);
                // The sign of what is no number is nobody's.
                hash.update(&if y.is_nan() { u64::MAX } else { y.to_bits() }.to_le_bytes());
            }
        }
        use crate::float::Binary as B;
        for op in [B::Add, B::Sub, B::Mul, B::Div, B::Max, B::Min, B::Pow, B::Rem] {
            for (i, j) in (0..8000).map(|i| (i % 89 - 44, i / 89 - 44)) {
                let y = op.apply(f64::from(i) / 7.0, f64::from(j) / 11.0);
                hash.update(&if y.is_nan() { u64::MAX } else { y.to_bits() }.to_le_bytes());
            }
        }
        assert_eq!(hash.finalize().to_hex().as_str(), "41c0107450a7cb44");
    }

    #[test]
    fn known_values() {
        let near = |f: UnaryFn, x: f64, y: f64| assert!((f.apply(x) - y).abs() < 1e-6, "{} at {x}", f.name());
        near(UnaryFn::GeluErf, 1.0, 0.841_344_7);
        near(UnaryFn::GeluTanh, 1.0, 0.841_192_0);
        near(UnaryFn::Silu, 1.0, 0.731_058_6);
        near(UnaryFn::LeakyRelu(0.5), -3.0, -1.5);
        near(UnaryFn::Sqrt, 4.0, 2.0);
        assert!(UnaryFn::Sqrt.apply(-1.0).is_nan());
        near(UnaryFn::Erf, 0.5, 0.520_499_9);
    }
}

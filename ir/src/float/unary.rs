//! Exact values of the elementwise functions.

use super::UnaryFn;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

impl UnaryFn {
    /// The function at `x`, in double precision.
    pub fn apply(&self, x: f64) -> f64 {
        match self {
            UnaryFn::GeluErf => 0.5 * x * (1.0 + libm::erf(x * FRAC_1_SQRT_2)),
            UnaryFn::GeluTanh => 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
            UnaryFn::Silu => x / (1.0 + (-x).exp()),
            UnaryFn::Relu => x.max(0.0),
            UnaryFn::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    f64::from(*slope) * x
                }
            }
            UnaryFn::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            UnaryFn::Tanh => x.tanh(),
            UnaryFn::Erf => libm::erf(x),
            UnaryFn::Exp => x.exp(),
            UnaryFn::Square => x * x,
            UnaryFn::Sqrt => x.max(0.0).sqrt(),
            UnaryFn::Abs => x.abs(),
            UnaryFn::Ln => x.ln(),
            UnaryFn::Recip => x.recip(),
            UnaryFn::Rsqrt => x.sqrt().recip(),
            UnaryFn::Sign if x == 0.0 => 0.0,
            UnaryFn::Sign => x.signum(),
            UnaryFn::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            UnaryFn::Pow(e) => x.powf(f64::from(*e)),
            UnaryFn::Floor => x.floor(),
            UnaryFn::Ceil => x.ceil(),
            UnaryFn::Round => x.round_ties_even(),
            UnaryFn::Sin => x.sin(),
            UnaryFn::Cos => x.cos(),
            UnaryFn::Formula(formula) => formula.apply(x),
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
            UnaryFn::Formula(_) => "Formula",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let near = |f: UnaryFn, x: f64, y: f64| assert!((f.apply(x) - y).abs() < 1e-6, "{} at {x}", f.name());
        near(UnaryFn::GeluErf, 1.0, 0.841_344_7);
        near(UnaryFn::GeluTanh, 1.0, 0.841_192_0);
        near(UnaryFn::Silu, 1.0, 0.731_058_6);
        near(UnaryFn::LeakyRelu(0.5), -3.0, -1.5);
        near(UnaryFn::Sqrt, -1.0, 0.0);
        near(UnaryFn::Erf, 0.5, 0.520_499_9);
    }
}

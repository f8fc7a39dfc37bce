//! Elementwise functions.

use nanozk_ir::float::{Binary, UnaryFn};

/// A finite number of this magnitude or more stands for infinity: nothing that a model computes changes it by adding.
pub(super) const HUGE: f64 = 1e30;

/// An elementwise function.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Elementwise {
    Unary(UnaryFn),
    Binary(Binary),
    /// The second operand where the first is not 0, else the third.
    Select,
}

impl Elementwise {
    /// Its value.
    pub(super) fn apply(&self, x: &[f64]) -> f64 {
        match (self, x) {
            (Elementwise::Unary(f), &[a]) => f.apply(a),
            (Elementwise::Binary(f), &[a, b]) => f.apply(a, b),
            (Elementwise::Select, &[c, a, b]) => {
                if c == 0.0 {
                    b
                } else {
                    a
                }
            }
            _ => f64::NAN,
        }
    }

    /// Its name in errors.
    pub(super) fn name(&self) -> String {
        match self {
            Elementwise::Unary(f) => f.name().to_owned(),
            Elementwise::Binary(f) => format!("{f:?}"),
            Elementwise::Select => "Select".to_owned(),
        }
    }
}

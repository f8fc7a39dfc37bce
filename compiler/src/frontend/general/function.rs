//! Elementwise functions.

use super::graph::Op;
use nanozk_ir::float::{Binary, UnaryFn};

/// A finite number of this magnitude or more stands for infinity: nothing that a model computes changes it by adding.
pub(super) const HUGE: f64 = 1e30;

/// An elementwise function.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Elementwise {
    Unary(UnaryFn),
    Binary(Binary),
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

    /// The op of a node that computes it.
    pub(super) fn op(&self) -> Op {
        match self {
            Elementwise::Unary(f) => Op::Unary(f.clone()),
            Elementwise::Binary(f) => Op::Binary(*f),
            Elementwise::Select => Op::Select,
        }
    }
}

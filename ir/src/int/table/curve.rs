//! Functions as integers.

use crate::float::UnaryFn;
use crate::int::interp::LIMIT;
use serde::{Deserialize, Serialize};

/// Value i of a table is `round(scale * function(unit * (i - origin)))`, saturated at `limit` on both sides. Double
/// precision throughout, with functions of the pure Rust `libm`: the same integers on every machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The function.
    pub function: UnaryFn,
    /// Entry of argument 0.
    pub origin: i64,
    /// Argument's step from entry to entry.
    pub unit: f64,
    /// What the function's value 1 becomes.
    pub scale: f64,
    /// Greatest magnitude.
    pub limit: i64,
    /// The last value, where it is not that of the function.
    pub last: Option<i64>,
}

impl Curve {
    /// Whether every value is an integer of a model.
    pub fn check(&self) -> bool {
        let value = |v: i64| v.unsigned_abs() < LIMIT.unsigned_abs();
        let origin = self.origin.unsigned_abs() <= 1 << 32;
        let numbers = self.unit.is_finite() && self.scale.is_finite();
        origin && numbers && self.limit >= 0 && value(self.limit) && self.last.is_none_or(value)
    }

    /// Value `i` of `len`.
    pub fn value(&self, len: i64, i: i64) -> i64 {
        match self.last {
            Some(last) if i == len - 1 => last,
            _ => {
                let y = (self.scale * self.function.apply(self.unit * (i - self.origin) as f64)).round();
                // A cast saturates; what is no number becomes 0.
                (y as i64).clamp(-self.limit, self.limit)
            }
        }
    }
}

impl std::fmt::Display for Curve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Curve { function, origin, unit, scale, limit, last } = self;
        write!(f, "round({scale} {function}({unit} (i - {origin}))), at most {limit} in magnitude")?;
        match last {
            Some(last) => write!(f, ", the last {last}"),
            None => Ok(()),
        }
    }
}

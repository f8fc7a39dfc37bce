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
                // A cast saturates; what is no number becomes 0.
                (self.exact(i).round() as i64).clamp(-self.limit, self.limit)
            }
        }
    }

    /// What value `i` is before it is rounded and saturated.
    fn exact(&self, i: i64) -> f64 {
        self.scale * self.function.apply(self.unit * (i - self.origin) as f64)
    }

    /// How much of [`Curve::limit`] value `i` of `len` takes: more than 1 where it saturates, infinite where the function
    /// has no value. A last value that is not the function's takes nothing.
    pub fn load(&self, len: i64, i: i64) -> f64 {
        if self.last.is_some() && i == len - 1 {
            return 0.0;
        }
        let load = self.exact(i).round().abs() / self.limit.max(1) as f64;
        if load.is_nan() { f64::INFINITY } else { load }
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

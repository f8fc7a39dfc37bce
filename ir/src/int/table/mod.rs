//! Lookup tables: values of a named function, or values as they are stated.

pub mod code;
mod curve;

pub use curve::Curve;

use super::interp::LIMIT;
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use std::sync::OnceLock;

/// A lookup table. It reads as a slice of its values, which are computed when they are first needed: verifying a proof
/// needs none of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    rule: Rule,
    #[serde(skip)]
    values: OnceLock<Vec<i64>>,
}

/// What the values of a table are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Rule {
    /// `2^bits` values of a function.
    Curve { bits: u32, curve: Curve },
    /// Any values, by [`code::encode`].
    Stated { len: u32, code: Vec<u8> },
}

impl Table {
    /// The table of `2^bits` values of a function.
    pub fn of(bits: u32, curve: Curve) -> Self {
        Table { rule: Rule::Curve { bits, curve }, values: OnceLock::new() }
    }

    /// The function whose values these are; `None` for values that stand there as they are.
    pub fn curve(&self) -> Option<&Curve> {
        match &self.rule {
            Rule::Curve { curve, .. } => Some(curve),
            Rule::Stated { .. } => None,
        }
    }

    /// Whether it is well formed and has `2^bits` values. Computes none of them.
    pub fn check(&self, bits: u32) -> bool {
        match &self.rule {
            Rule::Curve { bits: own, curve } => *own == bits && curve.check(),
            Rule::Stated { len, code } => {
                bits < u32::BITS && *len == 1 << bits && code::walk(code, *len as usize, |_| ()).is_some()
            }
        }
    }

    /// The last value, which is 0 in tables of weights by distance.
    pub fn last_value(&self) -> Option<i64> {
        match &self.rule {
            Rule::Curve { bits, curve } => 1i64.checked_shl(*bits).map(|len| curve.value(len, len - 1)),
            Rule::Stated { .. } => self.last().copied(),
        }
    }

    /// The values, computed anew and not kept: the tables of a model may be many times the size of its file.
    pub fn compute(&self) -> Vec<i64> {
        match &self.rule {
            Rule::Curve { bits, curve } => {
                let len = 1i64 << bits;
                (0..len).map(|i| curve.value(len, i)).collect()
            }
            // What is malformed was refused by `check`.
            Rule::Stated { len, code } => code::decode(code, *len as usize).unwrap_or_default(),
        }
    }

    /// Bits of the widest of `values` as a signed integer. `None` if one is not a value of an integer model.
    pub fn width(values: &[i64]) -> Option<u32> {
        let magnitudes = values.iter().fold(0, |all, v| all | if *v < 0 { !*v } else { *v });
        let fits = values.iter().all(|v| v.unsigned_abs() < LIMIT.unsigned_abs());
        fits.then_some(i64::BITS + 1 - magnitudes.leading_zeros())
    }
}

impl Deref for Table {
    type Target = [i64];

    fn deref(&self) -> &[i64] {
        self.values.get_or_init(|| self.compute())
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Table) -> bool {
        self.rule == other.rule
    }
}

impl From<Vec<i64>> for Table {
    fn from(values: Vec<i64>) -> Self {
        let rule = Rule::Stated { len: values.len() as u32, code: code::encode(&values) };
        Table { rule, values: OnceLock::from(values) }
    }
}

impl FromIterator<i64> for Table {
    fn from_iter<I: IntoIterator<Item = i64>>(values: I) -> Self {
        values.into_iter().collect::<Vec<i64>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float::UnaryFn;

    fn gelu() -> Curve {
        Curve { function: UnaryFn::GeluErf, origin: 8, unit: 0.25, scale: 100.0, limit: 1 << 40, last: None }
    }

    #[test]
    fn a_curve_is_its_values() {
        let table = Table::of(4, gelu());
        assert_eq!(table.len(), 16);
        assert_eq!((table[0], table[8], table[12], table[15]), (-5, 0, 84, 168));
        assert!(table.check(4) && !table.check(5));
        let stated = Table::from(table.to_vec());
        assert_eq!(*stated, *table);
        assert_ne!(stated, table, "one says what the values are");
        assert_eq!((stated.last_value(), table.last_value()), (Some(168), Some(168)));
        let ended = Table::of(4, Curve { last: Some(0), ..gelu() });
        assert_eq!((ended[14], ended[15], ended.last_value()), (table[14], 0, Some(0)));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for curve in [
            Curve { unit: f64::NAN, ..gelu() },
            Curve { scale: f64::INFINITY, ..gelu() },
            Curve { limit: LIMIT, ..gelu() },
            Curve { limit: -1, ..gelu() },
            Curve { last: Some(LIMIT), ..gelu() },
        ] {
            assert!(!Table::of(4, curve.clone()).check(4), "{curve:?}");
        }
        let mut stated = Table::from(vec![1, 2, 3, 4]);
        assert!(stated.check(2) && !stated.check(1) && !stated.check(34));
        if let Rule::Stated { code, .. } = &mut stated.rule {
            code.push(0);
        }
        assert!(!stated.check(2));
    }

    #[test]
    fn widths() {
        for (values, expected) in [
            (vec![], Some(1)),
            (vec![0, -1], Some(1)),
            (vec![1], Some(2)),
            (vec![127, -128], Some(8)),
            (vec![0, 128], Some(9)),
            (vec![LIMIT - 1, 1 - LIMIT], Some(63)),
            (vec![LIMIT], None),
            (vec![0, -LIMIT], None),
            (vec![i64::MIN, i64::MAX], None),
        ] {
            assert_eq!(Table::width(&values), expected, "{values:?}");
        }
    }
}

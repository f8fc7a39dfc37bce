//! Public constants of the shape.

use super::{Meaning, Misfit, Numbers, Site, operands};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Public structural constants, `rows` = 1 (every token alike) or `tokens`; row-major `[rows, features]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Const {
    /// 1 or the number of tokens.
    pub rows: u32,
    /// Row-major data.
    pub data: Vec<i64>,
}

impl Meaning for Const {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        operands(site, 0)?;
        let rows = self.rows as usize;
        let fits = (rows == 1 || rows == site.tokens) && Some(self.data.len()) == rows.checked_mul(site.features);
        if fits { Ok(()) } else { Err(Misfit::Data) }
    }

    fn eval(&self, site: &Site, _: &Numbers, _: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        Ok(if self.rows == 1 { self.data.repeat(site.tokens) } else { self.data.clone() })
    }

    fn range(&self, site: &Site, _: &Around, _: &[&Range]) -> Result<Range, Unbounded> {
        Ok(Range::of_rows(&self.data, site.features))
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }
}

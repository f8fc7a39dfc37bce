//! Public constants of the layer.

use super::{Meaning, Misfit, Numbers, Site, operands, parameters};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Public per-layer constant: `params[first + j]` for every token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Param {
    /// Index of the first parameter; `features` consecutive ones are read.
    pub first: u32,
}

impl Param {
    fn of<'a>(&self, site: &Site, params: &'a [i64]) -> &'a [i64] {
        &params[self.first as usize..][..site.features]
    }
}

impl Meaning for Param {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        operands(site, 0)?;
        parameters(site, self.first, site.features)
    }

    fn eval(&self, site: &Site, numbers: &Numbers, _: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        Ok(self.of(site, numbers.params).repeat(site.tokens))
    }

    fn range(&self, site: &Site, around: &Around, _: &[&Range]) -> Result<Range, Unbounded> {
        let values = self.of(site, &around.scope.layer.params).to_vec();
        Ok(Range::new(values.clone(), values))
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }
}

//! Range checks.

use super::{Meaning, Misfit, Numbers, Site, elementwise, limbs_fit, requant::in_limbs};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{self, Around, Unbounded};
use serde::{Deserialize, Serialize};

/// Identity that proves `x` in `[-2^(limbs b - 1), 2^(limbs b - 1))`: for private inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range {
    /// Limbs.
    pub limbs: u32,
}

impl Meaning for Range {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        limbs_fit(site, self.limbs).map(drop)
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.map(args[0], |x| in_limbs(x, self.limbs * site.limb_bits).then_some(x).ok_or(x))
    }

    fn range(&self, site: &Site, _: &Around, args: &[&ranges::Range]) -> Result<ranges::Range, Unbounded> {
        let (x, half) = (args[0], 1i64 << (self.limbs * site.limb_bits - 1));
        let lo = x.lo.iter().map(|&v| v.max(-half)).collect();
        let hi = x.hi.iter().map(|&v| v.min(half - 1)).collect();
        Ok(ranges::Range { form: x.form.clone(), ..ranges::Range::new(lo, hi).with_norm(x.norm) })
    }

    fn lookups(&self, site: &Site) -> u64 {
        site.cells() * u64::from(self.limbs)
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::most(operands).max(Sees::Past)
    }

    fn halve(&mut self, own: u32) -> bool {
        self.limbs = own;
        true
    }
}

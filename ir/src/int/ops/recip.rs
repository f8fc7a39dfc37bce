//! Reciprocals.

use super::{Meaning, Misfit, Numbers, Site, elementwise, parameters};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// `r = floor(C / z)` for `z >= 1`, C = `params[param]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Recip {
    /// Index of C.
    pub param: u32,
}

/// Part: `r z`.
pub const PRODUCT: u8 = 0;
/// Part: `C - r z`, in `[0, z)`.
pub const REMAINDER: u8 = 1;
/// Part: `z - 1` less the remainder.
pub const GAP: u8 = 2;

impl Meaning for Recip {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        parameters(site, self.param, 1)
    }

    fn eval(&self, site: &Site, numbers: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let c = numbers.params[self.param as usize];
        site.map(args[0], |z| recip(c, z).ok_or(z))
    }

    fn parts(&self, _: &Site, numbers: &Numbers, args: &[&[i64]], result: &[i64]) -> Vec<Vec<i64>> {
        let c = numbers.params[self.param as usize];
        let of = |part: fn(i64, i64, i64) -> i64| result.iter().zip(args[0]).map(|(&r, &z)| part(c, r, z)).collect();
        vec![of(|_, r, z| r * z), of(|c, r, z| c - r * z), of(|c, r, z| z - 1 - (c - r * z))]
    }

    fn range(&self, _: &Site, around: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let c = around.scope.layer.params[self.param as usize];
        args[0].falling(|z| recip(c, z))
    }

    /// The result, and both remainders of the two inequalities, which are below the operand.
    fn lookups(&self, site: &Site) -> u64 {
        let rest = site.operand(0).map_or(0, |z| site.limbs(z.hi));
        site.cells() * u64::from(site.limbs(site.node.hi) + 2 * rest)
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }
}

/// `floor(c / z)`; `None` unless `c >= 0` and `z >= 1`.
pub fn recip(c: i64, z: i64) -> Option<i64> {
    (c >= 0 && z >= 1).then(|| c / z)
}

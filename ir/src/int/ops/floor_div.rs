//! Division by a public constant.

use super::{Meaning, Misfit, Numbers, Site, elementwise, fault, limbs_fit};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Part: `x - divisor y`, in `[0, divisor)`.
pub const REST: u8 = 0;
/// Part: `divisor - 1` less the rest.
pub const GAP: u8 = 1;

/// `y = floor(x / divisor)` for `divisor >= 1`; y is in `[-2^(limbs b - 1), 2^(limbs b - 1))`.
///
/// The rest of the division is `x - divisor y`, in `[0, divisor)`; rounding up, to the nearest or to 0 are this with
/// something added to x before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FloorDiv {
    /// The divisor.
    pub divisor: i64,
    /// Limbs of the result.
    pub limbs: u32,
}

impl Meaning for FloorDiv {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        limbs_fit(site, self.limbs)?;
        let divisor = 1..1i64 << 62;
        if divisor.contains(&self.divisor) { Ok(()) } else { Err(Misfit::Divisor(self.divisor)) }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            let half = site.reach(self.limbs).unwrap_or(i64::MAX) / 2;
            for (j, (y, &x)) in out.iter_mut().zip(args[0]).enumerate() {
                *y = x.div_euclid(self.divisor);
                if !(-half..half).contains(y) {
                    return Err(fault(j, (*y).into(), -half, half - 1));
                }
            }
            Ok(())
        })
    }

    fn parts(&self, _: &Site, _: &Numbers, args: &[&[i64]], _: &[i64]) -> Vec<Vec<i64>> {
        let rest: Vec<i64> = args[0].iter().map(|x| x.rem_euclid(self.divisor)).collect();
        let gap = rest.iter().map(|rest| self.divisor - 1 - rest).collect();
        vec![rest, gap]
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let half = site.reach(self.limbs).unwrap_or(i64::MAX) / 2;
        let floor = |v: &[i64]| v.iter().map(|x| x.div_euclid(self.divisor)).collect();
        let range = Range::new(floor(&args[0].lo), floor(&args[0].hi));
        match range.bounds() {
            (lo, hi) if lo < -half || hi >= half => {
                Err(Unbounded::Domain { lo, hi, what: format!("quotients lie in [{}, {}]", -half, half - 1) })
            }
            _ => Ok(range),
        }
    }

    fn lookups(&self, site: &Site) -> u64 {
        site.cells() * u64::from(self.limbs + 2 * site.limbs(self.divisor - 1))
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, _: &Graph) -> Option<String> {
        Some(format!("{self:?}"))
    }

    fn halve(&mut self, _: u32) -> bool {
        self.limbs *= 2;
        true
    }
}

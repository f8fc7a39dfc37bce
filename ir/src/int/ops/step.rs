//! Comparison with 0.

use super::{Meaning, Misfit, Numbers, Site, elementwise, fault, limbs_fit};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Part: `x - 2^(limbs b) (y - 1)`, in `[0, 2^(limbs b))`.
pub const REST: u8 = 0;

/// `y = 1` where `x >= 0`, else 0, for x in `[-2^(limbs b), 2^(limbs b))`.
///
/// `a <= b` is the step of `b - a`, `a < b` that of `b - a - 1`, and `a == b` of integers is
/// `step(a - b) + step(b - a) - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// Limbs of the magnitude.
    pub limbs: u32,
}

impl Meaning for Step {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        limbs_fit(site, self.limbs).map(drop)
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
            for (j, (y, &x)) in out.iter_mut().zip(args[0]).enumerate() {
                if !(-reach..reach).contains(&x) {
                    return Err(fault(j, x.into(), -reach, reach - 1));
                }
                *y = i64::from(x >= 0);
            }
            Ok(())
        })
    }

    fn parts(&self, site: &Site, _: &Numbers, args: &[&[i64]], _: &[i64]) -> Vec<Vec<i64>> {
        let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
        vec![args[0].iter().map(|x| x.rem_euclid(reach)).collect()]
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (lo, hi) = args[0].bounds();
        let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
        if lo < -reach || hi >= reach {
            return Err(Unbounded::Domain { lo, hi, what: format!("magnitudes stay below {reach}") });
        }
        let step = |v: &[i64]| v.iter().map(|&x| i64::from(x >= 0)).collect();
        Ok(Range::new(step(&args[0].lo), step(&args[0].hi)))
    }

    fn lookups(&self, site: &Site) -> u64 {
        site.cells() * u64::from(self.limbs)
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

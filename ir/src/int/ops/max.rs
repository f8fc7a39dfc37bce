//! The greatest of a group.

use super::{Meaning, Misfit, Numbers, Site, equal_groups, fault, limbs_fit};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Part: the greatest of the group less the feature, as wide as the operand.
pub const DISTANCE: u8 = 0;
/// Part: 1 at the first of the greatest features of each group, else 0, as wide as the operand.
pub const IS_MAX: u8 = 1;

/// `y[g] = max of x[g w .. (g + 1) w]`: the operand's features are `groups` equal groups of w. The greatest less any other
/// of its group is in `[0, 2^(limbs b))`. The least is minus the greatest of the negated features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Max {
    /// Groups.
    pub groups: u32,
    /// Limbs of the differences.
    pub limbs: u32,
}

impl Meaning for Max {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        equal_groups(site, self.groups)?;
        limbs_fit(site, self.limbs)?;
        if site.features == self.groups as usize { Ok(()) } else { Err(Misfit::FeaturePerGroup) }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            let width = site.widths[0] / self.groups as usize;
            for (g, (y, group)) in out.iter_mut().zip(args[0].chunks_exact(width)).enumerate() {
                *y = group.iter().copied().fold(i64::MIN, i64::max);
                spread(site, self.limbs, g * width, group)?;
            }
            Ok(())
        })
    }

    fn parts(&self, site: &Site, _: &Numbers, args: &[&[i64]], _: &[i64]) -> Vec<Vec<i64>> {
        let width = site.widths[0] / self.groups as usize;
        let (mut distance, mut is_max) = (Vec::new(), Vec::new());
        for group in args[0].chunks_exact(width) {
            let max = group.iter().copied().fold(i64::MIN, i64::max);
            let winner = group.iter().position(|&x| x == max);
            distance.extend(group.iter().map(|x| max - x));
            is_max.extend((0..width).map(|j| i64::from(Some(j) == winner)));
        }
        vec![distance, is_max]
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let width = site.widths[0] / self.groups as usize;
        bounded_spread(site, self.limbs, width, args[0])?;
        let greatest = |v: &[i64]| v.chunks_exact(width).map(|g| g.iter().copied().fold(i64::MIN, i64::max)).collect();
        Ok(Range::new(greatest(&args[0].lo), greatest(&args[0].hi)).with_norm(args[0].norm))
    }

    fn lookups(&self, site: &Site) -> u64 {
        site.cells_of(0) * u64::from(self.limbs)
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

/// Whether all differences from the greatest of a group fit their limbs; the group begins at feature `first`.
pub(super) fn spread(site: &Site, limbs: u32, first: usize, group: &[i64]) -> Result<(), Fault> {
    let reach = i128::from(site.reach(limbs).unwrap_or(i64::MAX));
    let max = group.iter().copied().fold(i64::MIN, i64::max);
    let gap = |x: i64| i128::from(max) - i128::from(x);
    match group.iter().position(|&x| gap(x) >= reach) {
        Some(j) => Err(fault(first + j, gap(group[j]), 0, (reach - 1) as i64)),
        None => Ok(()),
    }
}

/// Whether all differences within groups of `width` features fit their limbs.
pub(super) fn bounded_spread(site: &Site, limbs: u32, width: usize, x: &Range) -> Result<(), Unbounded> {
    let reach = i128::from(site.reach(limbs).unwrap_or(i64::MAX));
    for (lo, hi) in x.lo.chunks_exact(width).zip(x.hi.chunks_exact(width)) {
        let lo = lo.iter().copied().fold(i64::MAX, i64::min);
        let hi = hi.iter().copied().fold(i64::MIN, i64::max);
        if i128::from(hi) - i128::from(lo) >= reach {
            return Err(Unbounded::Domain { lo, hi, what: format!("differences stay below {reach}") });
        }
    }
    Ok(())
}

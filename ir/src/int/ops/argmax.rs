//! Places of greatest features.

use super::rows::par_rows;
use super::{Meaning, Misfit, Numbers, Site, limbs_fit};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded, narrow};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `out[t, g] =` the lowest index, within the group, of the greatest feature of group g: the operand's features are
/// `groups` equal groups. The greatest less any other of its group is in `[0, 2^(limbs b))`. With two operands of one
/// width it is that of their sum, the scores and their noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArgMax {
    /// Groups.
    pub groups: u32,
    /// Limbs of the differences.
    pub limbs: u32,
}

/// Part: the greatest of each group.
pub const MAX: u8 = 0;
/// Part: `max - x`, as wide as the operand.
pub const DISTANCE: u8 = 1;
/// Part: 1 at the winner, as wide as the operand.
pub const IS_MAX: u8 = 2;
/// Part: 1 at indices below the winner.
pub const BELOW: u8 = 3;
/// Part: the distance less [`BELOW`].
pub const EXCESS: u8 = 4;

impl Meaning for ArgMax {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        limbs_fit(site, self.limbs)?;
        let width = match site.widths[..] {
            [x] => x,
            [x, noise] if x == noise => x,
            _ => return Err(Misfit::NotOneWidth),
        };
        let equal = site.features == self.groups as usize && width > 0 && width.is_multiple_of(site.features);
        if equal { Ok(()) } else { Err(Misfit::Groups { width, groups: self.groups }) }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let (features, groups) = (site.widths[0], self.groups as usize);
        let (width, x) = (features / groups, sum(args));
        let limit = (1i128 << (self.limbs * site.limb_bits)) as i64 - 1;
        par_rows(site.tokens, groups, |t, out| {
            for (g, (winner, group)) in out.iter_mut().zip(x[t * features..].chunks_exact(width)).enumerate() {
                let (best, gaps) = row(group);
                if let Some(j) = gaps.iter().position(|&gap| gap > limit) {
                    return Err(Fault { token: t, feature: g * width + j, value: gaps[j].into(), lo: 0, hi: limit });
                }
                *winner = best as i64;
            }
            Ok(())
        })
    }

    fn parts(&self, site: &Site, _: &Numbers, args: &[&[i64]], winners: &[i64]) -> Vec<Vec<i64>> {
        let mut parts = vec![Vec::new(); 5];
        let x = sum(args);
        for (x, &winner) in x.chunks_exact(site.widths[0] / self.groups as usize).zip(winners) {
            let gaps = row(x).1;
            parts[usize::from(MAX)].push(x[0] + gaps[0]);
            for (i, gap) in (0..).zip(gaps) {
                let below = i64::from(i < winner);
                for (part, value) in
                    [(DISTANCE, gap), (IS_MAX, i64::from(i == winner)), (BELOW, below), (EXCESS, gap - below)]
                {
                    parts[usize::from(part)].push(value);
                }
            }
        }
        parts
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (groups, bits) = (self.groups as usize, self.limbs * site.limb_bits);
        let features = args[0].lo.len();
        let width = features / groups;
        let sum = |end: fn(&Range) -> &[i64]| -> Result<Vec<i64>, Unbounded> {
            (0..features).map(|j| narrow(args.iter().map(|x| i128::from(end(x)[j])).sum())).collect()
        };
        let (lo, hi) = (sum(|x| &x.lo)?, sum(|x| &x.hi)?);
        for (lo, hi) in lo.chunks_exact(width).zip(hi.chunks_exact(width)) {
            let (lo, hi) = (lo.iter().copied().fold(i64::MAX, i64::min), hi.iter().copied().fold(i64::MIN, i64::max));
            if i128::from(hi) - i128::from(lo) >= 1 << bits {
                return Err(Unbounded::Domain { lo, hi, what: format!("differences have {bits} bits") });
            }
        }
        Ok(Range::uniform(groups, 0, width as i64 - 1))
    }

    fn choices(&self) -> Option<u32> {
        Some(self.groups)
    }

    fn lookups(&self, site: &Site) -> u64 {
        site.cells_of(0) * u64::from(self.limbs)
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, _: &Graph) -> Option<String> {
        Some(format!("argmax in {} groups", self.groups))
    }

    fn halve(&mut self, _: u32) -> bool {
        self.limbs *= 2;
        true
    }
}

/// The lowest index of the largest value and the differences `max - x_j >= 0`.
pub fn row(x: &[i64]) -> (usize, Vec<i64>) {
    let mut best = 0;
    for (j, v) in x.iter().enumerate() {
        if *v > x[best] {
            best = j;
        }
    }
    let max = x.get(best).copied().unwrap_or(0);
    (best, x.iter().map(|v| max - v).collect())
}

/// The operand, or the sum of both.
pub fn sum<'x>(args: &[&'x [i64]]) -> Cow<'x, [i64]> {
    match *args {
        [x, noise] => x.iter().zip(noise).map(|(x, noise)| x.saturating_add(*noise)).collect(),
        _ => Cow::Borrowed(args.first().copied().unwrap_or_default()),
    }
}

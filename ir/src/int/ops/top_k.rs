//! The greatest features of a group, in order.

use super::{Meaning, Misfit, Numbers, Site, equal_groups, fault, limbs_fit};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Part: for each rank of each group a bit per feature of the group, 1 at the one taken.
pub const MARKS: u8 = 0;
/// Part: for each rank of each group but the last, its key less the next rank's, less 1. Keys are `w x - index`.
pub const DESCENT: u8 = 1;
/// Part: for each feature the last rank's key less its own, less 1, and `2^(limbs b)` more where it is taken.
pub const REST: u8 = 2;

/// The k greatest features of each of `groups` equal groups of w, descending, and of equal ones the lowest index first;
/// with one token. The result has `2 groups k` features: all values `y[g k + r]`, then all indices within the group.
/// `w (greatest - least + 1)` of every group is at most `2^(limbs b)`. With `k = w` this sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TopK {
    /// Groups.
    pub groups: u32,
    /// Features taken from each group.
    pub k: u32,
    /// Limbs of the differences of keys `w x - index`.
    pub limbs: u32,
}

impl Meaning for TopK {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        let width = equal_groups(site, self.groups)?;
        limbs_fit(site, self.limbs)?;
        if site.tokens != 1 {
            return Err(Misfit::SortOfTokens);
        }
        if self.k == 0 || self.k as usize > width {
            return Err(Misfit::Kept { k: self.k, width });
        }
        let wanted = 2 * self.groups as usize * self.k as usize;
        if site.features == wanted { Ok(()) } else { Err(Misfit::ResultWidth(wanted)) }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            let width = site.widths[0] / self.groups as usize;
            let (values, indices) = out.split_at_mut(self.groups as usize * self.k as usize);
            for (g, group) in args[0].chunks_exact(width).enumerate() {
                let order = order(group);
                let (least, most) = (group[order[width - 1]], group[order[0]]);
                let span = (i128::from(most) - i128::from(least) + 1) * width as i128;
                let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
                if span > reach.into() {
                    return Err(fault(g * width, span, 1, reach));
                }
                for (r, &j) in order.iter().take(self.k as usize).enumerate() {
                    (values[g * self.k as usize + r], indices[g * self.k as usize + r]) = (group[j], j as i64);
                }
            }
            Ok(())
        })
    }

    fn parts(&self, site: &Site, _: &Numbers, args: &[&[i64]], result: &[i64]) -> Vec<Vec<i64>> {
        let (k, width) = (self.k as usize, site.widths[0] / self.groups as usize);
        let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
        let (mut marks, mut descent, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        let key = |value: i64, index: i64| value.wrapping_mul(width as i64).wrapping_sub(index);
        let (values, indices) = result.split_at(result.len() / 2);
        for (group, (values, indices)) in
            args[0].chunks_exact(width).zip(values.chunks_exact(k).zip(indices.chunks_exact(k)))
        {
            marks.extend(indices.iter().flat_map(|&taken| (0..width as i64).map(move |j| i64::from(j == taken))));
            let keys: Vec<i64> = values.iter().zip(indices).map(|(&value, &index)| key(value, index)).collect();
            descent.extend(keys.windows(2).map(|pair| pair[0].wrapping_sub(pair[1]) - 1));
            let below = |(j, &x): (usize, &i64)| {
                let taken = indices.contains(&(j as i64));
                keys[k - 1].wrapping_sub(key(x, j as i64)) - 1 + if taken { reach } else { 0 }
            };
            rest.extend(group.iter().enumerate().map(below));
        }
        vec![marks, descent, rest]
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let width = site.widths[0] / self.groups as usize;
        let (mut lo, mut hi) = (Vec::new(), Vec::new());
        for (least, most) in args[0].lo.chunks_exact(width).zip(args[0].hi.chunks_exact(width)) {
            // The r-th greatest grows with every feature.
            let sorted = |v: &[i64]| {
                let mut v = v.to_vec();
                v.sort_unstable_by_key(|x| std::cmp::Reverse(*x));
                v
            };
            let (least, most) = (sorted(least), sorted(most));
            let span = (i128::from(most[0]) - i128::from(least[width - 1]) + 1) * width as i128;
            let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
            if span > reach.into() {
                let what = format!("{width} times the number of values is at most {reach}");
                return Err(Unbounded::Domain { lo: least[width - 1], hi: most[0], what });
            }
            lo.extend_from_slice(&least[..self.k as usize]);
            hi.extend_from_slice(&most[..self.k as usize]);
        }
        let indices = self.groups as usize * self.k as usize;
        lo.extend(vec![0; indices]);
        hi.extend(vec![width as i64 - 1; indices]);
        Ok(Range::new(lo, hi))
    }

    fn lookups(&self, site: &Site) -> u64 {
        (site.cells_of(0) + u64::from(self.groups * (self.k - 1))) * u64::from(self.limbs)
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

/// Indices from the greatest feature to the least, of equal ones the lowest first.
fn order(group: &[i64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..group.len()).collect();
    order.sort_by_key(|&j| (std::cmp::Reverse(group[j]), j));
    order
}

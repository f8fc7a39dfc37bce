//! Softmax before its division.

use super::requant::round_shift;
use super::rows::par_rows;
use super::{Meaning, Misfit, Numbers, Op, Site, affine::Term, elementwise};
use crate::float::HIDING;
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Unnormalised softmax over each of several groups of consecutive features: `keys[g]` of them belong to group g.
/// With `s = floor((x + 2^(S-1)) / 2^S)`, `S = limbs * b`, and `m[t, g]` the greatest s among the visible keys of
/// the group, the result is `table[min(m - s, 2^b - 1)]` at visible keys and 0 elsewhere. `table[2^b - 1]` must
/// be 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attend {
    /// Features of each group, at least 1; the operand has as many features as they add up to.
    pub keys: Vec<u32>,
    /// Index into the layer's tables: `2^b` entries over the distance from the maximum.
    pub table: u32,
    /// Limbs dropped from the raw score.
    pub limbs: u32,
    /// Limbs that hold `m - s - min(m - s, 2^b - 1)`; 0 when that is impossible.
    pub over_limbs: u32,
    /// Whether key u of a group is visible only for `u <= t`; every group then has T keys. Otherwise all are.
    pub causal: bool,
}

/// Part: the greatest shifted score of each group.
pub const MAX: u8 = 0;
/// Part: `x + 2^(S-1) - 2^S s`, in `[0, 2^S)`.
pub const REMAINDER: u8 = 1;
/// Part: `d = min(m - s, 2^b - 1)`.
pub const DISTANCE: u8 = 2;
/// Part: `m - s - d`; any integer where the key is hidden.
pub const OVER: u8 = 3;
/// Part: 1 at the lowest index of the maximum.
pub const IS_MAX: u8 = 4;

impl Attend {
    /// How many keys token `token` sees of a group of `keys`.
    fn visible(&self, token: usize, keys: usize) -> usize {
        if self.causal { token + 1 } else { keys }
    }
}

impl Meaning for Attend {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        if self.table >= site.graph.tables {
            return Err(Misfit::Table);
        }
        if site.reach(self.limbs).is_none() || site.reach(self.over_limbs).is_none() {
            return Err(Misfit::LimbCounts);
        }
        elementwise(site)?;
        let total: u64 = self.keys.iter().map(|&keys| u64::from(keys)).sum();
        if self.keys.contains(&0) || total != site.features as u64 {
            return Err(Misfit::KeyGroups);
        }
        let all = self.keys.iter().all(|&keys| keys as usize == site.tokens);
        if self.causal && !all { Err(Misfit::CausalKeys) } else { Ok(()) }
    }

    fn check_tables(&self, tables: &[crate::int::Table]) -> Result<(), Misfit> {
        let last = tables[self.table as usize].last_value();
        if last == Some(0) { Ok(()) } else { Err(Misfit::TableEnd) }
    }

    fn eval(&self, site: &Site, numbers: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let (features, table) = (site.features, &numbers.tables[self.table as usize]);
        let limit = (1i128 << (self.over_limbs * site.limb_bits)) as i64 - 1;
        par_rows(site.tokens, features, |t, out| {
            for group in groups(&self.keys) {
                let (first, visible) = (group.start, self.visible(t, group.len()));
                let x = &args[0][t * features..][group.clone()];
                let cells = attend_row(x, visible, table, self.limbs * site.limb_bits);
                if let Some(u) = cells.over.iter().position(|&o| o > limit) {
                    let value = cells.over[u].into();
                    return Err(Fault { token: t, feature: first + u, value, lo: 0, hi: limit });
                }
                out[group].copy_from_slice(&cells.weight);
            }
            Ok(())
        })
    }

    /// Cells of hidden pairs absorb the raw score.
    fn parts(&self, site: &Site, numbers: &Numbers, args: &[&[i64]], _: &[i64]) -> Vec<Vec<i64>> {
        let (table, shift) = (&numbers.tables[self.table as usize], self.limbs * site.limb_bits);
        let top = table.len() as i64 - 1;
        let mut parts = vec![Vec::new(); 5];
        let rows = args[0].chunks_exact(site.features).enumerate();
        for (token, scores) in rows.flat_map(|(token, row)| groups(&self.keys).map(move |group| (token, &row[group]))) {
            let visible = self.visible(token, scores.len());
            let row = attend_row(scores, visible, table, shift);
            let winner = row.shifted[..visible].iter().position(|&s| s == row.max);
            parts[usize::from(MAX)].push(row.max);
            for (u, &score) in scores.iter().enumerate() {
                let (shifted, remainder) = round_shift(score, shift);
                let (distance, over) =
                    if u < visible { (row.distance[u], row.over[u]) } else { (top, row.max - shifted - top) };
                let is_max = i64::from(Some(u) == winner);
                for (part, value) in [(REMAINDER, remainder), (DISTANCE, distance), (OVER, over), (IS_MAX, is_max)] {
                    parts[usize::from(part)].push(value);
                }
            }
        }
        parts
    }

    fn range(&self, site: &Site, around: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (x, table) = (args[0], &around.scope.layer.tables[self.table as usize]);
        let [shift, over_bits] = [self.limbs, self.over_limbs].map(|limbs| limbs * site.limb_bits);
        let (lo, hi) = x.bounds();
        let gap = spread(x, &self.keys) / f64::from(shift).exp2() + 1.0;
        let most = table.len() as f64 - 1.0 + f64::from(over_bits).exp2() - 1.0;
        if gap > most {
            let what = format!("distances up to {gap:.0} are possible, table and over limbs hold {most:.0}");
            return Err(Unbounded::Domain { lo, hi, what });
        }
        let least = table.iter().copied().min().unwrap_or(0).min(0);
        let greatest = table.iter().copied().max().unwrap_or(0);
        Ok(Range::uniform(x.lo.len(), least, greatest))
    }

    /// Groups whose scores are all as low as what a mask hides, in the units of the table, though no mask of bits hides them:
    /// floats of 32 bits round such scores, and what else a mask of constants hid was left out.
    fn saturated(&self, site: &Site, numbers: &Numbers, values: &[Vec<i64>]) -> Option<(usize, f64)> {
        let curve = numbers.tables[self.table as usize].curve()?;
        let table = f64::from(self.limbs * site.limb_bits).exp2();
        let least = -(HIDING / curve.unit).abs() * table;
        // What a mask of bits takes from a score is a table's reach, or as much as it hides by.
        let takes = |term: &Term| term.coef.unsigned_abs() as f64 >= (0.99 * -least).min(table * table);
        if matches!(&site.operand(0)?.op, Op::Affine(sum) if sum.rows.iter().flatten().any(takes)) {
            return Some((0, 0.0));
        }
        let mut low = 0;
        for (token, row) in values[site.node.inputs[0] as usize].chunks_exact(site.features).enumerate() {
            for group in groups(&self.keys) {
                let seen = &row[group.start..group.start + self.visible(token, group.len())];
                let all = seen.iter().all(|&x| (x as f64) <= least);
                low += if all { group.len() } else { 0 };
            }
        }
        Some((low, if low > 0 { f64::INFINITY } else { 0.0 }))
    }

    fn lookups(&self, site: &Site) -> u64 {
        let tokens = site.tokens as u64;
        let pairs = if self.causal { tokens * (tokens + 1) / 2 * self.keys.len() as u64 } else { site.cells() };
        pairs * u64::from(self.limbs + 1 + self.over_limbs)
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        if self.causal && Sees::most(operands) < Sees::All { Sees::Hiding } else { Sees::apart(operands) }
    }

    fn is_free(&self, site: &Site, part: u8, token: usize, feature: usize) -> bool {
        self.causal && part == OVER && feature % site.tokens > token
    }

    fn summary(&self, _: &Graph) -> Option<String> {
        Some(format!("softmax, {}", if self.causal { "causal" } else { "over all keys" }))
    }

    fn halve(&mut self, _: u32) -> bool {
        false
    }
}

/// The cells of one softmax row (one token, one head). Every vector has one entry per key; entries of invisible keys
/// are 0. For visible ones `max - shifted = distance + over`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttendRow {
    /// Largest shifted score among the visible keys.
    pub max: i64,
    /// Shifted scores.
    pub shifted: Vec<i64>,
    /// Table indices `min(max - shifted, table.len() - 1)`.
    pub distance: Vec<i64>,
    /// What the table's end took away, `>= 0`; non-zero only where `distance` is the last index.
    pub over: Vec<i64>,
    /// Table values.
    pub weight: Vec<i64>,
}

/// Computes one softmax row from raw scores `x` of which the first `visible >= 1` keys are visible.
pub fn attend_row(x: &[i64], visible: usize, table: &[i64], shift: u32) -> AttendRow {
    let n = x.len();
    let zeros = || vec![0i64; n];
    let mut row = AttendRow { max: i64::MIN, shifted: zeros(), distance: zeros(), over: zeros(), weight: zeros() };
    for (u, &v) in x.iter().enumerate().take(visible) {
        row.shifted[u] = round_shift(v, shift).0;
        row.max = row.max.max(row.shifted[u]);
    }
    for u in 0..visible.min(n) {
        let full = row.max - row.shifted[u];
        row.distance[u] = full.min(table.len() as i64 - 1);
        row.over[u] = full - row.distance[u];
        row.weight[u] = table[row.distance[u] as usize];
    }
    row
}

/// The features of each group when group g has `keys[g]` of them.
pub fn groups(keys: &[u32]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    keys.iter().scan(0, |end, &n| {
        let start = *end;
        *end += n as usize;
        Some(start..*end)
    })
}

/// Largest difference between two raw scores of one token and group; group g has `keys[g]` features.
pub fn spread(x: &Range, keys: &[u32]) -> f64 {
    let gap = |group: std::ops::Range<usize>| {
        let lo = x.lo[group.clone()].iter().min().copied().unwrap_or(0);
        let hi = x.hi[group].iter().max().copied().unwrap_or(0);
        hi as f64 - lo as f64
    };
    let widest = groups(keys).map(gap).fold(0.0, f64::max);
    x.spread.map_or(widest, |s| s.min(widest))
}

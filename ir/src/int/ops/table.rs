//! Functions of one number, as tables.

use super::{Meaning, Misfit, Numbers, Site, elementwise};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// `y = table[x + 2^(b-1)]` for x in `[-2^(b-1), 2^(b-1))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Table {
    /// Index into the layer's tables, each of `2^b` entries.
    pub table: u32,
}

impl Meaning for Table {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        if self.table < site.graph.tables { Ok(()) } else { Err(Misfit::Table) }
    }

    fn eval(&self, site: &Site, numbers: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let table: &[i64] = &numbers.tables[self.table as usize];
        let half = (table.len() / 2) as i128;
        site.map(args[0], |x| usize::try_from(i128::from(x) + half).ok().and_then(|i| table.get(i).copied()).ok_or(x))
    }

    fn range(&self, _: &Site, around: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (x, table) = (args[0], &around.scope.layer.tables[self.table as usize]);
        let half = (table.len() / 2) as i64;
        let (lo, hi) = x.bounds();
        if lo < -half || hi >= half {
            return Err(Unbounded::Domain { lo, hi, what: format!("the table covers [{}, {}]", -half, half - 1) });
        }
        // Many features have the same interval.
        let mut known = HashMap::new();
        let ends = |j: usize| {
            *known.entry((x.lo[j], x.hi[j])).or_insert_with(|| {
                let part = &table[(x.lo[j] + half) as usize..=(x.hi[j] + half) as usize];
                (part.iter().copied().min().unwrap_or(0), part.iter().copied().max().unwrap_or(0))
            })
        };
        let (out_lo, out_hi) = (0..x.lo.len()).map(ends).unzip();
        let zero = table[half as usize];
        let slope = (lo..=hi)
            .filter(|&i| i != 0)
            .map(|i| (table[(i + half) as usize] - zero).unsigned_abs() as f64 / i.unsigned_abs() as f64);
        let norm = slope.fold(0.0, f64::max) * x.norm + zero.unsigned_abs() as f64 * (x.lo.len() as f64).sqrt();
        Ok(Range::new(out_lo, out_hi).with_norm(norm))
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::most(operands).max(Sees::Past)
    }

    fn saturated(&self, site: &Site, numbers: &Numbers, values: &[Vec<i64>]) -> Option<(usize, f64)> {
        let x = &values[site.node.inputs[0] as usize];
        let curve = numbers.tables[self.table as usize].curve()?;
        let half = 1 << (site.limb_bits - 1);
        let mut known = HashMap::new();
        let mut load = |&x: &i64| *known.entry(x).or_insert_with(|| curve.load(2 * half, x + half));
        let loads: Vec<f64> = x.iter().map(&mut load).collect();
        Some((loads.iter().filter(|load| **load > 1.0).count(), loads.iter().copied().fold(0.0, f64::max)))
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn halve(&mut self, _: u32) -> bool {
        false
    }
}

//! Rows of a table for ids of which each lies in a stretch of its own, as the nodes of one tree among many do.
//!
//! Each id chooses among the rows of its stretch alone: a one-hot vector of that length, times the entries of the stretch,
//! summed. A choice among all rows of the table costs a cell for each row and id.

use super::{Lowering, QuantiseError};
use crate::quantise::builder::term;
use nanozk_ir::int::{self, ops::OneHot};

/// Where the ids lie.
pub(super) struct Stretches {
    /// Least id at each position.
    first: Vec<i64>,
    /// Ids from there, at all positions alike.
    len: usize,
}

impl Lowering<'_> {
    /// The stretches of `ids` into a table of `vocab` rows of `n` entries, where they cost less than the whole table.
    pub(super) fn stretches_of(&self, ids: int::ValueId, vocab: usize, n: usize) -> Option<Stretches> {
        let ends = (0..self.b.features(ids)).map(|p| {
            let ranges = (0..self.layers()).map(|g| self.b.range(g, ids));
            ranges.fold((i64::MAX, i64::MIN), |(lo, hi), range| (lo.min(range.lo[p]), hi.max(range.hi[p])))
        });
        let ends: Vec<(i64, i64)> = ends.collect();
        if ends.iter().any(|&(lo, hi)| lo < 0 || hi >= vocab as i64) {
            return None;
        }
        let len = ends.iter().map(|(lo, hi)| (hi - lo + 1) as usize).max()?;
        // A cell of the vector, and one of each product.
        (len * (n + 1) < vocab).then(|| Stretches { first: ends.into_iter().map(|end| end.0).collect(), len })
    }

    /// What [`int::ops::Embed`] gives for one matrix of `n` columns per layer.
    pub(super) fn embed_stretches(
        &mut self,
        name: &str,
        ids: int::ValueId,
        tables: &[Vec<i32>],
        n: usize,
        stretches: &Stretches,
    ) -> Result<int::ValueId, QuantiseError> {
        let Stretches { first, len } = stretches;
        let (positions, len) = (first.len(), *len);
        let op = int::ops::Const { rows: 1, data: first.clone() }.into();
        let start = self.push(format!("{name}.first"), op, &[], positions)?;
        let within = self.b.combine(format!("{name}.within"), (ids, 1), (start, -1))?;
        let one_hot = OneHot { depth: len as u32 };
        let mut chosen = self.push(format!("{name}.chosen"), one_hot.into(), &[within], positions * len)?;
        let cells: Vec<(usize, usize, usize)> =
            (0..positions).flat_map(|p| (0..n).flat_map(move |c| (0..len).map(move |i| (p, c, i)))).collect();
        if n > 1 {
            let picks: Vec<usize> = cells.iter().map(|(p, _, i)| p * len + i).collect();
            chosen = self.b.pick(format!("{name}.repeated"), chosen, &picks)?;
        }
        // A stretch that is shorter than others, at the end of the table, is filled up with 0.
        let entry = |table: &[i32], &(p, c, i): &(usize, usize, usize)| {
            table.get((first[p] as usize + i) * n + c).copied().unwrap_or(0)
        };
        let entries = tables.iter().map(|table| cells.iter().map(|cell| entry(table, cell)).collect()).collect();
        let weight = self.b.weight(cells.len(), 1, entries);
        let op = int::ops::Diagonal { weight, bias: None, positions: 1 }.into();
        let products = self.push(format!("{name}.entries"), op, &[chosen], cells.len())?;
        let rows = (0..positions * n).map(|out| (0..len).map(|i| term(0, out * len + i, 1)).collect()).collect();
        self.push(name.to_string(), int::ops::Affine { rows }.into(), &[products], positions * n)
    }
}

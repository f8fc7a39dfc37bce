//! Rows of a hidden table by id.

use super::{Meaning, Misfit, Numbers, Site, matrix, matrix_in_words, operands, rows::par_rows};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// `raw[t, p n + j] = table[id[t, p], j]`; `weight` is `[vocab, n]`. The operand's features are ids in
/// `[0, vocab)`, one for each of its positions p.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Embed {
    /// Index into the layer's weights.
    pub weight: u32,
    /// Rows of the table.
    pub vocab: u32,
}

/// Part: 1 at the id of each position, `[tokens, positions * vocab]`.
pub const IS_ID: u8 = 0;

impl Meaning for Embed {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        operands(site, 1)?;
        let (n, ids) = (site.features, site.widths[0]);
        if ids == 0 || !n.is_multiple_of(ids) {
            return Err(Misfit::RowPerId);
        }
        matrix(site, self.weight, self.vocab as usize, n / ids)
    }

    fn eval(&self, site: &Site, numbers: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let (ids, table) = (args[0], &numbers.weights[self.weight as usize]);
        let (positions, last) = (site.widths[0], i64::from(self.vocab) - 1);
        let n = site.features / positions;
        par_rows(site.tokens, site.features, |token, row| {
            for (p, row) in row.chunks_exact_mut(n).enumerate() {
                let id = ids[token * positions + p];
                if !(0..=last).contains(&id) {
                    return Err(Fault { token, feature: p, value: id.into(), lo: 0, hi: last });
                }
                for (o, &w) in row.iter_mut().zip(&table[id as usize * n..]) {
                    *o = w.into();
                }
            }
            Ok(())
        })
    }

    fn parts(&self, _: &Site, _: &Numbers, args: &[&[i64]], _: &[i64]) -> Vec<Vec<i64>> {
        let marks = |&id: &i64| (0..i64::from(self.vocab)).map(move |v| i64::from(v == id));
        vec![args[0].iter().flat_map(marks).collect()]
    }

    fn range(&self, site: &Site, around: &Around, _: &[&Range]) -> Result<Range, Unbounded> {
        let (positions, table) = (site.widths[0], &around.scope.layer.weights[self.weight as usize]);
        Ok(Range::of_rows(table, site.features / positions).repeated(positions))
    }

    fn weights(&self) -> Vec<u32> {
        vec![self.weight]
    }

    fn ids(&self) -> Option<u32> {
        Some(self.vocab)
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, graph: &Graph) -> Option<String> {
        Some(format!("embedding of {} ids, {}", self.vocab, matrix_in_words(graph, self.weight)?))
    }
}

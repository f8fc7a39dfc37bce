//! Hidden constants.

use super::{Meaning, Misfit, Numbers, Site, matrix, matrix_in_words, operands};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// `raw[t, j] = w[t, j]`, or `w[0, j]` for every token: hidden constants; `weight` is `[tokens, features]` or
/// `[1, features]`. No operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenBias {
    /// Index into the layer's weights.
    pub weight: u32,
}

impl Meaning for TokenBias {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        operands(site, 0)?;
        let of = |rows| matrix(site, self.weight, rows, site.features);
        of(1).or_else(|_| of(site.tokens))
    }

    fn eval(&self, site: &Site, numbers: &Numbers, _: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let rows = numbers.weights[self.weight as usize].iter();
        Ok(rows.map(|&v| v.into()).cycle().take(site.tokens * site.features).collect())
    }

    fn range(&self, site: &Site, around: &Around, _: &[&Range]) -> Result<Range, Unbounded> {
        Ok(Range::of_rows(&around.scope.layer.weights[self.weight as usize], site.features))
    }

    fn weights(&self) -> Vec<u32> {
        vec![self.weight]
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, graph: &Graph) -> Option<String> {
        let one = graph.weights.get(self.weight as usize)?.0 == 1;
        let what = if one { "constants" } else { "position embedding" };
        Some(format!("{what}, {}", matrix_in_words(graph, self.weight)?))
    }
}

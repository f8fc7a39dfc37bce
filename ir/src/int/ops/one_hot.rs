//! Indices as vectors.

use super::{Meaning, Misfit, Numbers, Site, fault};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// `y[j depth + i] = 1` where `x[j] = i`, else 0, for indices x in `[0, depth)`. Times a matrix it gathers by values that
/// are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OneHot {
    /// Number of indices.
    pub depth: u32,
}

impl Meaning for OneHot {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        match site.widths[..] {
            [width] if self.depth > 0 && width.checked_mul(self.depth as usize) == Some(site.features) => Ok(()),
            _ => Err(Misfit::Depth(self.depth)),
        }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            for (j, (bits, &x)) in out.chunks_exact_mut(self.depth as usize).zip(args[0]).enumerate() {
                let bit = usize::try_from(x).ok().and_then(|i| bits.get_mut(i));
                *bit.ok_or_else(|| fault(j, x.into(), 0, i64::from(self.depth) - 1))? = 1;
            }
            Ok(())
        })
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (lo, hi) = args[0].bounds();
        if lo < 0 || hi >= self.depth.into() {
            return Err(Unbounded::Domain { lo, hi, what: format!("indices lie in [0, {}]", self.depth - 1) });
        }
        // One 1 for each index.
        Ok(Range::uniform(site.features, 0, 1).with_norm((site.widths[0] as f64).sqrt()))
    }

    fn lookups(&self, _: &Site) -> u64 {
        0
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, _: &Graph) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

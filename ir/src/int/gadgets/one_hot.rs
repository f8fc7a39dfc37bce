//! Indices as vectors.

use super::{Meaning, Site, fault};
use crate::int::interp::Fault;
use crate::int::ranges::{Range, Unbounded};
use serde::{Deserialize, Serialize};

/// `y[j depth + i] = 1` where `x[j] = i`, else 0, for indices x in `[0, depth)`. Times a matrix it gathers by values that
/// are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OneHot {
    /// Number of indices.
    pub depth: u32,
}

impl Meaning for OneHot {
    fn name(&self) -> &'static str {
        "OneHot"
    }

    fn check(&self, site: &Site) -> Result<(), String> {
        match site.widths {
            [width] if self.depth > 0 && width.checked_mul(self.depth as usize) == Some(site.features) => Ok(()),
            _ => Err(format!("not {} features for each of its operand", self.depth)),
        }
    }

    fn eval(&self, _: &Site, args: &[&[i64]], out: &mut [i64]) -> Result<(), Fault> {
        for (j, (bits, &x)) in out.chunks_exact_mut(self.depth as usize).zip(args[0]).enumerate() {
            let bit = usize::try_from(x).ok().and_then(|i| bits.get_mut(i));
            *bit.ok_or_else(|| fault(j, x.into(), 0, i64::from(self.depth) - 1))? = 1;
        }
        Ok(())
    }

    fn parts(&self, _: &Site, _: &[&[i64]], _: &[i64]) -> Vec<Vec<i64>> {
        Vec::new()
    }

    fn range(&self, site: &Site, args: &[&Range]) -> Result<Range, Unbounded> {
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
}

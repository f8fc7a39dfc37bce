//! Binary digits.

use super::{Meaning, Misfit, Numbers, Site, fault};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// `y[j count + i]` is bit i of `x[j]`, the lowest first, for x in `[0, 2^count)`: shifts and bitwise ops are sums and
/// products of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bits {
    /// Number of bits.
    pub count: u32,
}

impl Meaning for Bits {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        match site.widths[..] {
            [width] if (1..=62).contains(&self.count) && width * self.count as usize == site.features => Ok(()),
            _ => Err(Misfit::Bits(self.count)),
        }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            for (j, (bits, &x)) in out.chunks_exact_mut(self.count as usize).zip(args[0]).enumerate() {
                if x >> self.count != 0 {
                    return Err(fault(j, x.into(), 0, (1 << self.count) - 1));
                }
                bits.iter_mut().enumerate().for_each(|(i, bit)| *bit = (x >> i) & 1);
            }
            Ok(())
        })
    }

    fn range(&self, _: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (lo, hi) = args[0].bounds();
        if lo < 0 || hi >> self.count != 0 {
            let what = format!("values lie in [0, {}]", (1i64 << self.count) - 1);
            return Err(Unbounded::Domain { lo, hi, what });
        }
        // Above the highest bit in which the bounds differ, the bits are those of both.
        let ends = |(&lo, &hi): (&i64, &i64)| {
            (0..self.count).map(move |i| if lo >> i == hi >> i { ((lo >> i) & 1, (lo >> i) & 1) } else { (0, 1) })
        };
        let (lo, hi) = args[0].lo.iter().zip(&args[0].hi).flat_map(ends).unzip();
        Ok(Range::new(lo, hi))
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

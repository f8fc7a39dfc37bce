//! Range checks.

use super::{Meaning, Misfit, Numbers, Op, Site, elementwise, fault, limbs_fit};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{self, Around, Unbounded};
use serde::{Deserialize, Serialize};

/// Identity that proves `x` in `[-2^(limbs b - 1), 2^(limbs b - 1))`: for private inputs, and for sums that are at least 1 where
/// there is an answer, less `2^(limbs b - 1) + 1`: how many entries of a softmax are visible, which no node reads, divisors, and how
/// far indices are from the ends of their axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range {
    /// Limbs.
    pub limbs: u32,
}

impl Range {
    /// Number of integers from 0 that it holds, and of those below.
    fn half(&self, site: &Site) -> i64 {
        1 << (self.limbs * site.limb_bits - 1)
    }
}

impl Meaning for Range {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        limbs_fit(site, self.limbs).map(drop)
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let half = self.half(site);
        site.rows(args, |args, out| {
            for (j, (y, &x)) in out.iter_mut().zip(args[0]).enumerate() {
                if !(-half..half).contains(&x) {
                    return Err(fault(j, x.into(), -half, half - 1));
                }
                *y = x;
            }
            Ok(())
        })
    }

    fn range(&self, site: &Site, _: &Around, args: &[&ranges::Range]) -> Result<ranges::Range, Unbounded> {
        let (x, half) = (args[0], self.half(site));
        let lo = x.lo.iter().map(|&v| v.max(-half)).collect();
        let hi = x.hi.iter().map(|&v| v.min(half - 1)).collect();
        Ok(ranges::Range { ellipsoid: x.ellipsoid.clone(), ..ranges::Range::new(lo, hi).with_norm(x.norm) })
    }

    fn refusal(&self, site: &Site) -> Option<(&'static str, &'static str)> {
        if !matches!(site.operand(0)?.op, Op::Affine(_)) {
            return None;
        }
        let is_this = |id: &u32| site.graph.nodes.get(*id as usize).is_some_and(|node| std::ptr::eq(node, site.node));
        Some(match site.graph.nodes.iter().any(|reader| reader.inputs.iter().any(is_this)) {
            true => (
                "element",
                "it is a divisor of 0 or an index beyond its axis, for which the ONNX model has no answer; keep divisors from \
                 0 (Max), and indices within their axes (Clip)",
            ),
            false => (
                "row",
                "a mask of this input hides every entry of a row of the softmax, for which the ONNX model has no number, or \
                 another one than the proof has; leave an entry of each row visible",
            ),
        })
    }

    fn lookups(&self, site: &Site) -> u64 {
        site.cells() * u64::from(self.limbs)
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::most(operands).max(Sees::Past)
    }

    fn halve(&mut self, own: u32) -> bool {
        self.limbs = own;
        true
    }
}

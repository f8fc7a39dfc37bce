//! Square roots.

use super::{Gadget, Meaning, Misfit, Numbers, Op, Site, elementwise, fault, limbs_fit};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Part: `y^2`.
pub const SQUARE: u8 = 0;
/// Part: `x - y^2`, in `[0, 2 y]`.
pub const REST: u8 = 1;
/// Part: `2 y` less the rest.
pub const GAP: u8 = 2;
/// Part: y again, as limbs.
pub const LIMBS: u8 = 3;

/// `y = floor(sqrt(x))`, elementwise, for `x >= 0`; y is in `[0, 2^(limbs b))` and `2 y` in `[0, 2^(rest_limbs b))`. What the
/// square leaves is `x - y^2`, in `[0, 2 y]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Root {
    /// Limbs of the result.
    pub limbs: u32,
    /// Limbs of the rest.
    pub rest_limbs: u32,
}

impl Root {
    /// The greatest operand.
    fn most(&self, site: &Site) -> i64 {
        let reach = |limbs| i128::from(site.reach(limbs).unwrap_or(i64::MAX));
        let root = (reach(self.limbs) - 1).min((reach(self.rest_limbs) - 1) / 2);
        ((root + 1) * (root + 1) - 1).min(i64::MAX.into()) as i64
    }
}

/// The value that is less than 0 for what has no root, where it is the greater of that and 0, times a factor, whose root is
/// taken: pairs of both.
fn pairs(site: &Site) -> Option<u32> {
    let scaled = site.operand(0).filter(|node| matches!(node.op, Op::Affine(_)))?;
    let greater = site.graph.nodes.get(*scaled.inputs.first()? as usize)?;
    let pairs = *greater.inputs.first()?;
    let of_two = site.graph.nodes.get(pairs as usize)?.features == 2 * greater.features;
    (of_two && matches!(greater.op, Op::Gadget(Gadget::Max(_)))).then_some(pairs)
}

impl Meaning for Root {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        limbs_fit(site, self.limbs)?;
        limbs_fit(site, self.rest_limbs).map(drop)
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            let most = self.most(site);
            for (j, (y, &x)) in out.iter_mut().zip(args[0]).enumerate() {
                if !(0..=most).contains(&x) {
                    return Err(fault(j, x.into(), 0, most));
                }
                *y = x.isqrt();
            }
            Ok(())
        })
    }

    fn parts(&self, _: &Site, _: &Numbers, args: &[&[i64]], result: &[i64]) -> Vec<Vec<i64>> {
        let square = |y: &i64| y * y;
        let rest = |(x, y): (&i64, &i64)| x - y * y;
        let gap = |(x, y): (&i64, &i64)| 2 * y - (x - y * y);
        let pairs = || args[0].iter().zip(result);
        let square = result.iter().map(square).collect();
        vec![square, pairs().map(rest).collect(), pairs().map(gap).collect(), result.to_vec()]
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (most, (lo, hi)) = (self.most(site), args[0].bounds());
        if lo < 0 || hi > most {
            return Err(Unbounded::Domain { lo, hi, what: format!("radicands lie in [0, {most}]") });
        }
        let root = |v: &[i64]| v.iter().map(|x| x.isqrt()).collect();
        Ok(Range::new(root(&args[0].lo), root(&args[0].hi)))
    }

    fn saturated(&self, site: &Site, _: &Numbers, values: &[Vec<i64>]) -> Option<(usize, f64)> {
        let pairs = &values[pairs(site)? as usize];
        let none = pairs.iter().step_by(2).filter(|x| **x < 0).count();
        Some((none, if none > 0 { f64::INFINITY } else { 0.0 }))
    }

    fn lookups(&self, site: &Site) -> u64 {
        site.cells() * u64::from(self.limbs + 2 * self.rest_limbs)
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, _: &Graph) -> Option<String> {
        Some(format!("{self:?}"))
    }

    fn halve(&mut self, _: u32) -> bool {
        self.limbs *= 2;
        self.rest_limbs *= 2;
        true
    }
}

//! Division of two activations.

use super::{Meaning, Misfit, Numbers, Site, fault, limbs_fit};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Part: `y z`.
pub const PRODUCT: u8 = 0;
/// Part: `x - y z`, in `[0, z)`.
pub const REST: u8 = 1;
/// Part: `z - 1` less the rest.
pub const GAP: u8 = 2;

/// `y = floor(x / z)`, elementwise, for z in `[1, 2^(rest_limbs b)]`; y is in `[-2^(limbs b - 1), 2^(limbs b - 1))`. The
/// operands are x and z. The rest of the division is `x - y z`, in `[0, z)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Div {
    /// Limbs of the result.
    pub limbs: u32,
    /// Limbs of the rest.
    pub rest_limbs: u32,
}

impl Meaning for Div {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        limbs_fit(site, self.limbs)?;
        limbs_fit(site, self.rest_limbs)?;
        let same = site.widths == [site.features, site.features];
        if same { Ok(()) } else { Err(Misfit::Widths) }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            let half = site.reach(self.limbs).unwrap_or(i64::MAX) / 2;
            let most = site.reach(self.rest_limbs).unwrap_or(i64::MAX);
            for (j, (y, (&x, &z))) in out.iter_mut().zip(args[0].iter().zip(args[1])).enumerate() {
                if !(1..=most).contains(&z) {
                    return Err(fault(j, z.into(), 1, most));
                }
                *y = x.div_euclid(z);
                if !(-half..half).contains(y) {
                    return Err(fault(j, (*y).into(), -half, half - 1));
                }
            }
            Ok(())
        })
    }

    fn parts(&self, _: &Site, _: &Numbers, args: &[&[i64]], _: &[i64]) -> Vec<Vec<i64>> {
        let mut parts = vec![Vec::new(); 3];
        for (&x, &z) in args[0].iter().zip(args[1]) {
            let rest = x.rem_euclid(z);
            for (part, value) in [(PRODUCT, x - rest), (REST, rest), (GAP, z - 1 - rest)] {
                parts[usize::from(part)].push(value);
            }
        }
        parts
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let half = site.reach(self.limbs).unwrap_or(i64::MAX) / 2;
        let most = site.reach(self.rest_limbs).unwrap_or(i64::MAX);
        let (x, z) = (args[0], args[1]);
        match z.bounds() {
            (lo, hi) if lo < 1 || hi > most => {
                return Err(Unbounded::Domain { lo, hi, what: format!("divisors lie in [1, {most}]") });
            }
            _ => {}
        }
        // The quotient grows with x, and its magnitude falls with z.
        let ends = |j: usize| {
            let of = |x: i64| [x.div_euclid(z.lo[j]), x.div_euclid(z.hi[j])];
            let [(a, b), (c, d)] = [of(x.lo[j]), of(x.hi[j])].map(|[a, b]| (a.min(b), a.max(b)));
            (a.min(c), b.max(d))
        };
        let (lo, hi) = (0..x.lo.len()).map(ends).unzip();
        let range = Range::new(lo, hi);
        match range.bounds() {
            (lo, hi) if lo < -half || hi >= half => {
                Err(Unbounded::Domain { lo, hi, what: format!("quotients lie in [{}, {}]", -half, half - 1) })
            }
            _ => Ok(range),
        }
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

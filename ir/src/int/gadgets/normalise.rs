//! Floating-point form: for functions over domains much wider than a table.

use super::{Meaning, Site, fault, limbs_fit};
use crate::int::interp::Fault;
use crate::int::ranges::{Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Exponents and mantissas of n features: for x in `[1, 2^(limbs b))`, `e = floor(log2 x)` and
/// `m = floor(x 2^b / 2^e) - 2^b` in `[0, 2^b)`, so that `x` is `2^e (1 + m / 2^b)` but for less than a part in `2^b`.
/// The result has 2 n features: all m, then all e.
///
/// `log2 x = e + table[m]`, and a power `x^p` is `2^(p e) table[m]`: tables of `m - 2^(b-1)` and of e, and one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Normalise {
    /// Limbs of the operand.
    pub limbs: u32,
}

impl Meaning for Normalise {
    fn name(&self) -> &'static str {
        "Normalise"
    }

    fn check(&self, site: &Site) -> Result<(), String> {
        limbs_fit(site, self.limbs)?;
        match site.widths {
            [width] if site.features == 2 * width => Ok(()),
            _ => Err("not two features for each of its operand".into()),
        }
    }

    fn eval(&self, site: &Site, args: &[&[i64]], out: &mut [i64]) -> Result<(), Fault> {
        let (mantissas, exponents) = out.split_at_mut(args[0].len());
        let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
        for (j, &x) in args[0].iter().enumerate() {
            if !(1..reach).contains(&x) {
                return Err(fault(j, x.into(), 1, reach - 1));
            }
            (mantissas[j], exponents[j]) = parts(x, site.limb_bits);
        }
        Ok(())
    }

    fn range(&self, site: &Site, args: &[&Range]) -> Result<Range, Unbounded> {
        let (lo, hi) = args[0].bounds();
        let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
        if lo < 1 || hi >= reach {
            return Err(Unbounded::Domain { lo, hi, what: format!("values lie in [1, {}]", reach - 1) });
        }
        let top = (1i64 << site.limb_bits) - 1;
        let ends = |(&lo, &hi): (&i64, &i64)| (parts(lo, site.limb_bits), parts(hi, site.limb_bits));
        let ends: Vec<_> = args[0].lo.iter().zip(&args[0].hi).map(ends).collect();
        // Within one power of two the mantissa grows with x.
        let mantissa = ends.iter().map(|(lo, hi)| if lo.1 == hi.1 { (lo.0, hi.0) } else { (0, top) });
        let exponent = ends.iter().map(|(lo, hi)| (lo.1, hi.1));
        let (lo, hi) = mantissa.chain(exponent).unzip();
        Ok(Range::new(lo, hi))
    }

    fn lookups(&self, site: &Site) -> u64 {
        site.widths[0] as u64 * u64::from(1 + 2 * self.limbs)
    }
}

/// Mantissa and exponent of `x >= 1`.
fn parts(x: i64, bits: u32) -> (i64, i64) {
    let exponent = x.ilog2();
    let mantissa = (i128::from(x) << bits >> exponent) - (1 << bits);
    (mantissa as i64, exponent.into())
}

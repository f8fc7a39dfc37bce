//! Floating-point form: for functions over domains much wider than a table.

use super::{Meaning, Misfit, Numbers, Site, fault, limbs_fit};
use crate::int::Graph;
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// Part: for each value one bit per exponent in `0..limbs b`, 1 at its own.
pub const BITS: u8 = 0;
/// Part: `2^e`.
pub const POWER: u8 = 1;
/// Part: `2^b + m`.
pub const SIGNIFICAND: u8 = 2;
/// Part: `2^e (2^b + m)`.
pub const PRODUCT: u8 = 3;
/// Part: `x 2^b - 2^e (2^b + m)`, in `[0, 2^e)`.
pub const REST: u8 = 4;
/// Part: `2^e - 1` less the rest.
pub const GAP: u8 = 5;

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
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        limbs_fit(site, self.limbs)?;
        limbs_fit(site, self.limbs + 1)?;
        match site.widths[..] {
            [width] if site.features == 2 * width => Ok(()),
            _ => Err(Misfit::TwoEach),
        }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        site.rows(args, |args, out| {
            let (mantissas, exponents) = out.split_at_mut(args[0].len());
            let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
            for (j, &x) in args[0].iter().enumerate() {
                if !(1..reach).contains(&x) {
                    return Err(fault(j, x.into(), 1, reach - 1));
                }
                (mantissas[j], exponents[j]) = normal(x, site.limb_bits);
            }
            Ok(())
        })
    }

    fn parts(&self, site: &Site, _: &Numbers, args: &[&[i64]], _: &[i64]) -> Vec<Vec<i64>> {
        let mut parts = vec![Vec::new(); 6];
        for &x in args[0] {
            let (mantissa, exponent) = normal(x, site.limb_bits);
            let power = 1i64 << exponent;
            let significand = mantissa + (1 << site.limb_bits);
            let product = power * significand;
            let rest = (x << site.limb_bits) - product;
            let bits = 0..i64::from(self.limbs * site.limb_bits);
            parts[usize::from(BITS)].extend(bits.map(|bit| i64::from(bit == exponent)));
            let cells = [(POWER, power), (SIGNIFICAND, significand), (PRODUCT, product), (REST, rest)];
            for (part, value) in cells.into_iter().chain([(GAP, power - 1 - rest)]) {
                parts[usize::from(part)].push(value);
            }
        }
        parts
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (lo, hi) = args[0].bounds();
        let reach = site.reach(self.limbs).unwrap_or(i64::MAX);
        if lo < 1 || hi >= reach {
            return Err(Unbounded::Domain { lo, hi, what: format!("values lie in [1, {}]", reach - 1) });
        }
        let top = (1i64 << site.limb_bits) - 1;
        let ends = |(&lo, &hi): (&i64, &i64)| (normal(lo, site.limb_bits), normal(hi, site.limb_bits));
        let ends: Vec<_> = args[0].lo.iter().zip(&args[0].hi).map(ends).collect();
        // Within one power of two the mantissa grows with x.
        let mantissa = ends.iter().map(|(lo, hi)| if lo.1 == hi.1 { (lo.0, hi.0) } else { (0, top) });
        let exponent = ends.iter().map(|(lo, hi)| (lo.1, hi.1));
        let (lo, hi) = mantissa.chain(exponent).unzip();
        Ok(Range::new(lo, hi))
    }

    fn lookups(&self, site: &Site) -> u64 {
        site.cells_of(0) * u64::from(1 + 2 * self.limbs)
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::apart(operands)
    }

    fn summary(&self, _: &Graph) -> Option<String> {
        Some(format!("{self:?}"))
    }

    fn halve(&mut self, _: u32) -> bool {
        // Its mantissas have one limb, whatever that is.
        false
    }
}

/// Mantissa and exponent of `x >= 1`.
fn normal(x: i64, bits: u32) -> (i64, i64) {
    let exponent = x.ilog2();
    let mantissa = (i128::from(x) << bits >> exponent) - (1 << bits);
    (mantissa as i64, exponent.into())
}

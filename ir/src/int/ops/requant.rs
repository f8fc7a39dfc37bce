//! Rounding to whole limbs dropped.

use super::{Meaning, Misfit, Numbers, Site, elementwise, limbs_fit};
use crate::int::causal::Sees;
use crate::int::interp::Fault;
use crate::int::ranges::{Around, Range, Unbounded};
use serde::{Deserialize, Serialize};

/// `y = floor((x + 2^(s-1)) / 2^s)` with `s = limbs * b`; then, if `clamp`, limited to `[-2^(b-1), 2^(b-1))`
/// (`out_limbs` must be 1). Without `clamp`, y must lie in `[-2^(m b - 1), 2^(m b - 1))`, m = `out_limbs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requant {
    /// Limbs dropped.
    pub limbs: u32,
    /// Limbs of the result.
    pub out_limbs: u32,
    /// Saturate instead of requiring the range.
    pub clamp: bool,
}

/// Part: `x + 2^(s-1) - 2^s floor(..)`, in `[0, 2^s)`.
pub const REMAINDER: u8 = 0;
/// Part, with `clamp`: what exceeds the greatest value.
pub const OVER: u8 = 1;
/// Part, with `clamp`: what falls short of the least value.
pub const UNDER: u8 = 2;

impl Meaning for Requant {
    fn check(&self, site: &Site) -> Result<(), Misfit> {
        elementwise(site)?;
        limbs_fit(site, self.limbs)?;
        limbs_fit(site, self.out_limbs)?;
        if self.clamp && self.out_limbs != 1 { Err(Misfit::ClampedLimbs) } else { Ok(()) }
    }

    fn eval(&self, site: &Site, _: &Numbers, args: &[&[i64]]) -> Result<Vec<i64>, Fault> {
        let (shift, bits) = (self.limbs * site.limb_bits, self.out_limbs * site.limb_bits);
        let half = 1i64 << (bits - 1);
        site.map(args[0], |x| match round_shift(x, shift).0 {
            y if self.clamp => Ok(y.clamp(-half, half - 1)),
            y if in_limbs(y, bits) => Ok(y),
            y => Err(y),
        })
    }

    fn parts(&self, site: &Site, _: &Numbers, args: &[&[i64]], result: &[i64]) -> Vec<Vec<i64>> {
        let rounded = args[0].iter().map(|&x| round_shift(x, self.limbs * site.limb_bits));
        let remainder = rounded.clone().map(|rounded| rounded.1).collect();
        let excess = |sign: i64| rounded.clone().zip(result).map(|(x, y)| (sign * (x.0 - y)).max(0)).collect();
        if self.clamp { vec![remainder, excess(1), excess(-1)] } else { vec![remainder] }
    }

    fn range(&self, site: &Site, _: &Around, args: &[&Range]) -> Result<Range, Unbounded> {
        let (x, clamp) = (args[0], self.clamp);
        let (shift, out_bits) = (self.limbs * site.limb_bits, self.out_limbs * site.limb_bits);
        let n = x.lo.len();
        let shifted = |v: &[i64]| v.iter().map(|&a| round_shift(a, shift).0).collect::<Vec<_>>();
        let (lo, hi) = (shifted(&x.lo), shifted(&x.hi));
        let (least, most) = (-(1i64 << (out_bits - 1)), (1i64 << (out_bits - 1)) - 1);
        let norm = x.norm / f64::from(shift).exp2() + 0.5 * (n as f64).sqrt();
        let fits = lo.iter().all(|&v| v >= least) && hi.iter().all(|&v| v <= most);
        if fits {
            let range = Range::new(lo, hi).with_norm(norm);
            return Ok(match (&x.ellipsoid, x.stretches) {
                (Some(ellipsoid), _) => ellipsoid.shifted(shift).apply(range),
                (None, Some((len, norm))) => {
                    range.with_stretches(len, norm / f64::from(shift).exp2() + 0.5 * (len as f64).sqrt())
                }
                (None, None) => range,
            });
        }
        if !clamp {
            let (lo, hi) = Range::new(lo, hi).bounds();
            return Err(Unbounded::Domain { lo, hi, what: format!("the result has {out_bits} bits") });
        }
        let limit = |v: Vec<i64>| v.into_iter().map(|a| a.clamp(least, most)).collect();
        Ok(Range::new(limit(lo), limit(hi)).with_norm(norm))
    }

    fn lookups(&self, site: &Site) -> u64 {
        let excess = match site.operand(0) {
            Some(x) if self.clamp => {
                let greatest = x.lo.unsigned_abs().max(x.hi.unsigned_abs());
                site.limbs((greatest >> (self.limbs * site.limb_bits)) as i64)
            }
            _ => 0,
        };
        site.cells() * u64::from(self.limbs + self.out_limbs + excess)
    }

    fn sees(&self, _: u32, operands: &[Sees]) -> Sees {
        Sees::most(operands)
    }

    fn saturated(&self, site: &Site, _: &Numbers, values: &[Vec<i64>]) -> Option<(usize, f64)> {
        let x = &values[site.node.inputs[0] as usize];
        let limit = (1i64 << (site.limb_bits - 1)) - 1;
        let rounded = || x.iter().map(|&x| round_shift(x, self.limbs * site.limb_bits).0);
        let saturated = rounded().filter(|y| !(-limit - 1..=limit).contains(y)).count();
        let load = rounded().map(i64::unsigned_abs).max().unwrap_or(0) as f64 / limit as f64;
        self.clamp.then_some((saturated, load))
    }

    fn halve(&mut self, own: u32) -> bool {
        self.limbs *= 2;
        self.out_limbs = own;
        !self.clamp
    }
}

/// `floor((x + 2^(shift-1)) / 2^shift)` and its remainder; the identity for `shift = 0`.
pub fn round_shift(x: i64, shift: u32) -> (i64, i64) {
    if shift == 0 {
        return (x, 0);
    }
    let biased = i128::from(x) + (1i128 << (shift - 1));
    ((biased >> shift) as i64, (biased & ((1i128 << shift) - 1)) as i64)
}

/// Whether `x` lies in `[-2^(bits-1), 2^(bits-1))`.
fn in_limbs(x: i64, bits: u32) -> bool {
    bits >= 64 || (bits > 0 && (-(1i128 << (bits - 1))..1i128 << (bits - 1)).contains(&x.into()))
}

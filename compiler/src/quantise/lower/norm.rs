//! LayerNorm and RMSNorm.
//!
//! With `x` at scale S: subtract the mean (LayerNorm), `v = sum x^2 + eps d S^2`, `v' = v / 2^s1`,
//! `r = floor(sqrt(C / v'))`, `y = x r / 2^s2`. Then `|y|_2 <= sqrt(C 2^s1) / 2^s2` whatever the input, so C is chosen
//! to fill one limb and nothing is clamped. Gain and shift stay pending in the units, for the next linear map.
//!
//! C has 61 bits, and both `v'` and r need some for every token. Where the quietest and the loudest token are too far
//! apart for that, a first step brings them closer: any factor per token will do, as long as `sqrt(eps d) S` is
//! multiplied by it like the features, because the second step divides by it again.
//!
//! Where the squares of the loudest value could exceed 61 bits, x gets coarser: its whole stream, or, where that would
//! cost quiet tokens elsewhere in it too much, the copy that is normalised here.

use super::{Lowering, NoForm, QuantiseError, Ref, Val};
use crate::quantise::{builder::term, scales::USUAL_BITS, stats::known};
use nanozk_ir::{
    float::{self, NormKind},
    int,
};

/// Bits that the least calibrated `v'` keeps, with limbs of [`USUAL_BITS`]; one more for each bit of wider limbs.
const LEAST_POWER_BITS: f64 = 11.0;
/// Bits that r keeps on the loudest calibrated token, likewise.
const LEAST_ROOT_BITS: f64 = 8.0;
/// Bits by which both may be missed before a first step is worth its cost, likewise.
const RELAXED: u32 = 1;
/// Bits of the greatest C.
const TARGET_BITS: f64 = 61.0;
/// Bits of the greatest magnitude.
const VALUE_BITS: f64 = 61.0;

/// Bits of the norm that a first step gives the loudest tokens.
const FIRST_NORM: f64 = 29.0;
/// Bits by which a first step brings the norms of tokens closer to each other at most.
const CLOSER: f64 = 14.0;
/// Bits of a first step's r on the loudest calibrated token.
const FIRST_ROOT_BITS: f64 = 7.0;

/// Squared norms of tokens, in powers of two of the integers' units.
#[derive(Clone, Copy, Debug)]
struct Power {
    /// Least calibrated one.
    least: f64,
    /// Greatest calibrated one.
    most: f64,
    /// Greatest calibrated one without the epsilon.
    loud: f64,
    /// Static bound.
    bound: f64,
}

/// Widths of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Widths {
    /// Bits by which x is multiplied before.
    lift: u32,
    /// Limbs dropped from v.
    power: u32,
    /// Bits by which the product is multiplied before.
    raise: u32,
    /// Limbs dropped from the product.
    product: u32,
    /// C.
    target: i64,
}

/// Widths of a first step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct First {
    /// Bits by which x is multiplied before.
    lift: u32,
    /// Limbs dropped from x before it is squared.
    square: u32,
    /// Limbs dropped from the sum of squares.
    power: u32,
    /// Limbs dropped from the product.
    product: u32,
    /// C.
    target: i64,
    /// Added to the sum of squares: tokens below are multiplied by one factor.
    floor: i64,
}

/// Bits by which limbs are wider than usual.
fn beyond_usual(bits: u32) -> u32 {
    bits.saturating_sub(USUAL_BITS)
}

impl Power {
    /// The widths with the least limbs at which nothing loses more than `relaxed` bits of what it should have; `top` is
    /// the greatest value of one limb of `bits`.
    fn widths(&self, bits: u32, top: f64, relaxed: u32) -> Option<Widths> {
        let (b, missing) = (f64::from(bits), f64::from(relaxed) - f64::from(beyond_usual(bits)));
        if self.bound > VALUE_BITS {
            return None;
        }
        let lifts = ((VALUE_BITS - self.bound) / 2.0).floor() as u32;
        let powers = |lift: u32| (1..=4u32).rev().map(move |power| (lift, power));
        let raises = |s2: u32| (0..bits).flat_map(move |j| (0..=lifts).flat_map(powers).map(move |p| (s2, j, p)));
        (1..=4u32).flat_map(raises).find_map(|(product, raise, (lift, power))| {
            let (s1, k) = (f64::from(power) * b, f64::from(lift));
            let whole = top.log2() + f64::from(product) * b;
            let root = whole - f64::from(raise);
            let fits = 2.0 * root - s1 < TARGET_BITS && whole < VALUE_BITS;
            let power_bits = self.least + 2.0 * k - s1;
            let root_bits = root - self.most / 2.0 - k;
            let enough = power_bits >= LEAST_POWER_BITS - missing && root_bits >= LEAST_ROOT_BITS - missing;
            let target = ((top * (root - top.log2()).exp2()).powi(2) / s1.exp2()).floor() as i64;
            (fits && enough).then_some(Widths { lift, power, raise, product, target })
        })
    }

    /// Widths of a first step.
    fn first(&self, bits: u32) -> Option<First> {
        let b = f64::from(bits);
        let products = |t: u32| (1..=4u32).flat_map(move |s2| (1..=3u32).map(move |s1| (t, s2, s1)));
        (1..=4u32).flat_map(products).find_map(|(square, product, power)| {
            let (t, s1, s2) = (f64::from(square) * b, f64::from(power) * b, f64::from(product) * b);
            let lift = (FIRST_NORM + s2 - FIRST_ROOT_BITS - self.most / 2.0).floor();
            let most = self.most + 2.0 * (lift - t);
            let target = 2.0 * (FIRST_NORM + s2 - t) - s1;
            let fits = lift >= 0.0
                && self.bound / 2.0 + lift < VALUE_BITS
                && self.bound + 2.0 * (lift - t) < VALUE_BITS
                && FIRST_NORM + s2 + 1.0 < VALUE_BITS
                && (0.0..TARGET_BITS).contains(&target)
                && most > 2.0 * CLOSER;
            let (target, floor) = (target.exp2() as i64, (most - 2.0 * CLOSER).exp2() as i64);
            fits.then_some(First { lift: lift as u32, square, power, product, target, floor })
        })
    }

    /// The same in units that are greater by `bits` powers of two.
    fn coarser(&self, bits: f64) -> Power {
        let less = |v: f64| v - 2.0 * bits;
        Power { least: less(self.least), most: less(self.most), loud: less(self.loud), bound: less(self.bound) }
    }

    /// The same after a first step, given its static bound.
    fn closer(&self, bound: f64) -> Power {
        let most = 2.0 * FIRST_NORM;
        Power { least: most - (self.most - self.least - 2.0 * CLOSER).max(0.0), most, loud: most, bound }
    }
}

impl Lowering<'_> {
    pub(super) fn norm(&mut self, r: Ref) -> Result<Val, QuantiseError> {
        let float::Op::Norm { kind, groups, .. } = *self.op(0, r) else {
            return Err(self.unsupported(r, NoForm::Op("a normalisation")));
        };
        let (name, features, bits) = (self.name(r), self.features(r), self.b.limb_bits);
        let n = features / groups;
        let bare = (0..self.layers()).all(|g| self.epsilon(g, r) == 0.0);
        let source = self.operand(r, 0);
        let mut scale = self.scale(source);
        let mut exact = self.raw(source, &scale)?;
        let mark = self.b.mark();
        let (mut x, mut eps, mut power) = self.operand_of(r, exact.id, &scale)?;
        // Rows that epsilon keeps small get more than one limb's bits.
        let small = ((power.most - power.loud) / 2.0).floor().clamp(0.0, bits.into());
        let top = (self.limb_max() - 1.0) * small.exp2();
        let widths = |p: Power| (0..=RELAXED + beyond_usual(bits)).find_map(|relaxed| p.widths(bits, top, relaxed));
        let mut first = power.first(bits);
        let excess = ((power.bound - VALUE_BITS) / 2.0).ceil().max(0.0);
        let coarser = widths(power.coarser(excess)).is_some();
        if excess > 0.0 && (coarser || first.is_none()) {
            let norms = self.norms(x, n);
            let loudest = (0..norms.len()).fold(0, |most, g| if norms[g] > norms[most] { g } else { most });
            let (node, loud) = (self.node(loudest, source), excess as u32);
            if !coarser || loud + 1 >= bits || self.scales.bears(node, loud) {
                return Err(QuantiseError::Loud { node, name: self.name(source), bits: loud });
            }
            self.b.rollback(&mark);
            scale.iter_mut().for_each(|s| *s /= (excess + 1.0).exp2());
            exact = self.rescale(source, &exact, &scale)?;
            (x, eps, power) = self.operand_of(r, exact.id, &scale)?;
            first = power.first(bits);
        }
        let (y, widths) = match (widths(power), first) {
            (None, Some(first)) => {
                let near = self.first_step(&name, (x, n), &eps, first)?;
                let power = power.closer(2.0 * self.greatest_norm(near, n + 1).log2());
                let widths = self.coarsest(power, top);
                let zero = vec![0.0; self.layers()];
                let y = self.step(&name, (near, n + 1), (!bare).then_some(&zero), widths)?;
                let own: Vec<usize> = (0..features).map(|j| j / n * (n + 1) + j % n).collect();
                (self.b.pick(name, y, &own)?, widths)
            }
            (widths, _) => {
                let widths = widths.unwrap_or_else(|| self.coarsest(power, top));
                (self.step(&name, (x, n), (!bare).then_some(&eps), widths)?, widths)
            }
        };
        let s1 = f64::from(widths.power * bits).exp2();
        let s2 = (f64::from(widths.product * bits) - f64::from(widths.raise)).exp2();
        let per_unit = (n as f64).sqrt() * s2 / (widths.target as f64 * s1).sqrt();
        Ok(self.with_gain(r, y, per_unit, n, kind == NormKind::Layer))
    }

    /// What is squared for the normalisation of the integers x at `scale`, with the epsilons and norms in their units.
    fn operand_of(
        &mut self,
        r: Ref,
        mut x: int::ValueId,
        scale: &[f64],
    ) -> Result<(int::ValueId, Vec<f64>, Power), QuantiseError> {
        let float::Op::Norm { kind, groups, .. } = *self.op(0, r) else {
            return Err(self.unsupported(r, NoForm::Op("a normalisation")));
        };
        let n = self.features(r) / groups;
        if kind == NormKind::Layer {
            x = self.subtract_mean(&self.name(r), x, groups)?;
        }
        let eps: Vec<f64> = (0..self.layers()).map(|g| self.epsilon(g, r) * n as f64 * scale[g].powi(2)).collect();
        let power = self.power(self.operand(r, 0), kind, (x, n), scale, &eps);
        Ok((x, eps, power))
    }

    /// The epsilon of layer `g`.
    fn epsilon(&self, g: usize, r: Ref) -> f64 {
        match self.op(g, r) {
            float::Op::Norm { eps, .. } => f64::from(*eps),
            _ => 0.0,
        }
    }

    /// Norms of the stretches of n features of x that a normalisation sees, over all layers, the epsilon included.
    fn power(&self, source: Ref, kind: NormKind, (x, n): (int::ValueId, usize), scale: &[f64], eps: &[f64]) -> Power {
        let calibrated = |g: usize| {
            let (least, most) = self.stats.of(self.node(g, source)).power(kind);
            (least * n as f64 * scale[g].powi(2) + eps[g], most * n as f64 * scale[g].powi(2) + eps[g])
        };
        let ends = (0..self.layers()).map(calibrated);
        let (least, most) = ends.fold((f64::MAX, 1.0f64), |(l, m), (least, most)| (l.min(least), m.max(most)));
        let loud = (0..self.layers()).map(|g| calibrated(g).1 - eps[g]).fold(1.0, f64::max);
        let bound = (self.greatest_norm(x, n).powi(2) + eps.iter().copied().fold(0.0, f64::max)).log2();
        Power { least: least.max(1.0).log2(), most: most.log2(), loud: loud.log2(), bound }
    }

    /// Static bound on the norm of a stretch of n features, by layer.
    fn norms(&self, x: int::ValueId, n: usize) -> Vec<f64> {
        let stretches = || (0..self.b.features(x)).step_by(n);
        let of = |g: usize| stretches().map(|from| self.b.range(g, x).norm_of_part(from, from + n)).fold(0.0, f64::max);
        (0..self.layers()).map(of).collect()
    }

    /// The same over all layers.
    fn greatest_norm(&self, x: int::ValueId, n: usize) -> f64 {
        known(self.norms(x, n).into_iter().fold(0.0, f64::max))
    }

    /// The widths that lose the fewest bits where none keeps all that it should.
    fn coarsest(&self, power: Power, top: f64) -> Widths {
        let bits = self.b.limb_bits;
        let usual = Widths { lift: 0, power: 1, raise: 0, product: 2, target: 1 << 40 };
        (0..=2 * bits).find_map(|relaxed| power.widths(bits, top, relaxed)).unwrap_or(usual)
    }

    /// `x / sqrt(sum x^2 + eps)` in one limb, the sum over stretches of n features. Without an epsilon the sums stand alone, by
    /// which [`int::ops::RSqrt`] knows that a sum of 0 has no answer.
    fn step(
        &mut self,
        name: &str,
        (x, n): (int::ValueId, usize),
        eps: Option<&Vec<f64>>,
        w: Widths,
    ) -> Result<int::ValueId, QuantiseError> {
        let (features, bits) = (self.b.features(x), self.b.limb_bits);
        let x = self.raised(format!("{name}.raised"), x, w.lift)?;
        let squares = self.push(format!("{name}.square"), int::ops::Mul.into(), &[x, x], features)?;
        // One unit of v' is added below to keep it positive; taken back here where eps leaves room.
        let lifted = |eps: &f64| eps * f64::from(2 * w.lift).exp2();
        let taken = |eps: &f64| (lifted(eps) - f64::from(w.power * bits).exp2()).max(0.0).round() as i64;
        let eps = match eps {
            Some(eps) => {
                let first = self.b.param(&eps.iter().map(taken).collect::<Vec<_>>());
                Some(self.push(format!("{name}.eps"), int::ops::Param { first }.into(), &[], 1)?)
            }
            None => None,
        };
        let v = self.totals(name, squares, n, eps)?;
        let y = self.times_root(name, x, v, w.power, w.target)?;
        let y = self.raised(format!("{name}.product.raised"), y, w.raise)?;
        self.shrink(name, y, w.product, true)
    }

    /// Sums of stretches of n features, each plus `extra`, if there is one.
    fn totals(
        &mut self,
        name: &str,
        squares: int::ValueId,
        n: usize,
        extra: Option<int::ValueId>,
    ) -> Result<int::ValueId, QuantiseError> {
        let groups = self.b.features(squares) / n;
        let row = |p: usize| (p * n..(p + 1) * n).map(|j| term(0, j, 1)).chain(extra.map(|_| term(1, 0, 1))).collect();
        let rows = (0..groups).map(row).collect();
        let operands: Vec<int::ValueId> = std::iter::once(squares).chain(extra).collect();
        self.push(format!("{name}.power"), int::ops::Affine { rows }.into(), &operands, groups)
    }

    /// `x * 2^bits`.
    fn raised(&mut self, name: String, x: int::ValueId, bits: u32) -> Result<int::ValueId, QuantiseError> {
        if bits == 0 {
            return Ok(x);
        }
        let n = self.b.features(x);
        let rows = (0..n).map(|j| vec![term(0, j, 1 << bits)]).collect();
        self.push(name, int::ops::Affine { rows }.into(), &[x], n)
    }

    /// `x * floor(sqrt(C / v'))` by stretch, v' being its v without `limbs` limbs and at least 1.
    fn times_root(
        &mut self,
        name: &str,
        x: int::ValueId,
        v: int::ValueId,
        limbs: u32,
        target: i64,
    ) -> Result<int::ValueId, QuantiseError> {
        let (features, groups) = (self.b.features(x), self.b.features(v));
        let out_limbs = self.b.limbs_after(v, limbs * self.b.limb_bits);
        let op = int::Op::Requant(int::ops::Requant { limbs, out_limbs, clamp: false });
        let v = self.push(format!("{name}.power.q"), op, &[v], groups)?;
        let v = self.b.plus(format!("{name}.power.positive"), v, 1)?;
        let param = self.b.param(&vec![target; self.layers()]);
        let root = self.push(format!("{name}.rsqrt"), int::ops::RSqrt { param }.into(), &[v], groups)?;
        let spread: Vec<usize> = (0..features).map(|j| j / (features / groups)).collect();
        let root = self.b.pick(format!("{name}.rsqrt.all"), root, &spread)?;
        self.push(format!("{name}.product"), int::ops::Mul.into(), &[x, root], features)
    }

    /// x with `sqrt(eps)` as one more feature of each stretch of n, each stretch times a factor of its own that brings
    /// their norms closer to each other.
    fn first_step(
        &mut self,
        name: &str,
        (x, n): (int::ValueId, usize),
        eps: &[f64],
        w: First,
    ) -> Result<int::ValueId, QuantiseError> {
        let (groups, name) = (self.b.features(x) / n, format!("{name}.first"));
        let root = self.b.param(&eps.iter().map(|e| e.sqrt().round() as i64).collect::<Vec<_>>());
        let root = self.push(format!("{name}.eps"), int::ops::Param { first: root }.into(), &[], 1)?;
        let stretch = |p: usize| (p * n..(p + 1) * n).map(|j| vec![term(0, j, 1)]).chain([vec![term(1, 0, 1)]]);
        let (rows, features) = ((0..groups).flat_map(stretch).collect(), groups * (n + 1));
        let x = self.push(format!("{name}.all"), int::ops::Affine { rows }.into(), &[x, root], features)?;
        let x = self.raised(format!("{name}.raised"), x, w.lift)?;
        let coarse = self.shrink(&format!("{name}.coarse"), x, w.square, true)?;
        let squares = self.push(format!("{name}.square"), int::ops::Mul.into(), &[coarse, coarse], features)?;
        let floor = int::Op::Const(int::ops::Const { rows: 1, data: vec![w.floor] });
        let floor = self.push(format!("{name}.floor"), floor, &[], 1)?;
        let v = self.totals(&name, squares, n + 1, Some(floor))?;
        let y = self.times_root(&name, x, v, w.power, w.target)?;
        self.shrink(&name, y, w.product, true)
    }

    /// The normalised integers with the layers' gains and shifts as units and offsets, n features a stretch.
    fn with_gain(&self, r: Ref, id: int::ValueId, per_unit: f64, n: usize, centred: bool) -> Val {
        let groups = self.features(r) / n;
        let (mut unit, mut offset) = (Vec::new(), Vec::new());
        for g in 0..self.layers() {
            let float::Op::Norm { gamma, beta, .. } = self.op(g, r) else { continue };
            let units: Vec<f64> = (0..n).map(|j| per_unit * gamma.as_ref().map_or(1.0, |v| v[j].into())).collect();
            let offsets: Vec<f64> = (0..n).map(|j| beta.as_ref().map_or(0.0, |v| v[j].into())).collect();
            unit.push(units.repeat(groups));
            offset.push(offsets.repeat(groups));
        }
        let shifted = offset.iter().flatten().any(|&v| v != 0.0);
        Val { id, unit, offset: shifted.then_some(offset), centred: centred.then_some(n) }
    }

    /// `x - mean(x)` of each of `groups` stretches, the means rounded to whole units.
    fn subtract_mean(&mut self, name: &str, x: int::ValueId, groups: usize) -> Result<int::ValueId, QuantiseError> {
        let (features, bits) = (self.b.features(x), self.b.limb_bits);
        let n = features / groups;
        let exact = n.is_power_of_two() && n <= 1 << bits;
        let limbs = if exact { 1 } else { 2 };
        let factor = (f64::from(limbs * bits).exp2() / n as f64).round() as i64;
        let row = |p: usize| (p * n..(p + 1) * n).map(|j| term(0, j, factor)).collect();
        let sums = int::Op::Affine(int::ops::Affine { rows: (0..groups).map(row).collect() });
        let sum = self.push(format!("{name}.sum"), sums, &[x], groups)?;
        let out_limbs = self.b.limbs_after(sum, limbs * bits);
        let op = int::Op::Requant(int::ops::Requant { limbs, out_limbs, clamp: false });
        let mean = self.push(format!("{name}.mean"), op, &[sum], groups)?;
        let rows = (0..features).map(|j| vec![term(0, j, 1), term(1, j / n, -1)]).collect();
        self.push(format!("{name}.centred"), int::ops::Affine { rows }.into(), &[x, mean], features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a step loses at these widths: bits short of those of v', of r and of one limb.
    fn missing(p: Power, w: Widths, bits: u32) -> [f64; 3] {
        let (s1, s2) = (f64::from(w.power * bits), f64::from(w.product * bits) - f64::from(w.raise));
        let (c, k) = ((w.target as f64).log2(), f64::from(w.lift));
        let root = (c + s1 - p.most) / 2.0 - k;
        let filled = (c + s1) / 2.0 - s2;
        [LEAST_POWER_BITS - (p.least + 2.0 * k - s1), LEAST_ROOT_BITS - root, f64::from(bits - 1) - filled]
    }

    #[test]
    fn every_range_of_powers_up_to_34_bits_has_its_widths() {
        for bits in 10..=16 {
            let top = f64::from(bits - 1).exp2() - 2.0;
            for most in 20..=54 {
                for least in (most - 32).max(0)..=most {
                    let bound = f64::from(most) + 6.0;
                    let p = Power { least: least.into(), most: most.into(), loud: most.into(), bound };
                    let Some(w) = p.widths(bits, top, RELAXED + beyond_usual(bits)) else {
                        // The units are too few for the quietest token whatever the widths.
                        assert!(f64::from(least) + VALUE_BITS - bound < 24.0 + f64::from(bits), "{bits} bits: {p:?}");
                        continue;
                    };
                    let relaxed = f64::from(RELAXED) + 1e-2;
                    assert!(missing(p, w, bits).iter().all(|m| *m <= relaxed), "{bits} bits: {p:?}: {w:?}");
                }
            }
        }
    }
}

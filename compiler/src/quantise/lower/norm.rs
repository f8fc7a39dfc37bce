//! LayerNorm and RMSNorm.
//!
//! With `x` at scale S: subtract the mean (LayerNorm), `v = sum x^2 + eps d S^2`, `v' = v / 2^s1`,
//! `r = floor(sqrt(C / v'))`, `y = x r / 2^s2`. Then `|y|_2 <= sqrt(C 2^s1) / 2^s2` whatever the input, so C is chosen
//! to fill one limb and nothing is clamped. Gain and shift stay pending in the units, for the next linear map.

use super::{Lowering, QuantiseError, Ref, Val};
use crate::quantise::builder::term;
use nanozk_ir::{
    float::{self, NormKind},
    int,
};

/// Bits that the least calibrated `v'` keeps.
const LEAST_POWER_BITS: f64 = 11.0;
/// Bits that r keeps on the loudest calibrated token.
const LEAST_ROOT_BITS: f64 = 8.0;

impl Lowering<'_> {
    pub(super) fn norm(&mut self, r: Ref) -> Result<Val, QuantiseError> {
        let float::Op::Norm { kind, groups, .. } = *self.op(0, r) else {
            return Err(self.unsupported(r, "not a normalisation"));
        };
        let (name, features, bits) = (self.name(r), self.features(r), self.b.limb_bits);
        let n = features / groups;
        let source = self.operand(r, 0);
        let scales = self.scale(source);
        let mut x = self.raw(source, &scales)?.id;
        if kind == NormKind::Layer {
            x = self.subtract_mean(&name, x, groups)?;
        }
        let scale = scales[0];
        let power = |g: usize| {
            let (least, most) = self.stats.of(self.node(g, source)).power(kind);
            (least * n as f64 * scale * scale, most * n as f64 * scale * scale)
        };
        let least = (0..self.layers()).map(|g| power(g).0).fold(f64::MAX, f64::min).max(1.0);
        let most = (0..self.layers()).map(|g| power(g).1).fold(1.0, f64::max);
        let limb = f64::from(bits);
        let top = self.limb_max() - 1.0;
        // Limbs dropped from v, and from the product.
        let mut s1 = (((least.log2() - LEAST_POWER_BITS) / limb).floor().max(1.0) as u32).min(3);
        let s2 =
            (2..=4u32).find(|&s| top.log2() + f64::from(s) * limb - most.log2() / 2.0 >= LEAST_ROOT_BITS).unwrap_or(4);
        let constant = |s1: u32| (top * f64::from(s2 * bits).exp2()).powi(2) / f64::from(s1 * bits).exp2();
        while constant(s1) >= 2f64.powi(61) && s1 < 4 {
            s1 += 1;
        }
        let c = constant(s1).min(2f64.powi(61)).floor();

        let squares = self.push(format!("{name}.square"), int::Op::Mul, &[x, x], features)?;
        // One unit of v' is added below to keep it positive; taken back here where eps leaves room.
        let eps = |g: usize| match self.op(g, r) {
            float::Op::Norm { eps, .. } => {
                (f64::from(*eps) * n as f64 * scale * scale - f64::from(s1 * bits).exp2()).max(0.0).round() as i64
            }
            _ => 0,
        };
        let eps = self.b.param(&(0..self.layers()).map(eps).collect::<Vec<_>>());
        let eps = self.push(format!("{name}.eps"), int::Op::Param { first: eps }, &[], 1)?;
        let row = |p: usize| (p * n..(p + 1) * n).map(|j| term(0, j, 1)).chain([term(1, 0, 1)]).collect();
        let sums = int::Op::Affine { rows: (0..groups).map(row).collect() };
        let v = self.push(format!("{name}.power"), sums, &[squares, eps], groups)?;
        let out_limbs = self.b.limbs_after(v, s1 * bits);
        let op = int::Op::Requant { limbs: s1, out_limbs, clamp: false };
        let v = self.push(format!("{name}.power.q"), op, &[v], groups)?;
        let v = self.b.plus(format!("{name}.power.positive"), v, 1)?;
        let param = self.b.param(&vec![c as i64; self.layers()]);
        let root = self.push(format!("{name}.rsqrt"), int::Op::RSqrt { param }, &[v], groups)?;
        let spread: Vec<usize> = (0..features).map(|j| j / n).collect();
        let root = self.b.pick(format!("{name}.rsqrt.all"), root, &spread)?;
        let y = self.push(format!("{name}.product"), int::Op::Mul, &[x, root], features)?;
        let id = self.shrink(&name, y, s2, true)?;
        let per_unit = (n as f64).sqrt() * f64::from(s2 * bits).exp2() / (c * f64::from(s1 * bits).exp2()).sqrt();
        Ok(self.with_gain(r, id, per_unit, n, kind == NormKind::Layer))
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
        let sums = int::Op::Affine { rows: (0..groups).map(row).collect() };
        let sum = self.push(format!("{name}.sum"), sums, &[x], groups)?;
        let out_limbs = self.b.limbs_after(sum, limbs * bits);
        let op = int::Op::Requant { limbs, out_limbs, clamp: false };
        let mean = self.push(format!("{name}.mean"), op, &[sum], groups)?;
        let rows = (0..features).map(|j| vec![term(0, j, 1), term(1, j / n, -1)]).collect();
        self.push(format!("{name}.centred"), int::Op::Affine { rows }, &[x, mean], features)
    }
}

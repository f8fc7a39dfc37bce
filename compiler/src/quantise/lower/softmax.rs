//! Softmax over features: the centred input to one limb, exponentials by table, one reciprocal per token.

use super::{Lowering, Pending, QuantiseError, Ref, Val, pending::Kind, port::inverse};
use crate::quantise::{builder::term, residual_bits};
use nanozk_ir::float::UnaryFn;
use nanozk_ir::int::{self, Curve};

/// Nats beyond which centred inputs saturate: further apart, probabilities are 0 or 1 to eight digits.
const REACH: f64 = 20.0;
/// Bits of the largest possible sum of exponentials.
const SUM_BITS: u32 = 44;
/// Bits of the reciprocal's numerator.
const NUMERATOR_BITS: u32 = 60;

impl Lowering<'_> {
    /// Probabilities, exact integers at the residual scale.
    pub(super) fn softmax(&mut self, r: Ref) -> Result<Val, QuantiseError> {
        let (name, n, bits) = (self.name(r), self.features(r), self.b.limb_bits);
        let mut pending = self.centred_logits(r)?;
        for v in pending.peak.iter_mut().chain(&mut pending.bound) {
            v.iter_mut().for_each(|x| *x = x.min(REACH));
        }
        let x = self.requantised(pending, true)?;
        let (half, top) = (1i64 << (bits - 1), SUM_BITS - (n as f64).log2().ceil() as u32);
        let curve = |unit: &Vec<f64>| Curve {
            function: UnaryFn::Exp,
            origin: 2 * half - 1,
            unit: unit[0],
            scale: (1u64 << top) as f64,
            limit: 1 << top,
            last: None,
        };
        let curves: Vec<Curve> = x.unit.iter().map(curve).collect();
        let table = self.b.table(curves);
        let e = self.push(format!("{name}.exp"), int::Op::Table { table }, &[x.id], n)?;
        let total = int::Op::Affine { rows: vec![(0..n).map(|j| term(0, j, 1)).collect()] };
        let total = self.push(format!("{name}.total"), total, &[e], 1)?;
        let total = self.b.plus(format!("{name}.total.positive"), total, 1)?;
        let residual_bits = residual_bits(self.q());
        let limbs = ((NUMERATOR_BITS - residual_bits) / bits).max(1);
        let param = self.b.param(&vec![1i64 << (limbs * bits + residual_bits); self.layers()]);
        let recip = self.push(format!("{name}.recip"), int::Op::Recip { param }, &[total], 1)?;
        let recip = self.b.pick(format!("{name}.recip.all"), recip, &vec![0; n])?;
        let product = self.push(format!("{name}.product"), int::Op::Mul, &[e, recip], n)?;
        let out_limbs = self.b.limbs_after(product, limbs * bits);
        let op = int::Op::Requant { limbs, out_limbs, clamp: false };
        let id = self.push(name, op, &[product], n)?;
        Ok(Val::uniform(id, n, &inverse(&self.residual())))
    }

    /// The operand minus its mean over features, which softmax does not see: its greatest entry is never negative.
    fn centred_logits(&mut self, r: Ref) -> Result<Pending, QuantiseError> {
        let source = self.operand(r, 0);
        let n = self.features(source);
        let mut pending = self.pending(source)?;
        if let Kind::Exact(val) = &pending.kind {
            let val = val.clone();
            let narrow = self.fit_for_products(source, val)?;
            pending = self.diagonal(source, &narrow);
        }
        let Kind::Linear { x, positions: 1, mut effective, mut bias } = pending.kind else {
            return Err(self.unsupported(r, "softmax of a rotated value"));
        };
        let centre = |sum: f64| sum / n as f64;
        for row in effective.iter_mut().flat_map(|e| e.chunks_exact_mut(n)) {
            let mean = centre(row.iter().map(|&v| f64::from(v)).sum());
            row.iter_mut().for_each(|v| *v = (f64::from(*v) - mean) as f32);
        }
        for row in &mut bias {
            let mean = centre(row.iter().sum());
            row.iter_mut().for_each(|v| *v -= mean);
        }
        let mut centred = self.affine(source, x, 1, effective, bias);
        centred.peak.iter_mut().flatten().for_each(|v| *v *= 2.0);
        Ok(Pending { name: format!("{}.centred", self.name(r)), ..centred })
    }

    /// A linear map may read any integers; wide ones are brought to one limb first, so that weights keep their bits.
    fn fit_for_products(&mut self, r: Ref, val: Val) -> Result<Val, QuantiseError> {
        if self.b.limbs_after(val.id, 0) <= 1 {
            return Ok(val);
        }
        let pending = self.exactly(r, val);
        self.requantised(pending, false)
    }
}

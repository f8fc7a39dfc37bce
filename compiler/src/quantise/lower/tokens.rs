//! What all tokens share: sums of rows of tokens, and means of those that a mask shows.

use super::{Lowering, NoForm, QuantiseError, Ref, Val, numbers::inverse};
use crate::quantise::builder::term;
use nanozk_ir::int::{self, ops::Max};

/// Bits of the reciprocal of the greatest number of tokens.
const SHARE_BITS: u32 = 14;
/// Bits that products of the greatest value and that numerator have at most.
const PRODUCT_BITS: u32 = 61;

impl Lowering<'_> {
    /// A sum of rows at one scale.
    pub(super) fn token_sum(&mut self, r: Ref, of: &[u32], scale: &[f64]) -> Result<Val, QuantiseError> {
        let x = self.raw(self.operand(r, 0), scale)?;
        let (id, n) = (self.sum_of_rows(r, of, x.id)?, self.features(r));
        Ok(Val::uniform(id, n, &inverse(scale)))
    }

    /// A sum of rows of an activation, in one limb: that of one row is the row.
    pub(super) fn token_sum_act(&mut self, r: Ref, of: &[u32], uniform: bool) -> Result<Val, QuantiseError> {
        let x = self.act(self.operand(r, 0), uniform)?;
        let id = self.sum_of_rows(r, of, x.id)?;
        if of.len() == 1 {
            return Ok(Val { id, ..x });
        }
        // The mean is as wide as a row.
        let (name, n, count) = (self.name(r), self.features(r), of.len() as f64);
        let limb = f64::from(self.b.limb_bits).exp2();
        let share = (limb / count).round().max(1.0);
        let rows = (0..n).map(|j| vec![term(0, j, share as i64)]).collect();
        let id = self.push(format!("{name}.share"), int::ops::Affine { rows }.into(), &[id], n)?;
        let id = self.shrink(&name, id, 1, true)?;
        let times = |v: &Vec<Vec<f64>>, f: f64| v.iter().map(|row| row.iter().map(|u| u * f).collect()).collect();
        let offset = x.offset.as_ref().map(|offset| times(offset, count));
        Ok(Val { id, unit: times(&x.unit, limb / share), offset, centred: None })
    }

    /// The mean of the rows that a mask shows, at one scale: their sum times `floor(C / count)`, over C.
    pub(super) fn token_mean(&mut self, r: Ref, scale: &[f64]) -> Result<Val, QuantiseError> {
        let Ref::Port(port) = self.operand(r, 1) else {
            return Err(self.unsupported(r, NoForm::MeanMask));
        };
        let (name, n, tokens, bits) = (self.name(r), self.features(r), self.b.tokens, self.b.limb_bits);
        let (mask, x) = (self.ports[port].id, self.raw(self.operand(r, 0), scale)?);
        let (lo, hi) = self.b.bounds(x.id);
        let most = PRODUCT_BITS - (64 - lo.unsigned_abs().max(hi.unsigned_abs()).leading_zeros()).min(PRODUCT_BITS);
        let wanted = (tokens as f64).log2().ceil() as u32 + SHARE_BITS;
        let limbs = wanted.div_ceil(bits).min(most / bits).max(1);
        let sum = self.row_product(r, "sum", mask, x.id)?;
        let one = self.push(format!("{name}.one"), int::ops::Const { rows: 1, data: vec![1] }.into(), &[], 1)?;
        // No token shown is divided by 1.
        let rows = vec![(0..tokens).map(|u| term(0, u, 1)).collect(), vec![term(1, 0, 1)]];
        let counts = self.push(format!("{name}.counts"), int::ops::Affine { rows }.into(), &[mask, one], 2)?;
        let most = Max { groups: 1, limbs: self.b.spread_limbs(counts) };
        let count = self.push(format!("{name}.count"), most.into(), &[counts], 1)?;
        let param = self.b.param(&vec![1i64 << (limbs * bits); self.layers()]);
        let recip = self.push(format!("{name}.recip"), int::ops::Recip { param }.into(), &[count], 1)?;
        let recip = self.b.pick(format!("{name}.recip.all"), recip, &vec![0; n])?;
        let product = self.push(format!("{name}.product"), int::ops::Mul.into(), &[sum, recip], n)?;
        let id = self.shrink(&name, product, limbs, true)?;
        Ok(Val::uniform(id, n, &inverse(scale)))
    }

    fn sum_of_rows(&mut self, r: Ref, of: &[u32], x: int::ValueId) -> Result<int::ValueId, QuantiseError> {
        let tokens = self.b.tokens;
        let data = (0..tokens as u32).map(|u| i64::from(of.contains(&u))).collect();
        let shown =
            self.push(format!("{}.tokens", self.name(r)), int::ops::Const { rows: 1, data }.into(), &[], tokens)?;
        self.row_product(r, "rows", shown, x)
    }

    /// `y[t] = sum_u weights[t, u] x[u]`.
    fn row_product(
        &mut self,
        r: Ref,
        what: &str,
        weights: int::ValueId,
        x: int::ValueId,
    ) -> Result<int::ValueId, QuantiseError> {
        let n = self.b.features(x);
        let op = int::Op::Context(int::ops::Context { heads: 1, kv_heads: 1, head_dim: n as u32 });
        self.push(format!("{}.{what}", self.name(r)), op, &[weights, x], n)
    }
}

//! Whole numbers: integers that mean themselves, at the scale 1.

use super::{
    Lowering, NoForm, QuantiseError, Ref,
    numbers::{read, weights},
};
use crate::quantise::builder::term;
use nanozk_ir::{
    float::{self, PICK_ZERO},
    int::{
        self,
        ops::{Bits, Div, FloorDiv, MatMul, Max, Step},
    },
};

impl Lowering<'_> {
    /// Whether the values of `r` are whole numbers.
    pub(super) fn is_whole(&self, r: Ref) -> bool {
        self.graph.dag[self.node(0, r)].exact
    }

    /// The numbers of an exact node.
    pub(super) fn whole(&mut self, r: Ref) -> Result<int::ValueId, QuantiseError> {
        if let Some(&known) = self.wholes.get(&r) {
            return Ok(known);
        }
        let id = self.make_whole(r)?;
        self.wholes.insert(r, id);
        Ok(id)
    }

    fn make_whole(&mut self, r: Ref) -> Result<int::ValueId, QuantiseError> {
        use float::Op;
        if let Ref::Port(i) = r {
            return Ok(self.ports[i].id);
        }
        let (name, n) = (self.name(r), self.features(r));
        let op = match self.op(0, r) {
            Op::Const { data, .. } => {
                let data = data.iter().map(|&v| v as i64).collect();
                return self.push(name, int::ops::Const { rows: 1, data }.into(), &[], n);
            }
            Op::Add | Op::Sub => {
                let sign = if matches!(self.op(0, r), Op::Sub) { -1 } else { 1 };
                let (a, b) = (self.whole(self.operand(r, 0))?, self.whole(self.operand(r, 1))?);
                return self.b.combine(name, (a, 1), (b, sign));
            }
            Op::Scale(c) => {
                let rows = (0..n).map(|j| vec![term(0, j, *c as i64)]).collect();
                int::Op::Affine(int::ops::Affine { rows })
            }
            Op::Sum { sizes } => int::Op::Affine(int::ops::Affine { rows: stretches(sizes) }),
            Op::Pick { picks } => {
                let operands = (0..self.operands(r)).map(|i| self.whole(self.operand(r, i)));
                let operands = operands.collect::<Result<Vec<_>, _>>()?;
                return self.push(name, int::ops::Affine { rows: picked(picks) }.into(), &operands, n);
            }
            Op::Mul => {
                let (a, b) = (self.whole(self.operand(r, 0))?, self.whole(self.operand(r, 1))?);
                return self.push(name, int::ops::Mul.into(), &[a, b], n);
            }
            Op::MatMul { .. } => {
                let (a, b) = (self.whole(self.operand(r, 0))?, self.whole(self.operand(r, 1))?);
                return self.push(name, self.product_op(r).into(), &[a, b], n);
            }
            Op::Quotient => {
                let (a, b) = (self.whole(self.operand(r, 0))?, self.whole(self.operand(r, 1))?);
                let b = if self.b.bounds(b).0 < 1 { self.divisor(r, b)? } else { b };
                return self.push(name, self.quotient_op(a, b), &[a, b], n);
            }
            Op::Within { least, most } => {
                let x = self.whole(self.operand(r, 0))?;
                return self.within(r, x, i64::from(*least), i64::from(*most));
            }
            Op::Bits { count } => Bits { count: *count }.into(),
            Op::Linear { positions, .. } => self.whole_linear(r, *positions)?,
            Op::Embed { .. } => return Ok(self.embed(r, &vec![1.0; self.layers()])?.id),
            Op::Step | Op::FloorDiv { .. } | Op::Max { .. } | Op::ArgMax { .. } => return self.ordered(r),
            _ => {
                return Err(self.unsupported(r, NoForm::Inexact));
            }
        };
        let x = self.whole(self.operand(r, 0))?;
        self.push(name, op, &[x], n)
    }

    fn whole_linear(&mut self, r: Ref, positions: usize) -> Result<int::Op, QuantiseError> {
        let (name, n) = (self.name(r), self.features(r) / positions);
        let mut data = Vec::with_capacity(self.layers());
        for g in 0..self.layers() {
            let float::Op::Linear { weight: w, .. } = self.op(g, r) else { continue };
            data.push(weights(&name, read(&name, w)?.iter().map(|&v| v.into()))?);
        }
        let inner = data.first().map_or(0, Vec::len) / n;
        let weight = self.b.weight(inner, n, data);
        Ok(int::Op::Linear(int::ops::Linear { weight, bias: None, positions: positions as u32 }))
    }

    /// Comparisons and divisions, of whole or of real numbers at the scale of their stream.
    fn ordered(&mut self, r: Ref) -> Result<int::ValueId, QuantiseError> {
        let (name, n, source) = (self.name(r), self.features(r), self.operand(r, 0));
        let (x, scale) = match self.is_whole(source) {
            true => (self.whole(source)?, vec![1.0; self.layers()]),
            false => {
                let scale = self.scale(source);
                (self.raw(source, &scale)?.id, scale)
            }
        };
        let op: int::Op = match self.op(0, r) {
            float::Op::Step => Step { limbs: self.b.limbs_after(x, 0) }.into(),
            float::Op::FloorDiv { divisor } => {
                let divisor = f64::from(*divisor) * scale[0];
                if divisor.fract() != 0.0 || divisor >= 2f64.powi(61) || scale.iter().any(|s| *s != scale[0]) {
                    return Err(self.unsupported(r, NoForm::FractionalScale));
                }
                let (lo, hi) = self.b.bounds(x);
                let (lo, hi) = (lo.div_euclid(divisor as i64), hi.div_euclid(divisor as i64));
                FloorDiv { divisor: divisor as i64, limbs: self.b.signed_limbs(lo, hi) }.into()
            }
            float::Op::Max { groups } => Max { groups: *groups as u32, limbs: self.b.spread_limbs(x) }.into(),
            float::Op::ArgMax { groups } => {
                int::Op::ArgMax(int::ops::ArgMax { groups: *groups as u32, limbs: self.b.spread_limbs(x) })
            }
            _ => return Err(self.unsupported(r, NoForm::Op("a comparison"))),
        };
        self.push(name, op, &[x], n)
    }

    /// A divisor that may be 0 or less: inputs for which it is have no proof.
    fn divisor(&mut self, r: Ref, x: int::ValueId) -> Result<int::ValueId, QuantiseError> {
        if self.b.bounds(x).1 < 1 {
            return Err(self.unsupported(r, NoForm::Divisor));
        }
        self.checked(&format!("{}.divisor", self.name(r)), x, 1)
    }

    /// Whole numbers that may leave `least..=most`: inputs for which one does have no proof.
    fn within(&mut self, r: Ref, x: int::ValueId, least: i64, most: i64) -> Result<int::ValueId, QuantiseError> {
        let (name, (lo, hi)) = (self.name(r), self.b.bounds(x));
        if hi < least || lo > most {
            return Err(self.unsupported(r, NoForm::Index));
        }
        let mut x = x;
        if lo < least {
            x = self.checked(&format!("{name}.least"), x, least)?;
        }
        if hi > most {
            let room = self.b.minus(format!("{name}.room"), most, x)?;
            let room = self.checked(&format!("{name}.most"), room, 0)?;
            x = self.b.minus(format!("{name}.within"), most, room)?;
        }
        Ok(x)
    }

    /// `x`, from `least` on.
    fn checked(&mut self, name: &str, x: int::ValueId, least: i64) -> Result<int::ValueId, QuantiseError> {
        let (checked, less) = self.at_least(name, x, least, self.b.bounds(x).1)?;
        self.b.plus(format!("{name}.checked"), checked, less)
    }

    /// Makes inputs unprovable for which an element of `x`, of at most `most`, is below `least`: the range check of `x` less what
    /// comes second.
    pub(super) fn at_least(
        &mut self,
        name: &str,
        x: int::ValueId,
        least: i64,
        most: i64,
    ) -> Result<(int::ValueId, i64), QuantiseError> {
        let limbs = self.b.limbs(most - least);
        let less = (1i64 << (limbs * self.b.limb_bits - 1)) + least;
        let below = self.b.plus(format!("{name}.below"), x, -less)?;
        let n = self.b.features(x);
        Ok((self.push(name.to_owned(), int::ops::Range { limbs }.into(), &[below], n)?, less))
    }

    /// A quotient as wide as it can come out.
    fn quotient_op(&self, a: int::ValueId, b: int::ValueId) -> int::Op {
        let ((al, ah), (bl, bh)) = (self.b.bounds(a), self.b.bounds(b));
        let ends = [al.div_euclid(bl), al.div_euclid(bh), ah.div_euclid(bl), ah.div_euclid(bh)];
        let (lo, hi) = ends.iter().fold((i64::MAX, i64::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        Div { limbs: self.b.signed_limbs(lo, hi), rest_limbs: self.b.limbs(bh - 1) }.into()
    }

    /// The product of two activations as an integer op.
    pub(super) fn product_op(&self, r: Ref) -> MatMul {
        match self.op(0, r) {
            float::Op::MatMul { batch, rows, inner, cols } => {
                MatMul { batch: *batch as u32, rows: *rows as u32, inner: *inner as u32, cols: *cols as u32 }
            }
            _ => MatMul { batch: 0, rows: 0, inner: 0, cols: 0 },
        }
    }
}

/// Sums over consecutive stretches.
pub(super) fn stretches(sizes: &[u32]) -> Vec<Vec<int::Term>> {
    let mut from = 0;
    let row = |&size: &u32| {
        let terms = (from..from + size as usize).map(|j| term(0, j, 1)).collect();
        from += size as usize;
        terms
    };
    sizes.iter().map(row).collect()
}

/// Picked features, each a sum of one term or of none.
pub(super) fn picked(picks: &[(u32, u32)]) -> Vec<Vec<int::Term>> {
    let row = |&(operand, feature): &(u32, u32)| match (operand, feature) {
        PICK_ZERO => Vec::new(),
        _ => vec![term(operand, feature as usize, 1)],
    };
    picks.iter().map(row).collect()
}

//! Elementwise functions without a table: straight pieces by comparisons, square roots by their squares.

use super::{Lowering, NoForm, QuantiseError, Ref, Val};
use crate::quantise::{builder::term, straight::Straight};
use nanozk_ir::{
    float,
    int::{
        self, Term,
        ops::{Max, Root},
    },
};

/// Bits of factors that are no whole numbers.
const FACTOR_BITS: i32 = 16;

impl Lowering<'_> {
    /// The function's values: at `scale`, or as an activation.
    pub(super) fn compared(&mut self, r: Ref, scale: Option<&[f64]>) -> Result<Val, QuantiseError> {
        let operand = self.operand(r, 0);
        let x = match scale {
            Some(scale) => self.raw(operand, &scale.iter().map(|s| s.abs()).collect::<Vec<_>>())?,
            None => match self.act(operand, false)? {
                x if x.offset.is_some() => self.requantised(self.diagonal(operand, &x), false)?,
                x => x,
            },
        };
        if x.unit.iter().flatten().any(|u| *u <= 0.0) {
            return Err(self.unsupported(r, NoForm::NegativeUnits));
        }
        let y = match self.op(0, r) {
            float::Op::Unary(float::UnaryFn::Sqrt) => {
                // About as fine as the operand.
                let finer = scale.map_or(f64::from(self.b.limb_bits).exp2(), |scale| scale[0].abs().round().max(1.0));
                self.root(r, &x, finer as i64)?
            }
            _ => {
                let straight = self.straight(r)?;
                self.pieces(r, &straight, &x)?
            }
        };
        match scale {
            Some(scale) if y.unit.iter().zip(scale).all(|(unit, s)| unit.iter().all(|u| u * s == 1.0)) => Ok(y),
            Some(scale) => self.rescale(r, &y, scale),
            None if self.b.limbs_after(y.id, 0) <= self.b.limbs_after(x.id, 0) => Ok(y),
            None => self.requantised(self.exactly(r, y), false),
        }
    }

    /// `sqrt(x)`, 0 below 0, as the root of `finer` times the integers.
    fn root(&mut self, r: Ref, x: &Val, finer: i64) -> Result<Val, QuantiseError> {
        let (name, n) = (self.name(r), self.features(r));
        let radicand = match self.b.bounds(x.id) {
            (0.., _) => x.id,
            _ => self.beyond(r, format!("{name}.positive"), 0.0, x)?,
        };
        let rows = (0..n).map(|j| vec![term(0, j, finer)]).collect();
        let radicand = self.push(format!("{name}.scaled"), int::ops::Affine { rows }.into(), &[radicand], n)?;
        let most = self.b.bounds(radicand).1.isqrt();
        let op = Root { limbs: self.b.limbs(most), rest_limbs: self.b.limbs(2 * most) };
        let id = self.push(name, op.into(), &[radicand], n)?;
        let unit = x.unit.iter().map(|unit| unit.iter().map(|u| (u / finer as f64).sqrt()).collect()).collect();
        Ok(Val { id, unit, offset: None, centred: None })
    }

    /// The pieces of a function that is the same in all layers.
    fn straight(&self, r: Ref) -> Result<Straight, QuantiseError> {
        let of = |g: usize| match self.op(g, r) {
            float::Op::Unary(f) => Straight::of(f),
            _ => None,
        };
        let first = of(0).ok_or_else(|| self.unsupported(r, NoForm::Curved))?;
        match (1..self.layers()).all(|g| of(g).as_ref() == Some(&first)) {
            true => Ok(first),
            false => Err(self.unsupported(r, NoForm::Functions)),
        }
    }

    /// `offset + slope x + sum_i change_i max(x - at_i, 0)` for values without offsets: in the units of x, or in finer ones
    /// where a factor is no whole number.
    fn pieces(&mut self, r: Ref, f: &Straight, x: &Val) -> Result<Val, QuantiseError> {
        let (name, n) = (self.name(r), self.features(r));
        let mut beyond = Vec::with_capacity(f.bends.len());
        for (i, &(at, _)) in f.bends.iter().enumerate() {
            beyond.push(self.beyond(r, format!("{name}.{i}"), at, x)?);
        }
        let factors = || f.bends.iter().map(|bend| bend.1).chain([f.slope]);
        let bits = if factors().all(|c| c.fract() == 0.0) { 0 } else { FACTOR_BITS };
        let factor = |c: f64| (c * f64::from(bits).exp2()).round() as i64;
        let fine: Vec<f64> = vec![f64::from(-bits).exp2(); self.layers()];
        let unit = x.clone().scaled(&fine).unit;
        if (f.offset, f.slope, f.bends.len()) == (0.0, 0.0, 1) && factor(f.bends[0].1) == 1 {
            return Ok(Val { id: beyond[0], unit, offset: None, centred: None });
        }
        let mut inputs = vec![x.id];
        inputs.extend(&beyond);
        let mut rows: Vec<Vec<Term>> = vec![Vec::new(); n];
        for (j, row) in rows.iter_mut().enumerate() {
            let coefs = [f.slope].into_iter().chain(f.bends.iter().map(|bend| bend.1)).map(factor);
            row.extend(coefs.enumerate().filter(|(_, c)| *c != 0).map(|(input, c)| term(input as u32, j, c)));
        }
        if let Some(constant) = self.shared(r, format!("{name}.offset"), f.offset, &unit)? {
            rows.iter_mut().enumerate().for_each(|(j, row)| row.push(term(inputs.len() as u32, j, 1)));
            inputs.push(constant);
        }
        let id = self.push(name, int::ops::Affine { rows }.into(), &inputs, n)?;
        Ok(Val { id, unit, offset: None, centred: None })
    }

    /// `max(x - at, 0)`.
    fn beyond(&mut self, r: Ref, name: String, at: f64, x: &Val) -> Result<int::ValueId, QuantiseError> {
        let n = self.features(r);
        let at = self.shared(r, format!("{name}.bend"), at, &x.unit)?;
        let inputs: Vec<int::ValueId> = [x.id].into_iter().chain(at).collect();
        let less = |j: usize| {
            let x = [term(0, j, 1)].into_iter();
            x.chain(at.map(|_| term(1, j, -1))).collect()
        };
        let rows = (0..n).flat_map(|j| [less(j), Vec::new()]).collect();
        let pairs = self.push(format!("{name}.pairs"), int::ops::Affine { rows }.into(), &inputs, 2 * n)?;
        let op = Max { groups: n as u32, limbs: self.b.spread_limbs(pairs) };
        self.push(name, op.into(), &[pairs], n)
    }

    /// A number in units that are the same in all layers, as a structural constant; none for 0.
    fn shared(
        &mut self,
        r: Ref,
        name: String,
        value: f64,
        unit: &[Vec<f64>],
    ) -> Result<Option<int::ValueId>, QuantiseError> {
        if value == 0.0 {
            return Ok(None);
        }
        if unit.iter().any(|u| u != &unit[0]) {
            return Err(self.unsupported(r, NoForm::Units));
        }
        let data: Vec<i64> = unit[0].iter().map(|u| (value / u).round() as i64).collect();
        let n = data.len();
        self.push(name, int::ops::Const { rows: 1, data }.into(), &[], n).map(Some)
    }
}

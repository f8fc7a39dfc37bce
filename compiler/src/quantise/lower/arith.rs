//! Sums, products and views.

use super::{Lowering, NoForm, QuantiseError, Ref, Val, numbers::inverse, pending::Pending};
use crate::quantise::{builder::term, stats::known};
use nanozk_ir::{float, int};

impl Lowering<'_> {
    /// `a + sign * b` at one scale.
    pub(super) fn sum(&mut self, r: Ref, scale: &[f64], sign: i64) -> Result<Val, QuantiseError> {
        let (a, b) = (self.raw(self.operand(r, 0), scale)?, self.raw(self.operand(r, 1), scale)?);
        let id = self.b.combine(self.name(r), (a.id, 1), (b.id, sign))?;
        Ok(Val::uniform(id, self.features(r), &inverse(scale)))
    }

    /// A product with whole numbers at a fixed scale.
    pub(super) fn whole_product(&mut self, r: Ref, scale: &[f64]) -> Result<Val, QuantiseError> {
        let (a, b) = (self.operand(r, 0), self.operand(r, 1));
        let (whole, real) = if self.is_whole(a) { (a, b) } else { (b, a) };
        let (whole, real) = (self.whole(whole)?, self.raw(real, scale)?);
        let n = self.features(r);
        let id = self.push(self.name(r), int::ops::Mul.into(), &[whole, real.id], n)?;
        Ok(Val::uniform(id, n, &inverse(scale)))
    }

    /// Slice or concatenation of realised operands.
    pub(super) fn view(
        &mut self,
        r: Ref,
        mut realise: impl FnMut(&mut Self, Ref) -> Result<Val, QuantiseError>,
    ) -> Result<Val, QuantiseError> {
        let name = self.name(r);
        if let float::Op::Slice { start, len } = *self.op(0, r) {
            let x = realise(self, self.operand(r, 0))?;
            let picks: Vec<usize> = (start..start + len).collect();
            let id = self.b.pick(name, x.id, &picks)?;
            return Ok(x.picked(id, &picks));
        }
        let Ref::Node(node) = r else { return Err(self.unsupported(r, NoForm::Op("a view"))) };
        let operands = self.segments[0].operands[node].clone();
        let parts = operands.iter().map(|&o| realise(self, o)).collect::<Result<Vec<_>, _>>()?;
        let mut rows = Vec::new();
        for (i, p) in parts.iter().enumerate() {
            rows.extend((0..self.b.features(p.id)).map(|f| vec![term(i as u32, f, 1)]));
        }
        let (n, ids) = (rows.len(), parts.iter().map(|p| p.id).collect::<Vec<_>>());
        let id = self.push(name, int::Op::Affine(int::ops::Affine { rows }), &ids, n)?;
        let join = |part: &dyn Fn(&Val, usize) -> Vec<f64>| -> Vec<Vec<f64>> {
            (0..self.layers()).map(|g| parts.iter().flat_map(|p| part(p, g)).collect()).collect()
        };
        let offset = parts
            .iter()
            .any(|p| p.offset.is_some())
            .then(|| join(&|p, g| p.offset.as_ref().map_or_else(|| vec![0.0; p.unit[g].len()], |o| o[g].clone())));
        Ok(Val { id, unit: join(&|p, g| p.unit[g].clone()), offset, centred: None })
    }

    /// An activation without offset, for products.
    fn factor_of_product(&mut self, r: Ref) -> Result<Val, QuantiseError> {
        let val = self.act(r, false)?;
        if val.offset.is_none() {
            return Ok(val);
        }
        let pending = self.diagonal(r, &val);
        self.requantised(pending, false)
    }

    /// Both factors of a product. The scale of a table's output is free; it is chosen so that dropping one limb brings
    /// the product to its calibrated resolution.
    fn factors(&mut self, r: Ref) -> Result<(Val, Val), QuantiseError> {
        let (x, y) = (self.operand(r, 0), self.operand(r, 1));
        let free = |s: &Self, o: Ref| matches!(o, Ref::Node(_)) && matches!(s.op(0, o), float::Op::Unary(_));
        let (table, other) = match (free(self, x), free(self, y)) {
            _ if x == y => (None, x),
            (true, _) => (Some(x), y),
            (false, true) => (Some(y), x),
            (false, false) => (None, y),
        };
        let b = self.factor_of_product(other)?;
        let a = match table {
            Some(table) => {
                let limb = self.limb_max() * f64::from(self.b.limb_bits).exp2();
                let (peaks, inner) = (self.peaks(r), self.peak(table));
                let scale = |g: usize| {
                    let wanted = self.q().margin * peaks[g].iter().sum::<f64>();
                    let most = f64::from(2 * self.b.limb_bits).exp2() / inner[g].log2().ceil().exp2().min(1.0);
                    (limb * b.unit[g].iter().sum::<f64>() / known(wanted)).min(most)
                };
                let scales: Vec<f64> = (0..self.layers()).map(scale).collect();
                self.unary(table, Some(&scales))?
            }
            None if x == y => b.clone(),
            None => self.factor_of_product(x)?,
        };
        Ok((a, b))
    }

    /// A product with hidden constants, one for each feature: the integers of the other factor in other units.
    pub(super) fn gained(&mut self, r: Ref) -> Result<Option<Val>, QuantiseError> {
        let float::Op::Mul = self.op(0, r) else { return Ok(None) };
        let constant = |s: &Self, o: Ref| matches!(s.op(0, o), float::Op::Const { rows: 1, .. });
        let (a, b) = (self.operand(r, 0), self.operand(r, 1));
        let (x, gain) = match (constant(self, a), constant(self, b)) {
            (false, true) => (a, b),
            (true, false) => (b, a),
            _ => return Ok(None),
        };
        let n = self.features(r);
        if self.features(x) != n || self.features(gain) != n {
            return Ok(None);
        }
        let mut val = self.act(x, false)?;
        val.centred = None;
        for g in 0..self.layers() {
            let float::Op::Const { data, .. } = self.op(g, gain) else { return Ok(None) };
            for all in std::iter::once(&mut val.unit).chain(&mut val.offset) {
                all[g].iter_mut().zip(data).for_each(|(v, &c)| *v *= f64::from(c));
            }
        }
        Ok(Some(val))
    }

    /// The exact elementwise product, still to be requantised.
    pub(super) fn product(&mut self, r: Ref) -> Result<Pending, QuantiseError> {
        let (a, b) = self.factors(r)?;
        let n = self.features(r);
        if self.b.features(a.id) != n || self.b.features(b.id) != n {
            return Err(self.unsupported(r, NoForm::Widths));
        }
        let id = self.push(self.name(r), int::ops::Mul.into(), &[a.id, b.id], n)?;
        let unit = a.unit.iter().zip(&b.unit).map(|(u, v)| u.iter().zip(v).map(|(p, q)| p * q).collect()).collect();
        Ok(self.exactly(r, Val { id, unit, offset: None, centred: None }))
    }
}

//! Features in a new order, sums over stretches, greatest of groups.

use super::{Lowering, QuantiseError, Ref, Val, numbers::inverse, pending::Kind, whole};
use nanozk_ir::{
    float::{self, PICK_ZERO},
    int::{self, ops::Max},
};

impl Lowering<'_> {
    /// Picked features at one scale.
    pub(super) fn pick_raw(&mut self, r: Ref, picks: &[(u32, u32)], scale: &[f64]) -> Result<Val, QuantiseError> {
        let operands = (0..self.operands(r)).map(|i| Ok(self.raw(self.operand(r, i), scale)?.id));
        let operands = operands.collect::<Result<Vec<_>, QuantiseError>>()?;
        let n = picks.len();
        let id = self.push(self.name(r), int::ops::Affine { rows: whole::picked(picks) }.into(), &operands, n)?;
        Ok(Val::uniform(id, n, &inverse(scale)))
    }

    /// Picked features of activations. Several operands, or zeros between features, need one unit for all.
    pub(super) fn pick_act(&mut self, r: Ref, picks: &[(u32, u32)], uniform: bool) -> Result<Val, QuantiseError> {
        let count = self.operands(r);
        let zeros = picks.contains(&PICK_ZERO);
        let mut parts = Vec::with_capacity(count);
        for i in 0..count {
            parts.push(self.act(self.operand(r, i), uniform || zeros || count > 1)?);
        }
        let n = picks.len();
        if count > 1 {
            self.even_out(r, &mut parts)?;
        }
        let ids: Vec<int::ValueId> = parts.iter().map(|p| p.id).collect();
        let id = self.push(self.name(r), int::Op::Affine(int::ops::Affine { rows: whole::picked(picks) }), &ids, n)?;
        match (&parts[..], zeros) {
            ([only], false) => {
                let features: Vec<usize> = picks.iter().map(|p| p.1 as usize).collect();
                Ok(only.picked(id, &features))
            }
            _ => Ok(Val::uniform(id, n, &parts[0].unit.iter().map(|u| u[0]).collect::<Vec<_>>())),
        }
    }

    /// Brings the operands of `r`, each of one unit, to the coarsest of their units.
    fn even_out(&mut self, r: Ref, parts: &mut [Val]) -> Result<(), QuantiseError> {
        let coarsest: Vec<f64> =
            (0..self.layers()).map(|g| parts.iter().map(|p| p.unit[g][0].abs()).fold(0.0, f64::max)).collect();
        for (i, part) in parts.iter_mut().enumerate() {
            if part.unit.iter().zip(&coarsest).all(|(u, c)| u[0] == *c) {
                continue;
            }
            let operand = self.operand(r, i);
            let whole_factor = |(u, c): (&Vec<f64>, &f64)| (u[0] / c).fract() == 0.0;
            if part.unit.iter().zip(&coarsest).all(whole_factor) {
                *part = self.rescale(operand, part, &inverse(&coarsest))?;
                continue;
            }
            let pending = self.pending(operand)?;
            // Whole factors only approximate a scale; a linear map meets it.
            let pending = match pending.kind {
                Kind::Exact(_) => self.diagonal(operand, part),
                _ => pending,
            };
            let scales: Vec<Vec<f64>> = coarsest.iter().map(|c| vec![1.0 / c; pending.features]).collect();
            *part = self.emit(pending, &scales, 1.0, true)?;
        }
        Ok(())
    }

    /// Sums over stretches at one scale.
    pub(super) fn sum_raw(&mut self, r: Ref, sizes: &[u32], scale: &[f64]) -> Result<Val, QuantiseError> {
        let x = self.raw(self.operand(r, 0), scale)?;
        let rows = whole::stretches(sizes);
        let n = rows.len();
        let id = self.push(self.name(r), int::ops::Affine { rows }.into(), &[x.id], n)?;
        Ok(Val::uniform(id, n, &inverse(scale)))
    }

    /// Values of one unit with a positive one, so that greater integers are greater numbers.
    pub(super) fn upright(&mut self, r: Ref, x: Val) -> Result<Val, QuantiseError> {
        let units: Vec<f64> = x.unit.iter().map(|u| u[0]).collect();
        match units.iter().all(|u| *u > 0.0) {
            true => Ok(x),
            false => self.rescale(r, &x, &units.iter().map(|u| 1.0 / u.abs()).collect::<Vec<_>>()),
        }
    }

    /// The greatest of each group of values of one positive unit.
    pub(super) fn greatest(&mut self, r: Ref, x: Val) -> Result<Val, QuantiseError> {
        let n = self.features(r);
        let op = Max { groups: n as u32, limbs: self.b.spread_limbs(x.id) };
        let id = self.push(self.name(r), op.into(), &[x.id], n)?;
        Ok(Val::uniform(id, n, &x.unit.iter().map(|u| u[0]).collect::<Vec<_>>()))
    }

    /// Number of operands.
    pub(super) fn operands(&self, r: Ref) -> usize {
        match r {
            Ref::Node(node) => self.segments[0].operands[node].len(),
            Ref::Port(_) => 0,
        }
    }

    /// A hidden constant with one unit that fills a limb.
    pub(super) fn constant_act(&mut self, r: Ref) -> Result<Val, QuantiseError> {
        let greatest = |g: usize| match self.op(g, r) {
            float::Op::Const { data, .. } => data.iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max),
            _ => 0.0,
        };
        let scale = |g: usize| match greatest(g) {
            0.0 => 1.0,
            most => self.limb_max() / most,
        };
        let scales: Vec<f64> = (0..self.layers()).map(scale).collect();
        self.constant(r, &scales)
    }
}

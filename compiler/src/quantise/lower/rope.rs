//! Rotary embedding, fused with the requantisation of the projection it rotates.

use super::{
    Lowering, NoForm, QuantiseError, Ref, Val,
    numbers::inverse,
    pending::{Kind, Map, Pending},
    requantise::scaled_up,
};
use crate::quantise::builder::term;
use nanozk_ir::{float, int};

impl Lowering<'_> {
    pub(super) fn rope(&mut self, r: Ref) -> Result<Pending, QuantiseError> {
        let float::Op::Rope { heads, cos, sin } = self.op(0, r) else {
            return Err(self.unsupported(r, NoForm::Op("a rotary embedding")));
        };
        let mut inner = self.pending(self.operand(r, 0))?;
        if !matches!(inner.kind, Kind::Linear(Map { positions: 1, .. })) {
            let val = self.act(self.operand(r, 0), false)?;
            inner = self.diagonal_at(self.operand(r, 0), &val, 1);
        }
        let (n, dim) = (inner.features, inner.features / heads);
        let half = dim / 2;
        let turned = |bound: &Vec<f64>| -> Vec<f64> {
            let at = |j: usize, row: usize| {
                let c = j % dim;
                let (cos, sin) = (f64::from(cos[row * dim + c]).abs(), f64::from(sin[row * dim + c]).abs());
                cos * bound[j] + sin * bound[partner(j, dim, half)]
            };
            (0..n).map(|j| (0..cos.len() / dim).map(|t| at(j, t)).fold(0.0, f64::max)).collect()
        };
        let bound = inner.bound.iter().map(turned).collect();
        let kind = Kind::Rope { inner: Box::new(inner), heads: *heads, cos: cos.clone(), sin: sin.clone() };
        Ok(Pending { name: self.name(r), features: n, bound, peak: self.peaks(r), kind })
    }

    /// Emits the projection at `scales` (equal within each rotated pair), rotated, with one limb.
    pub(super) fn rotate(
        &mut self,
        inner: Pending,
        heads: usize,
        cos: &[f32],
        sin: &[f32],
        scales: &[Vec<f64>],
        wide: bool,
    ) -> Result<Val, QuantiseError> {
        let (n, bits, tokens) = (inner.features, self.b.limb_bits, self.b.tokens);
        let dim = n / heads;
        let half = dim / 2;
        let Kind::Linear(map) = inner.kind else {
            return Err(QuantiseError::Unsupported { node: inner.name, op: "Rope", why: NoForm::NoProjection });
        };
        let paired: Vec<Vec<f64>> =
            scales.iter().map(|s| (0..n).map(|j| s[j].min(s[partner(j, dim, half)])).collect()).collect();
        let name = inner.name;
        let raw = self.integer_linear(&name, map, &scaled_up(&paired, bits))?;
        let unit = f64::from(bits).exp2();
        let constant = |v: &[f32]| {
            let entry = |p: usize| (f64::from(v[p / n * dim + p % n % dim]) * unit).round() as i64;
            int::Op::Const(int::ops::Const { rows: tokens as u32, data: (0..tokens * n).map(entry).collect() })
        };
        let cos = self.push(format!("{name}.cos"), constant(cos), &[], n)?;
        let sin = self.push(format!("{name}.sin"), constant(sin), &[], n)?;
        let sign = |j: usize| if j % dim < half { -1 } else { 1 };
        let rows = (0..n).map(|j| vec![term(0, partner(j, dim, half), sign(j))]).collect();
        let turned = self.push(format!("{name}.turned"), int::ops::Affine { rows }.into(), &[raw], n)?;
        let straight = self.push(format!("{name}.straight"), int::ops::Mul.into(), &[raw, cos], n)?;
        let across = self.push(format!("{name}.across"), int::ops::Mul.into(), &[turned, sin], n)?;
        let sum = self.b.combine(format!("{name}.rotated"), (straight, 1), (across, 1))?;
        let id = self.shrink(&format!("{name}.rotated"), sum, 2, wide)?;
        Ok(Val { id, unit: paired.iter().map(|s| inverse(s)).collect(), offset: None, centred: None })
    }
}

/// The feature that is rotated with `j`.
pub(super) fn partner(j: usize, dim: usize, half: usize) -> usize {
    let c = j % dim;
    if c < half { j + half } else { j - half }
}

//! Products of two activations; with softmax weights as the first factor, means of the second.

use super::{Lowering, NoForm, QuantiseError, Ref, Val, numbers::inverse, pending::Pending, whole::picked};
use crate::quantise::builder::term;
use nanozk_ir::{
    float::{self, PICK_ZERO},
    int,
};

/// Softmax weights as the rows of a product, before they are divided by their sums.
pub(super) struct Weights {
    /// Unnormalised weights, as the first factor has them.
    weights: int::ValueId,
    /// `2^(limbs b)` divided by the sum of each row.
    reciprocals: int::ValueId,
    limbs: u32,
}

impl Lowering<'_> {
    /// The exact product, still to be requantised.
    pub(super) fn matmul(&mut self, r: Ref) -> Result<Pending, QuantiseError> {
        if let Some(weights) = self.weights(r)? {
            let mean = self.weighted(r, &weights)?;
            return Ok(self.diagonal(r, &mean));
        }
        let (x, z) = (self.act(self.operand(r, 0), true)?, self.act(self.operand(r, 1), true)?);
        let product = self.product_of(r, &x, &z)?;
        Ok(self.exactly(r, product))
    }

    fn product_of(&mut self, r: Ref, x: &Val, z: &Val) -> Result<Val, QuantiseError> {
        let n = self.features(r);
        let id = self.push(self.name(r), self.product_op(r).into(), &[x.id, z.id], n)?;
        let unit: Vec<f64> = x.unit.iter().zip(&z.unit).map(|(a, b)| a[0] * b[0]).collect();
        Ok(Val::uniform(id, n, &unit))
    }

    /// A product with whole numbers at a fixed scale.
    pub(super) fn matmul_raw(&mut self, r: Ref, scale: &[f64]) -> Result<Option<Val>, QuantiseError> {
        let (a, b) = (self.operand(r, 0), self.operand(r, 1));
        let n = self.features(r);
        let operands = match (self.is_whole(a), self.is_whole(b)) {
            (true, _) => [self.whole(a)?, self.raw(b, scale)?.id],
            (_, true) => [self.raw(a, scale)?.id, self.whole(b)?],
            _ => return Ok(None),
        };
        let id = self.push(self.name(r), self.product_op(r).into(), &operands, n)?;
        Ok(Some(Val::uniform(id, n, &inverse(scale))))
    }

    /// A product whose factors get units so that its own has at most `most` to 1.0, by layer.
    pub(super) fn matmul_within(&mut self, r: Ref, most: &[f64]) -> Result<Val, QuantiseError> {
        let mut factors = [self.pending(self.operand(r, 0))?, self.pending(self.operand(r, 1))?];
        let mut scales = Vec::new();
        for pending in &mut factors {
            let room = self.room(pending, true);
            scales.push(self.fit(pending, &room));
        }
        // Units beyond those wanted are taken from both factors alike.
        let excess = |g: usize| (scales[0][g][0] * scales[1][g][0] / most[g]).max(1.0).sqrt();
        let excess: Vec<f64> = (0..self.layers()).map(excess).collect();
        let mut made = Vec::new();
        for (pending, mut scale) in factors.into_iter().zip(scales) {
            for (s, e) in scale.iter_mut().zip(&excess) {
                s.iter_mut().for_each(|s| *s /= e);
            }
            made.push(self.emit(pending, &scale, SCORE_FACTOR, true)?);
        }
        self.product_of(r, &made[0], &made[1])
    }

    /// The softmax weights that the first factor of a product consists of, row by row; none when it has others.
    pub(super) fn weights(&mut self, r: Ref) -> Result<Option<Weights>, QuantiseError> {
        let float::Op::MatMul { inner, .. } = *self.op(0, r) else { return Ok(None) };
        let source = self.operand(r, 0);
        if matches!(source, Ref::Port(_)) {
            return Ok(None);
        }
        let (softmaxes, picks) = match self.op(0, source) {
            float::Op::Softmax { .. } => {
                let all = (0..self.features(source) as u32).map(|f| (0, f)).collect();
                (vec![source], all)
            }
            float::Op::Pick { picks } => {
                let operands: Vec<Ref> = (0..self.operands(source)).map(|i| self.operand(source, i)).collect();
                (operands, picks.clone())
            }
            _ => return Ok(None),
        };
        let Some(rows) = self.rows_of_groups(&softmaxes, &picks, inner) else { return Ok(None) };
        let most = softmaxes.iter().map(|&s| self.features(s) / groups_of(self.op(0, s)).max(1)).max().unwrap_or(1);
        let wanted = self.q().exp_bits + (most as f64).log2().ceil() as u32 + self.q().mean_bits;
        let bits = self.b.limb_bits;
        let limbs = wanted.div_ceil(bits).min(59 / bits - 1).max(1);
        let name = self.name(source);
        let param = self.b.param(&vec![1i64 << (limbs * bits); self.layers()]);
        let (mut weights, mut reciprocals) = (Vec::new(), Vec::new());
        for &softmax in &softmaxes {
            let (e, total) = self.exponentials_of(softmax)?;
            let groups = self.b.features(total);
            let op = int::Op::Recip(int::ops::Recip { param });
            reciprocals.push(self.push(format!("{}.recip", self.name(softmax)), op, &[total], groups)?);
            weights.push(e);
        }
        let n = picks.len();
        let op = int::Op::Affine(int::ops::Affine { rows: picked(&picks) });
        let weights = self.push(format!("{name}.weights"), op, &weights, n)?;
        let spread = rows.iter().map(|&(operand, group)| vec![term(operand, group, 1)]).collect();
        let op = int::Op::Affine(int::ops::Affine { rows: spread });
        let reciprocals = self.push(format!("{name}.recips"), op, &reciprocals, rows.len())?;
        Ok(Some(Weights { weights, reciprocals, limbs }))
    }

    /// Softmax and group that each row of `inner` picks is made of, when it is made of all entries of one group and zeros.
    fn rows_of_groups(&self, softmaxes: &[Ref], picks: &[(u32, u32)], inner: usize) -> Option<Vec<(u32, usize)>> {
        if softmaxes.iter().any(|s| matches!(s, Ref::Port(_)) || groups_of(self.op(0, *s)) == 0) {
            return None;
        }
        picks
            .chunks_exact(inner)
            .map(|row| {
                let &(operand, first) = row.iter().find(|p| **p != PICK_ZERO)?;
                let softmax = softmaxes[operand as usize];
                let size = self.features(softmax) / groups_of(self.op(0, softmax));
                let group = first as usize / size;
                let mut seen: Vec<usize> = row.iter().filter(|p| **p != PICK_ZERO).map(|p| p.1 as usize).collect();
                let same = row.iter().all(|p| *p == PICK_ZERO || p.0 == operand);
                seen.sort_unstable();
                (same && seen.into_iter().eq(group * size..(group + 1) * size)).then_some((operand, group))
            })
            .collect()
    }

    /// `sum_u e_u z_u / sum_u e_u`, in the units of z.
    pub(super) fn weighted(&mut self, r: Ref, weights: &Weights) -> Result<Val, QuantiseError> {
        let (name, n) = (self.name(r), self.features(r));
        let float::Op::MatMul { cols, .. } = *self.op(0, r) else {
            return Err(self.unsupported(r, NoForm::Op("a product")));
        };
        let z = self.act(self.operand(r, 1), true)?;
        let sum = self.push(format!("{name}.sum"), self.product_op(r).into(), &[weights.weights, z.id], n)?;
        let spread: Vec<usize> = (0..n).map(|j| j / cols).collect();
        let reciprocals = self.b.pick(format!("{name}.recip.all"), weights.reciprocals, &spread)?;
        let product = self.push(format!("{name}.product"), int::ops::Mul.into(), &[sum, reciprocals], n)?;
        let id = self.shrink(&name, product, weights.limbs, true)?;
        Ok(Val::uniform(id, n, &z.unit.iter().map(|u| u[0]).collect::<Vec<_>>()))
    }
}

/// Least whole factor on an exact factor of scores: their units must match.
const SCORE_FACTOR: f64 = 64.0;

/// Groups of a softmax; 0 for anything else.
fn groups_of(op: &float::Op) -> usize {
    match op {
        float::Op::Softmax { groups, .. } => *groups,
        _ => 0,
    }
}

//! Attention: one-limb q, k, v, raw scores, exponentials by table, one reciprocal per head, one-limb context.

use super::{
    Lowering, NoForm, QuantiseError, Ref, Val,
    numbers::weights,
    pending::{Kind, Pending},
    rope::partner,
};
use crate::quantise::builder::term;
use nanozk_ir::float::{self, HIDDEN};
use nanozk_ir::int;

/// Least integer factor on exact queries and keys, whose scales must match.
const LEAST_FACTOR: f64 = 512.0;

/// What one attention node fixes.
#[derive(Clone, Copy)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    causal: bool,
    key_mask: bool,
    bias: bool,
}

impl Shape {
    /// Key feature that query feature `j` meets.
    fn key(&self, j: usize) -> usize {
        let group = self.heads / self.kv_heads;
        j / self.head_dim / group * self.head_dim + j % self.head_dim
    }
}

impl Lowering<'_> {
    pub(super) fn attention(&mut self, r: Ref) -> Result<Val, QuantiseError> {
        let float::Op::Attention { heads, kv_heads, head_dim, causal, key_mask, bias, .. } = *self.op(0, r) else {
            return Err(self.unsupported(r, NoForm::Op("attention")));
        };
        let shape = Shape { heads, kv_heads, head_dim, causal, key_mask, bias };
        let factor = |g| match self.op(g, r) {
            float::Op::Attention { scale, .. } => f64::from(*scale),
            _ => 1.0,
        };
        let factor: Vec<f64> = (0..self.layers()).map(factor).collect();
        let (scores, product) = self.scores(r, shape, &factor)?;
        let weights = self.weights_of_keys(r, shape, scores, &product)?;
        let v = self.act(self.operand(r, 2), false)?;
        if v.offset.is_some() {
            return Err(self.unsupported(r, NoForm::Offset));
        }
        self.mean(r, shape, weights, &v)
    }

    /// Raw scores and, by layer, how many units they have per nat. The scales of q and k are chosen so that the
    /// exponential table covers what calibration and static bounds ask for.
    fn scores(&mut self, r: Ref, shape: Shape, factor: &[f64]) -> Result<(int::ValueId, Vec<f64>), QuantiseError> {
        let (qr, kr) = (self.operand(r, 0), self.operand(r, 1));
        // Tables of 2^b entries over raw / 2^b.
        let span = f64::from(2 * self.b.limb_bits).exp2();
        let mut product = vec![f64::MAX; self.layers()];
        for l in product.iter_mut() {
            *l = span / self.q().exp_range;
        }
        let q = self.pending(qr)?.scaled(factor);
        let k = self.pending(kr)?;
        let mark = self.b.mark();
        let (id, achieved) = self.emit_scores(r, shape, (q, k), &product)?;
        let step = |g: usize| f64::from(self.b.limb_bits).exp2() / achieved[g];
        for over_limbs in 0..=2 {
            // Shrinking the scores until every possible distance fits costs resolution.
            let most = self.most_distance(shape, over_limbs);
            let excess: Vec<f64> = (0..self.layers()).map(|g| self.distance(g, id, &self.keys(shape)) / most).collect();
            if most <= 0.0 || (0..self.layers()).any(|g| excess[g] > 1.0 && step(g) * excess[g] > self.q().exp_step) {
                continue;
            }
            if excess.iter().all(|&e| e <= 1.0) {
                break;
            }
            self.b.rollback(&mark);
            let product: Vec<f64> = achieved.iter().zip(&excess).map(|(p, e)| p / e.max(1.0) * 0.995).collect();
            let q = self.pending(qr)?.scaled(factor);
            let k = self.pending(kr)?;
            return self.emit_scores(r, shape, (q, k), &product);
        }
        Ok((id, achieved))
    }

    /// Largest distance between two scores of a row that `over_limbs` can hold beside the table; hidden keys stand
    /// another such distance and one table below.
    fn most_distance(&self, shape: Shape, over_limbs: u32) -> f64 {
        let table = f64::from(self.b.limb_bits).exp2();
        let held = table - 3.0 + f64::from(over_limbs * self.b.limb_bits).exp2();
        if shape.key_mask { (held - table) / 2.0 } else { held }
    }

    /// Emits q, k and their product with at most `most` units per nat; returns the units per nat achieved.
    fn emit_scores(
        &mut self,
        r: Ref,
        shape: Shape,
        (q, k): (Pending, Pending),
        most: &[f64],
    ) -> Result<(int::ValueId, Vec<f64>), QuantiseError> {
        let (q_most, k_most) = (self.finest(&q, shape), self.finest(&k, shape));
        let nq = q.features;
        let (mut q_scale, mut k_scale, mut product) = (Vec::new(), Vec::new(), Vec::new());
        for g in 0..self.layers() {
            // The coarsest query feature that meets each key feature.
            let mut meets = vec![f64::MAX; k.features];
            for j in 0..nq {
                let m = &mut meets[shape.key(j)];
                *m = m.min(q_most[g][j]);
            }
            let all = meets.iter().zip(&k_most[g]).map(|(a, b)| a * b).fold(f64::MAX, f64::min);
            let p = all.min(most[g]);
            let ks: Vec<f64> = meets.iter().zip(&k_most[g]).map(|(a, b)| b * (p / (a * b)).sqrt()).collect();
            q_scale.push((0..nq).map(|j| p / ks[shape.key(j)]).collect::<Vec<_>>());
            k_scale.push(ks);
            product.push(p);
        }
        let q = self.emit(q, &q_scale, LEAST_FACTOR, true)?;
        let k = self.emit(k, &k_scale, LEAST_FACTOR, true)?;
        let (heads, kv_heads, head_dim) = (shape.heads as u32, shape.kv_heads as u32, shape.head_dim as u32);
        let op = int::Op::Scores(int::ops::Scores { heads, kv_heads, head_dim });
        let id = self.push(format!("{}.scores", self.name(r)), op, &[q.id, k.id], shape.heads * self.b.tokens)?;
        let achieved = (0..self.layers())
            .map(|g| {
                let pairs = (0..nq).map(|j| 1.0 / (q.unit[g][j] * k.unit[g][shape.key(j)]));
                pairs.fold(0.0, f64::max).min(product[g] * 1.01)
            })
            .collect();
        Ok((id, achieved))
    }

    /// The finest scales that one limb allows, equal within rotated pairs.
    fn finest(&self, p: &Pending, shape: Shape) -> Vec<Vec<f64>> {
        let room = self.room(p, false);
        let mut scales = self.fit(p, &room);
        if matches!(p.kind, Kind::Rope { .. }) {
            for s in &mut scales {
                *s = (0..s.len()).map(|j| s[j].min(s[partner(j, shape.head_dim, shape.head_dim / 2)])).collect();
            }
        }
        scales
    }

    /// Scores of each head of one token.
    fn keys(&self, shape: Shape) -> Vec<u32> {
        vec![self.b.tokens as u32; shape.heads]
    }

    /// [`Lowering::exponentials`] of the scores of visible keys.
    fn weights_of_keys(
        &mut self,
        r: Ref,
        shape: Shape,
        mut scores: int::ValueId,
        product: &[f64],
    ) -> Result<int::ValueId, QuantiseError> {
        let name = self.name(r);
        if shape.bias {
            scores = self.add_bias(r, shape, scores, product)?;
        }
        if shape.key_mask {
            scores = self.hide_keys(r, shape, scores)?;
        }
        self.exponentials(&name, scores, product, self.keys(shape), shape.causal)
    }

    /// Adds hidden constants, those of keys that are hidden from a query lower than any table distance.
    fn add_bias(
        &mut self,
        r: Ref,
        shape: Shape,
        scores: int::ValueId,
        product: &[f64],
    ) -> Result<int::ValueId, QuantiseError> {
        let (name, bits, operand) = (self.name(r), self.b.limb_bits, self.operand(r, 3 + usize::from(shape.key_mask)));
        let mut data = Vec::with_capacity(self.layers());
        for (g, units) in product.iter().enumerate() {
            let float::Op::Const { data: bias, .. } = self.op(g, operand) else { continue };
            let shown = bias.iter().filter(|&&v| v != HIDDEN).map(|&v| f64::from(v) * units);
            let (least, most) = shown.fold((0f64, 0f64), |(lo, hi), v| (lo.min(v), hi.max(v)));
            let reach = self.distance(g, scores, &self.keys(shape)) + 2.0 + f64::from(bits).exp2();
            let below = least - (most - least) - reach * f64::from(bits).exp2();
            let entry = |&v: &f32| if v == HIDDEN { below } else { f64::from(v) * units };
            data.push(weights(&name, bias.iter().map(entry))?);
        }
        let n = shape.heads * self.b.tokens;
        let weight = self.b.weight(self.b.tokens, n, data);
        let bias = self.push(format!("{name}.bias"), int::ops::TokenBias { weight }.into(), &[], n)?;
        self.b.combine(format!("{name}.biased"), (scores, 1), (bias, 1))
    }

    /// Subtracts more than any table distance from the scores of hidden keys.
    fn hide_keys(&mut self, r: Ref, shape: Shape, scores: int::ValueId) -> Result<int::ValueId, QuantiseError> {
        let (name, bits, tokens) = (self.name(r), self.b.limb_bits, self.b.tokens);
        let Ref::Port(port) = self.operand(r, 3) else {
            return Err(self.unsupported(r, NoForm::AttentionMask));
        };
        let mask = self.ports[port].id;
        let widest = self.widest_distance(scores, &self.keys(shape));
        let big = ((widest.ceil() as i64 + (1 << bits)) << bits).max(1);
        let one = self.push(format!("{name}.one"), int::ops::Const { rows: 1, data: vec![1] }.into(), &[], 1)?;
        let row = |j: usize| vec![term(0, j, 1), term(1, j % tokens, big), term(2, 0, -big)];
        let n = shape.heads * tokens;
        let op = int::Op::Affine(int::ops::Affine { rows: (0..n).map(row).collect() });
        self.push(format!("{name}.masked"), op, &[scores, mask, one], n)
    }

    /// `sum_u e_u v_u / sum_u e_u`, one limb, in the units of v.
    fn mean(&mut self, r: Ref, shape: Shape, weights: int::ValueId, v: &Val) -> Result<Val, QuantiseError> {
        let (name, bits, tokens) = (self.name(r), self.b.limb_bits, self.b.tokens);
        let n = shape.heads * shape.head_dim;
        let wanted = self.q().exp_bits + (tokens as f64).log2().ceil() as u32 + self.q().mean_bits;
        let limbs = wanted.div_ceil(bits).min(59 / bits - 1).max(1);
        let rows = (0..shape.heads).map(|h| (0..tokens).map(|u| term(0, h * tokens + u, 1)).collect()).collect();
        let total = self.push(format!("{name}.total"), int::ops::Affine { rows }.into(), &[weights], shape.heads)?;
        let param = self.b.param(&vec![1i64 << (limbs * bits); self.layers()]);
        let recip = self.push(format!("{name}.recip"), int::ops::Recip { param }.into(), &[total], shape.heads)?;
        let (heads, kv_heads, head_dim) = (shape.heads as u32, shape.kv_heads as u32, shape.head_dim as u32);
        let op = int::Op::Context(int::ops::Context { heads, kv_heads, head_dim });
        let sum = self.push(format!("{name}.context"), op, &[weights, v.id], n)?;
        let picks: Vec<usize> = (0..n).map(|j| j / shape.head_dim).collect();
        let recip = self.b.pick(format!("{name}.recip.all"), recip, &picks)?;
        let product = self.push(format!("{name}.product"), int::ops::Mul.into(), &[sum, recip], n)?;
        let id = self.shrink(&name, product, limbs, true)?;
        Ok(v.picked(id, &(0..n).map(|j| shape.key(j)).collect::<Vec<_>>()))
    }
}

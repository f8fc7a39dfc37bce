//! Softmax over stretches of features: exponentials of the distance from the greatest, by table.

use super::{Lowering, NoForm, QuantiseError, Ref, Val, numbers::inverse, whole::picked};
use crate::quantise::builder::term;
use nanozk_ir::{
    float::{self, Hidden, UnaryFn},
    int::{self, Curve},
};

/// Bits of the numerator of the reciprocals of sums.
const NUMERATOR_BITS: f64 = 60.0;

impl Lowering<'_> {
    /// Probabilities at `scale`.
    pub(super) fn probabilities(&mut self, r: Ref, scale: &[f64]) -> Result<Val, QuantiseError> {
        let (name, n, bits) = (self.name(r), self.features(r), self.b.limb_bits);
        let (e, total) = self.exponentials_of(r)?;
        let groups = self.b.features(total);
        let finest = scale.iter().copied().fold(1.0, f64::max);
        let limbs = (((NUMERATOR_BITS - finest.log2()) / f64::from(bits)).floor() as u32).max(1);
        let numerator = |s: &f64| (s * f64::from(limbs * bits).exp2()).round() as i64;
        let param = self.b.param(&scale.iter().map(numerator).collect::<Vec<_>>());
        let recip = self.push(format!("{name}.recip"), int::ops::Recip { param }.into(), &[total], groups)?;
        let spread: Vec<usize> = (0..n).map(|j| j / (n / groups)).collect();
        let recip = self.b.pick(format!("{name}.recip.all"), recip, &spread)?;
        let product = self.push(format!("{name}.product"), int::ops::Mul.into(), &[e, recip], n)?;
        let out_limbs = self.b.limbs_after(product, limbs * bits);
        let op = int::Op::Requant(int::ops::Requant { limbs, out_limbs, clamp: false });
        let id = self.push(name, op, &[product], n)?;
        Ok(Val::uniform(id, n, &inverse(scale)))
    }

    /// Exponentials of all entries and their sums by group.
    pub(super) fn exponentials_of(&mut self, r: Ref) -> Result<(int::ValueId, int::ValueId), QuantiseError> {
        if let Some(&known) = self.weights.get(&r) {
            return Ok(known);
        }
        let float::Op::Softmax { groups, hidden } = *self.op(0, r) else {
            return Err(self.unsupported(r, NoForm::Op("a softmax")));
        };
        let (name, n, bits) = (self.name(r), self.features(r), self.b.limb_bits);
        let span = f64::from(2 * bits).exp2() / self.q().exp_range;
        let scores = self.scores_within(self.operand(r, 0), &vec![span; self.layers()])?;
        let product: Vec<f64> = scores.unit.iter().map(|u| 1.0 / u[0]).collect();
        let keys = vec![(n / groups) as u32; groups];
        let x = match hidden {
            Some(hidden) => {
                if !hidden.defined {
                    self.something_is_visible(r, groups)?;
                }
                self.hide(r, &scores, hidden, &keys)?
            }
            None => scores.id,
        };
        let e = self.exponentials(&name, x, &product, keys, false)?;
        let size = n / groups;
        let rows = (0..groups).map(|g| (g * size..(g + 1) * size).map(|j| term(0, j, 1)).collect()).collect();
        let total = self.push(format!("{name}.total"), int::ops::Affine { rows }.into(), &[e], groups)?;
        self.weights.insert(r, (e, total));
        Ok((e, total))
    }

    /// `exp(score - max)` by table, the greatest over groups of `keys` scores, from raw scores of `product` units per nat.
    pub(super) fn exponentials(
        &mut self,
        name: &str,
        scores: int::ValueId,
        product: &[f64],
        keys: Vec<u32>,
        causal: bool,
    ) -> Result<int::ValueId, QuantiseError> {
        let bits = self.b.limb_bits;
        let (entries, top) = (1i64 << bits, 1i64 << self.q().exp_bits);
        let curve = |p: &f64| Curve {
            function: UnaryFn::Exp,
            origin: 0,
            unit: -(entries as f64) / p,
            scale: top as f64,
            limit: top,
            last: Some(0),
        };
        let table = self.b.table(product.iter().map(curve));
        let beyond = self.widest_distance(scores, &keys) - (entries - 1) as f64;
        let over_limbs = if beyond <= 0.0 { 0 } else { ((beyond + 2.0).log2() / f64::from(bits)).ceil() as u32 };
        let n = keys.iter().sum::<u32>() as usize;
        let op = int::Op::Attend(int::ops::Attend { keys, table, limbs: 1, over_limbs, causal });
        self.push(format!("{name}.exp"), op, &[scores], n)
    }

    /// Largest possible distance between two shifted scores of a group in layer `g`.
    pub(super) fn distance(&self, g: usize, scores: int::ValueId, keys: &[u32]) -> f64 {
        int::ops::attend::spread(self.b.range(g, scores), keys) / f64::from(self.b.limb_bits).exp2() + 1.0
    }

    /// The largest of them over all layers.
    pub(super) fn widest_distance(&self, scores: int::ValueId, keys: &[u32]) -> f64 {
        (0..self.layers()).map(|g| self.distance(g, scores, keys)).fold(0.0, f64::max)
    }

    /// Puts hidden entries below all visible ones by more than the table of exponentials reaches, and those that more masks
    /// hide below those that fewer do.
    fn hide(&mut self, r: Ref, scores: &Val, hidden: Hidden, keys: &[u32]) -> Result<int::ValueId, QuantiseError> {
        let (name, bits, n) = (self.name(r), self.b.limb_bits, self.features(r));
        let visible = self.whole(self.operand(r, 1))?;
        let depth = (self.operands(r) > 2).then(|| self.whole(self.operand(r, 2))).transpose()?;
        let (lo, hi) = self.b.bounds(scores.id);
        let reach = (self.widest_distance(scores.id, keys).ceil() as i64 + (1 << bits)) << bits;
        let one = int::Op::Const(int::ops::Const { rows: 1, data: vec![1] });
        let one = depth.is_none().then(|| self.push(format!("{name}.one"), one, &[], 1)).transpose()?;
        // `below` less for each mask that hides the entry.
        let lowered = |s: &mut Self, x: int::ValueId, below: i64| {
            let name = format!("{name}.masked");
            match (depth, one) {
                (Some(depth), _) => s.b.combine(name, (x, 1), (depth, -below)),
                (None, one) => {
                    let row = |j: usize| vec![term(0, j, 1), term(1, j, below), term(2, 0, -below)];
                    let op = int::Op::Affine(int::ops::Affine { rows: (0..n).map(row).collect() });
                    s.push(name, op, &[x, visible].into_iter().chain(one).collect::<Vec<_>>(), n)
                }
            }
        };
        if hidden.replaces || hidden.absorbs {
            let below = reach.max(lo.abs().max(hi.abs()) + ((1 << bits) << bits));
            let name = format!("{}.shown", self.name(r));
            let shown = self.push(name, int::ops::Mul.into(), &[scores.id, visible], n)?;
            return lowered(self, shown, below);
        }
        // What is added need not be more than what leaves no trace.
        let added = scores.unit.iter().map(|u| (f64::from(-hidden.value) / u[0]).min(reach as f64));
        let added = added.fold(0.0, f64::max).ceil() as i64;
        lowered(self, scores.id, added)
    }

    /// Makes inputs unprovable that hide all of a stretch: the number of its visible entries is in `[1, 2^(limbs b)]`.
    fn something_is_visible(&mut self, r: Ref, groups: usize) -> Result<(), QuantiseError> {
        let (name, size) = (format!("{}.visible", self.name(r)), self.features(r) / groups);
        let visible = self.whole(self.operand(r, 1))?;
        let rows = (0..groups).map(|g| (g * size..(g + 1) * size).map(|j| term(0, j, 1)).collect()).collect();
        let count = self.push(format!("{name}.count"), int::ops::Affine { rows }.into(), &[visible], groups)?;
        self.at_least(&name, count, 1, size as i64).map(drop)
    }

    /// Exact values of one unit, at most `most` of them to 1.0 by layer: scores as they come out of a product, with what
    /// is added to them.
    fn scores_within(&mut self, r: Ref, most: &[f64]) -> Result<Val, QuantiseError> {
        use float::Op;
        if matches!(r, Ref::Node(_)) && !self.is_whole(r) {
            match self.op(0, r) {
                Op::Scale(_) => {
                    let factor = self.factor(r);
                    if factor.iter().all(|f| *f > 0.0) {
                        let inner: Vec<f64> = most.iter().zip(&factor).map(|(m, f)| m * f).collect();
                        return Ok(self.scores_within(self.operand(r, 0), &inner)?.scaled(&factor));
                    }
                }
                Op::Add | Op::Sub => {
                    let (a, b) = (self.operand(r, 0), self.operand(r, 1));
                    let sign = if matches!(self.op(0, r), Op::Sub) { -1 } else { 1 };
                    let (lead, other, signs) =
                        if self.holds_product(a) { (a, b, (1, sign)) } else { (b, a, (sign, 1)) };
                    if self.holds_product(lead) {
                        let x = self.scores_within(lead, most)?;
                        let scale: Vec<f64> = x.unit.iter().map(|u| 1.0 / u[0]).collect();
                        let y = self.raw(other, &scale)?;
                        let id = self.b.combine(self.name(r), (x.id, signs.0), (y.id, signs.1))?;
                        return Ok(Val { id, ..x });
                    }
                }
                Op::Pick { picks } if self.operands(r) == 1 && self.holds_product(r) => {
                    let picks = picks.clone();
                    let x = self.scores_within(self.operand(r, 0), most)?;
                    let op = int::Op::Affine(int::ops::Affine { rows: picked(&picks) });
                    let id = self.push(self.name(r), op, &[x.id], picks.len())?;
                    return Ok(Val::uniform(id, picks.len(), &x.unit.iter().map(|u| u[0]).collect::<Vec<_>>()));
                }
                Op::MatMul { .. } if self.holds_product(r) => return self.matmul_within(r, most),
                _ => {}
            }
        }
        self.raw(r, most)
    }

    /// Whether the value is a product of two real activations with constants, sums and views around it.
    fn holds_product(&self, r: Ref) -> bool {
        use float::Op;
        if matches!(r, Ref::Port(_)) || self.is_whole(r) {
            return false;
        }
        match self.op(0, r) {
            Op::MatMul { .. } => !self.is_whole(self.operand(r, 0)) && !self.is_whole(self.operand(r, 1)),
            Op::Scale(_) | Op::Pick { .. } => self.holds_product(self.operand(r, 0)),
            Op::Add | Op::Sub => self.holds_product(self.operand(r, 0)) || self.holds_product(self.operand(r, 1)),
            _ => false,
        }
    }
}

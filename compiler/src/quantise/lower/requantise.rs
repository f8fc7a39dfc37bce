//! Exact values at a scale: which scale leaves room, and the integers of one limb or more that come of it.

use super::{
    Lowering, NoForm, QuantiseError, Ref, Val,
    numbers::{inverse, weights},
    pending::{Kind, Map, Pending},
};
use crate::quantise::{builder::term, scales::USUAL_BITS, stats::known, ties::same};
use nanozk_ir::int;

/// Least factor by which an exact value is multiplied before requantisation: coarser factors would waste resolution.
const LEAST_FACTOR: f64 = 4.0;

/// Weight of the number of calibration values in the margin above their peak.
const FEW_SAMPLES: f64 = 8.0;
/// Bits that the greatest weight of an exact linear map may have less than a limb of at least [`USUAL_BITS`].
const WEIGHT_BITS: u32 = 6;
/// Limbs of a product that nothing saturates: bounds of more are far from anything it takes, and would make those of all
/// that follows useless.
const MOST_LIMBS: u32 = 2;
/// Least weight of a change of scale.
const LEAST_RESCALE: f64 = 512.0;

impl Lowering<'_> {
    /// The magnitudes that scales must leave room for, by layer and feature: static bounds where that costs little
    /// resolution, else calibrated ones (to be clamped).
    pub(super) fn room(&self, p: &Pending, uniform: bool) -> Vec<Vec<f64>> {
        let q = self.q();
        // Peaks of few samples say little about the next one, and what feeds a table saturates.
        let few = if uniform { FEW_SAMPLES / ((self.stats.rows() * p.features) as f64).sqrt() } else { 0.0 };
        let margin = q.margin * (1.0 + few);
        let size = |v: &[f64]| {
            if uniform { v.iter().copied().fold(0.0, f64::max) } else { v.iter().map(|x| x * x).sum::<f64>().sqrt() }
        };
        let affordable = (0..self.layers()).all(|g| size(&p.bound[g]) <= q.coarsest * margin * size(&p.peak[g]));
        let mut room: Vec<Vec<f64>> = if affordable {
            p.bound.clone()
        } else {
            let limit = |b: &Vec<f64>, k: &Vec<f64>| {
                let typical = size(k) / (k.len() as f64).sqrt();
                b.iter().zip(k).map(|(b, k)| b.min(margin * k.max(typical * 0.5))).collect()
            };
            p.bound.iter().zip(&p.peak).map(|(b, k)| limit(b, k)).collect()
        };
        for v in &mut room {
            let most = known(v.iter().copied().fold(0.0, f64::max));
            v.iter_mut().for_each(|x| *x = if uniform { most } else { x.max(most * 1e-3) });
        }
        room
    }

    /// Scales that put `room` at the end of one limb, with space for the rounding of weights.
    pub(super) fn fit(&self, p: &Pending, room: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let slack = |g: usize| match &p.kind {
            Kind::Linear(map) => self.rounding(g, map),
            Kind::Rope { inner, .. } => match &inner.kind {
                Kind::Linear(map) => 1.5 * self.rounding(g, map) + 1.0,
                _ => 2.0,
            },
            Kind::Exact(_) => 1.0,
        };
        let max = self.limb_max();
        (0..self.layers()).map(|g| room[g].iter().map(|r| (max - slack(g)).max(max * 0.5) / r).collect()).collect()
    }

    /// Units that the rounding of integer weights can add to a result of one limb.
    fn rounding(&self, g: usize, map: &Map) -> f64 {
        let range = self.b.range(g, map.x.id);
        // Operands of one output.
        let n = if map.diagonal { 1 } else { range.lo.len() / map.positions };
        let sum = |p: usize| (p * n..(p + 1) * n).map(|j| range.peak(j)).sum::<f64>();
        let l1 = (0..range.lo.len() / n).map(sum).fold(0.0, f64::max).min(range.norm * (n as f64).sqrt());
        0.5 * l1 / f64::from(self.b.limb_bits).exp2() + 2.0
    }

    /// One limb at scales of the quantiser's choice.
    pub(super) fn requantised(&mut self, p: Pending, uniform: bool) -> Result<Val, QuantiseError> {
        let room = self.room(&p, uniform);
        let scales = self.fit(&p, &room);
        self.emit(p, &scales, LEAST_FACTOR, !uniform)
    }

    /// One limb, or more if its consumers take them (`wide`), at the unit of values that it is tied to, by layer. An exact
    /// value that meets it with no small factor gets one that meets it nearly.
    pub(super) fn requantised_at(&mut self, p: Pending, unit: &[f64], wide: bool) -> Result<Val, QuantiseError> {
        // A factor that is whole but for rounding is whole.
        let scales: Vec<Vec<f64>> = unit.iter().map(|u| vec![(1.0 + 1e-9) / u; p.features]).collect();
        let Kind::Exact(val) = &p.kind else { return self.emit(p, &scales, LEAST_FACTOR, wide) };
        let (mark, bits, kind) = (self.b.mark(), self.b.limb_bits, Kind::Exact(val.clone()));
        let near = Pending { name: p.name.clone(), features: p.features, bound: Vec::new(), peak: Vec::new(), kind };
        let near = self.emit(near, &scales, LEAST_FACTOR, wide)?;
        if near.unit.iter().zip(unit).all(|(all, u)| all.iter().all(|own| same(own.abs(), *u, bits))) {
            return Ok(near);
        }
        self.b.rollback(&mark);
        self.emit(p, &scales, f64::from(bits).exp2(), wide)
    }

    /// The value at the given scales (by layer and feature), see [`Lowering::shrink`] for its limbs. An exact value is multiplied by integer factors of at least `least_factor`, so its scales are only approximated; the
    /// result's units are exact.
    pub(super) fn emit(
        &mut self,
        p: Pending,
        scales: &[Vec<f64>],
        least_factor: f64,
        wide: bool,
    ) -> Result<Val, QuantiseError> {
        let n = p.features;
        let bits = self.b.limb_bits;
        match p.kind {
            Kind::Linear(map) => {
                let positions = map.positions;
                let id = self.integer_linear(&p.name, map, &scaled_up(scales, bits))?;
                let id = self.shrink(&p.name, id, 1, wide)?;
                let unit = scales.iter().map(|s| inverse(s).repeat(positions)).collect();
                Ok(Val { id, unit, offset: None, centred: None })
            }
            Kind::Rope { inner, heads, cos, sin } => self.rotate(*inner, heads, &cos, &sin, scales, wide),
            Kind::Exact(val) => {
                let factor = |limbs: u32, g: usize, j: usize| {
                    scales[g][j] * val.unit[g][j].abs() * f64::from(limbs * bits).exp2()
                };
                let all = |limbs: u32| (0..n).flat_map(move |j| (0..scales.len()).map(move |g| (limbs, g, j)));
                // With room above one limb, a factor of 1 may leave the result a little finer than asked.
                let enough = |limbs: u32| {
                    let mean = all(limbs).map(|(l, g, j)| factor(l, g, j)).sum::<f64>() / (n * scales.len()) as f64;
                    let least = all(limbs).map(|(l, g, j)| factor(l, g, j).floor()).fold(f64::MAX, f64::min);
                    least >= least_factor || wide && least_factor <= LEAST_FACTOR && mean >= 0.5
                };
                let limbs = (1..4).find(|&l| enough(l)).unwrap_or(4);
                // Factors are structure: one per feature for the whole group, the least that fits every layer.
                let factors: Vec<i64> = (0..n)
                    .map(|j| {
                        let least = (0..scales.len()).map(|g| factor(limbs, g, j).floor()).fold(f64::MAX, f64::min);
                        least.max(1.0) as i64
                    })
                    .collect();
                let rows = factors.iter().enumerate().map(|(j, &c)| vec![term(0, j, c)]).collect();
                let id = self.push(format!("{}.scaled", p.name), int::ops::Affine { rows }.into(), &[val.id], n)?;
                let far = self.b.limbs_after(id, limbs * bits) > MOST_LIMBS;
                let id = self.shrink(&p.name, id, limbs, wide && !far)?;
                let down = f64::from(limbs * bits).exp2();
                let unit = val.unit.iter().map(|u| u.iter().zip(&factors).map(|(u, &c)| u * down / c as f64).collect());
                Ok(Val { id, unit: unit.collect(), offset: None, centred: None })
            }
        }
    }

    /// Drops limbs. Where static bounds do not confine the result to one limb, it gets more limbs if its consumers
    /// take them (`wide`), and is saturated otherwise; both cost the same, and only tables need one limb.
    pub(super) fn shrink(
        &mut self,
        name: &str,
        x: int::ValueId,
        limbs: u32,
        wide: bool,
    ) -> Result<int::ValueId, QuantiseError> {
        let needed = self.b.limbs_after(x, limbs * self.b.limb_bits);
        let clamp = needed > 1 && !wide;
        let out_limbs = if clamp { 1 } else { needed };
        let n = self.b.features(x);
        self.push(format!("{name}.q"), int::ops::Requant { limbs, out_limbs, clamp }.into(), &[x], n)
    }

    /// The linear map with weights rounded at `scales` (by layer and feature).
    pub(super) fn integer_linear(
        &mut self,
        name: &str,
        map: Map,
        scales: &[Vec<f64>],
    ) -> Result<int::ValueId, QuantiseError> {
        let n = scales[0].len();
        let (mut ws, mut bs) = (Vec::new(), Vec::new());
        for ((e, b), s) in map.effective.into_iter().zip(&map.bias).zip(scales) {
            ws.push(weights(name, e.iter().enumerate().map(|(p, &v)| f64::from(v) * s[p % n]))?);
            bs.push(weights(name, b.iter().zip(s).map(|(v, s)| v * s))?);
        }
        let biased = bs.iter().flatten().any(|&v| v != 0);
        let (rows, cols) = if map.diagonal { (n, 1) } else { (self.b.features(map.x.id) / map.positions, n) };
        let weight = self.b.weight(rows, cols, ws);
        let bias = biased.then(|| self.b.weight(1, n, bs));
        let positions = map.positions as u32;
        let op = match map.diagonal {
            true => int::Op::Diagonal(int::ops::Diagonal { weight, bias, positions }),
            false => int::Op::Linear(int::ops::Linear { weight, bias, positions }),
        };
        self.push(name.into(), op, &[map.x.id], map.positions * n)
    }

    /// A linear map at a fixed scale: exact, or with one limb more that is dropped where its weights would have too few
    /// bits.
    pub(super) fn linear_at(&mut self, r: Ref, scale: &[f64]) -> Result<Val, QuantiseError> {
        let pending = self.pending(r)?;
        let least = f64::from(self.b.limb_bits.max(USUAL_BITS) - WEIGHT_BITS).exp2();
        // That of the layer with the smallest ones: a loud layer says nothing of the others.
        let greatest = match &pending.kind {
            Kind::Linear(Map { effective, .. }) => {
                let of = |(e, s): (&Vec<f32>, &f64)| e.iter().map(|v| f64::from(v.abs()) * s).fold(0.0, f64::max);
                effective.iter().zip(scale).map(of).filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min)
            }
            _ => least,
        };
        if greatest >= least { self.exact(pending, scale) } else { self.rounded(pending, scale) }
    }

    /// A linear map at a fixed scale, rounded from one limb more.
    fn rounded(&mut self, p: Pending, scale: &[f64]) -> Result<Val, QuantiseError> {
        let scales: Vec<Vec<f64>> = scale.iter().map(|&s| vec![s; p.features]).collect();
        self.emit(p, &scales, LEAST_FACTOR, true)
    }

    /// A linear map at a fixed scale, exact.
    pub(super) fn exact(&mut self, p: Pending, scale: &[f64]) -> Result<Val, QuantiseError> {
        let Pending { name, features, kind, .. } = p;
        match kind {
            Kind::Linear(map) => {
                let scales: Vec<Vec<f64>> = scale.iter().map(|&s| vec![s; features]).collect();
                let positions = map.positions;
                let id = self.integer_linear(&name, map, &scales)?;
                Ok(Val::uniform(id, positions * features, &inverse(scale)))
            }
            _ => Err(QuantiseError::Unsupported { node: name, op: "Linear", why: NoForm::Op("a linear map") }),
        }
    }

    /// The same real values at another scale. A factor of few bits gets another limb that is dropped, unless it is whole.
    pub(super) fn rescale(&mut self, r: Ref, x: &Val, scale: &[f64]) -> Result<Val, QuantiseError> {
        let factors = || x.unit.iter().zip(scale).flat_map(|(u, s)| u.iter().map(move |u| u * s));
        let greatest = factors().map(f64::abs).fold(0.0, f64::max);
        let coarse = greatest < LEAST_RESCALE && factors().any(|f| (f - f.round()).abs() > 1e-9 * f.abs());
        let finer = if coarse { f64::from(self.b.limb_bits).exp2() } else { 1.0 };
        let whole = || factors().map(|f| (f * finer).round() as i64);
        let features = self.b.features(x.id);
        match whole().next() {
            // A public factor where one serves all features and layers, else a hidden one for each kind of feature.
            Some(factor) if x.offset.is_none() && factor != 0 && whole().all(|f| f == factor) => {
                let rows = (0..features).map(|f| vec![term(0, f, factor)]).collect();
                let name = self.name(r);
                let mut id = self.push(name.clone(), int::ops::Affine { rows }.into(), &[x.id], features)?;
                if coarse {
                    id = self.shrink(&name, id, 1, true)?;
                }
                Ok(Val::uniform(id, features, &inverse(scale)))
            }
            _ => {
                let pending = self.diagonal_at(r, x, x.period());
                if coarse { self.rounded(pending, scale) } else { self.exact(pending, scale) }
            }
        }
    }
}

/// Scales times `2^bits`.
pub(super) fn scaled_up(scales: &[Vec<f64>], bits: u32) -> Vec<Vec<f64>> {
    let f = f64::from(bits).exp2();
    scales.iter().map(|s| s.iter().map(|v| v * f).collect()).collect()
}

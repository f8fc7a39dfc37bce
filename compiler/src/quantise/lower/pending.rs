//! Values that still await their scale: exact sums before requantisation.

use super::{Lowering, QuantiseError, Ref, Val, port::inverse, read, weights};
use crate::quantise::{USUAL_BITS, builder::term, known, ties::same};
use nanozk_ir::{float, int};

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

/// An exact value whose scale is still free.
pub(super) struct Pending {
    pub name: String,
    /// Features of one position.
    pub features: usize,
    /// Static bound on the real magnitude, by layer and feature, over all positions.
    pub bound: Vec<Vec<f64>>,
    /// Largest calibrated real magnitude, by layer and feature, over all positions.
    pub peak: Vec<Vec<f64>>,
    pub kind: Kind,
}

/// `sum_i int_i effective[i, j] + bias_j`, or `int_j effective[j] + bias_j`.
pub(super) struct Map {
    /// The operand.
    pub x: Val,
    /// How often the map is applied side by side.
    pub positions: usize,
    /// Whether nothing but the diagonal of the matrix is there.
    pub diagonal: bool,
    /// Real contribution of one unit of the operand, by layer: row-major `[in, features]`, or the diagonal `[features]`.
    pub effective: Vec<Vec<f32>>,
    /// By layer and feature.
    pub bias: Vec<Vec<f64>>,
}

pub(super) enum Kind {
    /// A linear map of integers.
    Linear(Map),
    /// A rotation of pairs of the features of a linear map.
    Rope {
        /// The linear map.
        inner: Box<Pending>,
        /// Number of heads.
        heads: usize,
        /// `[tokens, head_dim]`.
        cos: Vec<f32>,
        /// `[tokens, head_dim]`.
        sin: Vec<f32>,
    },
    /// Exact integers without offset.
    Exact(Val),
}

impl Pending {
    /// The same value times a factor per layer.
    pub fn scaled(mut self, factor: &[f64]) -> Self {
        for (g, f) in factor.iter().enumerate() {
            let times = |v: &mut Vec<f64>, f: f64| v.iter_mut().for_each(|x| *x *= f);
            times(&mut self.bound[g], f.abs());
            times(&mut self.peak[g], f.abs());
            match &mut self.kind {
                Kind::Linear(Map { effective, bias, .. }) => {
                    effective[g].iter_mut().for_each(|x| *x = (f64::from(*x) * f) as f32);
                    times(&mut bias[g], *f);
                }
                Kind::Exact(val) => times(&mut val.unit[g], *f),
                Kind::Rope { .. } => {}
            }
        }
        if let Kind::Rope { inner, heads, cos, sin } = self.kind {
            self.kind = Kind::Rope { inner: Box::new(inner.scaled(factor)), heads, cos, sin };
        }
        self
    }
}

impl Lowering<'_> {
    /// The exact value of `r` with a free scale.
    pub(super) fn pending(&mut self, r: Ref) -> Result<Pending, QuantiseError> {
        use float::Op;
        if matches!(r, Ref::Node(_)) {
            match self.op(0, r) {
                Op::Linear { .. } => return self.linear(r),
                Op::Mul => {
                    return match self.gained(r)? {
                        Some(gained) => Ok(self.diagonal(r, &gained)),
                        None => self.product(r),
                    };
                }
                Op::Rope { .. } => return self.rope(r),
                Op::Scale(_) => {
                    let factor = self.factor(r);
                    return Ok(self.pending(self.operand(r, 0))?.scaled(&factor));
                }
                Op::Slice { start, len } => {
                    let inner = self.pending(self.operand(r, 0))?;
                    if let Some(part) = self.sliced(inner, *start, *len)? {
                        return Ok(Pending { name: self.name(r), ..part });
                    }
                }
                Op::MatMul { .. } => return self.matmul(r),
                Op::Norm { .. } | Op::Unary(_) | Op::Attention { .. } | Op::Concat => {
                    let val = self.act(r, false)?;
                    return Ok(self.diagonal(r, &val));
                }
                _ => {}
            }
        }
        let scale = self.scale(r);
        let val = self.raw(r, &scale)?;
        Ok(self.exactly(r, val))
    }

    /// Features `start..start + len` of a linear map; `None` for anything else.
    fn sliced(&mut self, mut p: Pending, start: usize, len: usize) -> Result<Option<Pending>, QuantiseError> {
        let Kind::Linear(map @ Map { positions: 1, .. }) = &mut p.kind else { return Ok(None) };
        if map.diagonal {
            let picks: Vec<usize> = (start..start + len).collect();
            let id = self.b.pick(format!("{}.part", p.name), map.x.id, &picks)?;
            map.x = map.x.picked(id, &picks);
        }
        for e in &mut map.effective {
            *e = e.chunks_exact(p.features).flat_map(|row| row[start..start + len].to_vec()).collect();
        }
        for v in map.bias.iter_mut().chain(&mut p.bound).chain(&mut p.peak) {
            *v = v[start..start + len].to_vec();
        }
        p.features = len;
        Ok(Some(p))
    }

    fn linear(&mut self, r: Ref) -> Result<Pending, QuantiseError> {
        let float::Op::Linear { positions, .. } = *self.op(0, r) else {
            return Err(self.unsupported(r, "not a linear map"));
        };
        let source = self.operand(r, 0);
        let mut x = self.act(source, false)?;
        // One map for all positions reads features whose units repeat.
        if x.repeats(positions).is_none() {
            x = self.act(source, true)?;
        }
        let n = self.features(r) / positions;
        let (mut units, offsets) = x.repeats(positions).unwrap_or_else(|| (x.unit.clone(), x.offset.clone()));
        // Units that differ by rounding only are one.
        if let Some(tied) = self.tied_unit(source)
            && units.iter().zip(tied).all(|(all, u)| all.iter().all(|own| same(*own, *u, self.b.limb_bits)))
        {
            units.iter_mut().zip(tied).for_each(|(all, u)| all.fill(*u));
        }
        let (mut effective, mut bias) = (Vec::new(), Vec::new());
        for g in 0..self.layers() {
            let float::Op::Linear { weight, bias: own, .. } = self.op(g, r) else { continue };
            let weight = read(&self.name(r), weight)?;
            let mut sum: Vec<f64> = match own {
                Some(b) => b.iter().map(|&v| v.into()).collect(),
                None => vec![0.0; n],
            };
            if let Some(offset) = &offsets {
                for (o, row) in offset[g].iter().zip(weight.chunks_exact(n)) {
                    sum.iter_mut().zip(row).for_each(|(s, &w)| *s += o * f64::from(w));
                }
            }
            let mut e = Vec::with_capacity(weight.len());
            for (row, u) in weight.chunks_exact(n).zip(&units[g]) {
                e.extend(row.iter().map(|&w| (f64::from(w) * u) as f32));
            }
            if x.centred == Some(units[g].len()) {
                centre_columns(&mut e, n);
            }
            effective.push(e);
            bias.push(sum);
        }
        Ok(self.mapped(r, Map { x, positions, diagonal: false, effective, bias }))
    }

    /// The identity as a linear map, to change units or remove an offset.
    pub(super) fn diagonal(&self, r: Ref, x: &Val) -> Pending {
        // With several tokens, scales may differ from feature to feature.
        self.diagonal_at(r, x, if self.graph.tokens == 1 { x.period() } else { 1 })
    }

    /// The same with equal scales at each of `positions`.
    pub(super) fn diagonal_at(&self, r: Ref, x: &Val, positions: usize) -> Pending {
        let (unit, offset) = x.repeats(positions).unwrap_or_else(|| (x.unit.clone(), x.offset.clone()));
        let n = self.b.features(x.id) / positions;
        let effective = unit.iter().map(|row| row.iter().map(|&u| u as f32).collect()).collect();
        let bias = offset.unwrap_or_else(|| vec![vec![0.0; n]; self.layers()]);
        self.mapped(r, Map { x: x.clone(), positions, diagonal: true, effective, bias })
    }

    /// A linear map, still to be scaled.
    fn mapped(&self, r: Ref, map: Map) -> Pending {
        let n = map.bias[0].len();
        let reach = |g| if map.diagonal { self.reach_of_diagonal(g, &map) } else { self.reach(g, &map) };
        let bound = (0..self.layers()).map(reach).collect();
        let peak = self.peaks(r).iter().map(|p| greatest(p, n)).collect();
        Pending { name: self.name(r), features: n, bound, peak, kind: Kind::Linear(map) }
    }

    /// Static bounds on the magnitudes of a diagonal map in layer `g`, over all positions.
    fn reach_of_diagonal(&self, g: usize, map: &Map) -> Vec<f64> {
        let (range, n) = (self.b.range(g, map.x.id), map.bias[g].len());
        let form = range.form.as_ref().filter(|f| f.is_ball());
        let of = |j: usize| form.map_or(range.norm, |f| f.reach(j) + f.noise[j]).min(range.peak(j));
        let most = (0..range.lo.len()).fold(vec![0f64; n], |mut most, j| {
            most[j % n] = most[j % n].max(of(j));
            most
        });
        let image = |(m, (e, b)): (f64, (&f32, &f64))| m * f64::from(e.abs()) + b.abs();
        most.into_iter().zip(map.effective[g].iter().zip(&map.bias[g])).map(image).collect()
    }

    /// Static bounds on the magnitudes of a linear map in layer `g`, over all positions.
    fn reach(&self, g: usize, map: &Map) -> Vec<f64> {
        let (effective, bias, positions) = (&map.effective[g], &map.bias[g], map.positions);
        let (range, n) = (self.b.range(g, map.x.id), bias.len());
        let inner = range.lo.len() / positions;
        let form = range.form.as_ref().filter(|f| f.is_ball());
        let mut square = vec![0.0; n];
        for row in effective.chunks_exact(n) {
            square.iter_mut().zip(row).for_each(|(s, &e)| *s += f64::from(e).powi(2));
        }
        let mut most = vec![0f64; n];
        for at in 0..positions {
            let (mut sum, mut extra, mut peaks) = (vec![0.0; n], vec![0.0; n], 0.0);
            for (i, row) in effective.chunks_exact(n).enumerate() {
                let (peak, noise) = (range.peak(at * inner + i), form.map_or(0.0, |f| f.noise[at * inner + i]));
                peaks += peak * peak;
                for (j, &e) in row.iter().enumerate() {
                    let e = f64::from(e).abs();
                    sum[j] += e * peak;
                    extra[j] += e * noise;
                }
            }
            let whole = if positions == 1 { range.norm } else { range.norm.min(peaks.sqrt()) };
            let ball = form.map_or(whole, |f| f.scale.abs() * f.radius);
            let bound = |j: usize| sum[j].min(square[j].sqrt() * ball + extra[j]) + bias[j].abs();
            most.iter_mut().enumerate().for_each(|(j, m)| *m = m.max(bound(j)));
        }
        most
    }

    /// Exact integers as they stand.
    pub(super) fn exactly(&self, r: Ref, val: Val) -> Pending {
        let features = self.b.features(val.id);
        let peak = self.peaks(r);
        // One token has one sample for each of many features: their magnitudes are known together only.
        if self.graph.tokens == 1 {
            let all = |v: Vec<f64>| vec![v.into_iter().fold(0.0, f64::max); features];
            let bound =
                |g: usize| all((0..features).map(|j| self.b.range(g, val.id).peak(j) * val.unit[g][j].abs()).collect());
            let bound = (0..self.layers()).map(bound).collect();
            let peak = peak.into_iter().map(all).collect();
            return Pending { name: self.name(r), features, bound, peak, kind: Kind::Exact(val) };
        }
        let bound = (0..self.layers())
            .map(|g| (0..features).map(|j| self.b.range(g, val.id).peak(j) * val.unit[g][j].abs()).collect())
            .collect();
        Pending { name: self.name(r), features, bound, peak, kind: Kind::Exact(val) }
    }

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
            _ => Err(QuantiseError::Unsupported { node: name, op: "Linear", why: "not a linear map".into() }),
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

/// The greatest of each of `n` features over all positions.
fn greatest(v: &[f64], n: usize) -> Vec<f64> {
    let mut most = vec![0f64; n];
    v.iter().enumerate().for_each(|(i, &x)| most[i % n] = most[i % n].max(x));
    most
}

/// Subtracts each column's mean: no change for operands whose entries sum to 0, and a smaller norm.
fn centre_columns(e: &mut [f32], n: usize) {
    let rows = (e.len() / n).max(1) as f64;
    let mut mean = vec![0.0f64; n];
    for row in e.chunks_exact(n) {
        mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v) / rows);
    }
    for row in e.chunks_exact_mut(n) {
        row.iter_mut().zip(&mean).for_each(|(v, m)| *v = (f64::from(*v) - m) as f32);
    }
}

/// Scales times `2^bits`.
pub(super) fn scaled_up(scales: &[Vec<f64>], bits: u32) -> Vec<Vec<f64>> {
    let f = f64::from(bits).exp2();
    scales.iter().map(|s| s.iter().map(|v| v * f).collect()).collect()
}

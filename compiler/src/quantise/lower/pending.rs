//! Values that still await their scale: exact sums before requantisation.

use super::{Lowering, NoForm, QuantiseError, Ref, Val, numbers::read};
use crate::quantise::ties::same;
use nanozk_ir::float;

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
            return Err(self.unsupported(r, NoForm::Op("a linear map")));
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
        let ellipsoid = range.ellipsoid.as_ref().filter(|f| f.is_ball());
        let of = |j: usize| ellipsoid.map_or(range.norm, |f| f.reach(j) + f.noise[j]).min(range.peak(j));
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
        let ellipsoid = range.ellipsoid.as_ref().filter(|f| f.is_ball());
        let mut square = vec![0.0; n];
        for row in effective.chunks_exact(n) {
            square.iter_mut().zip(row).for_each(|(s, &e)| *s += f64::from(e).powi(2));
        }
        let mut most = vec![0f64; n];
        for at in 0..positions {
            let (mut sum, mut extra, mut peaks) = (vec![0.0; n], vec![0.0; n], 0.0);
            for (i, row) in effective.chunks_exact(n).enumerate() {
                let (peak, noise) = (range.peak(at * inner + i), ellipsoid.map_or(0.0, |f| f.noise[at * inner + i]));
                peaks += peak * peak;
                for (j, &e) in row.iter().enumerate() {
                    let e = f64::from(e).abs();
                    sum[j] += e * peak;
                    extra[j] += e * noise;
                }
            }
            let whole = if positions == 1 { range.norm } else { range.norm.min(peaks.sqrt()) };
            let ball = ellipsoid.map_or(whole, |f| f.scale.abs() * f.radius);
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

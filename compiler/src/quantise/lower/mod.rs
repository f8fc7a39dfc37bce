//! Lowers one group of equal segments to one integer shape with per-layer data.
//!
//! Each float value has up to two integer realisations, built on demand: *raw* (exact integers at a given scale, any
//! width, no lookups) for sums and outputs, and an *activation* (one limb, or a table's output) as operand of linear
//! maps and products.

mod arith;
mod attention;
mod compare;
mod matmul;
mod norm;
mod numbers;
mod pending;
mod pick;
mod port;
mod requantise;
mod rope;
mod softmax;
mod stretches;
mod tokens;
mod unary;
mod whole;

use super::{
    builder::Builder,
    error::{NoForm, QuantiseError},
    input::only_linear,
    scales::Scales,
    stats::{Stats, known},
    ties::{Made, Tied, Ties},
    trace::Trace,
    value::Val,
};
use crate::{
    config,
    partition::{Ref, Segment},
};
use nanozk_ir::{
    float::{self, NodeId},
    int,
};
use std::collections::HashMap;

/// Lowering of one group.
pub(super) struct Lowering<'a> {
    pub graph: &'a float::Graph,
    pub stats: &'a Stats,
    pub config: &'a config::Config,
    pub scales: &'a Scales,
    pub ties: &'a Ties,
    /// Equal segments, one per layer.
    pub segments: &'a [Segment],
    tied: Tied,
    /// Units of tied values so far.
    made: Made,
    pub b: Builder,
    ports: Vec<Val>,
    raw: HashMap<(Ref, Vec<u64>), Val>,
    acts: HashMap<(Ref, bool), Val>,
    wholes: HashMap<Ref, int::ValueId>,
    /// Exponentials of a softmax and their sums.
    weights: HashMap<Ref, (int::ValueId, int::ValueId)>,
}

impl<'a> Lowering<'a> {
    pub fn new(
        graph: &'a float::Graph,
        stats: &'a Stats,
        config: &'a config::Config,
        scales: &'a Scales,
        ties: &'a Ties,
        segments: &'a [Segment],
        b: Builder,
    ) -> Self {
        Lowering {
            graph,
            stats,
            config,
            scales,
            ties,
            segments,
            tied: Tied::find(graph, segments),
            made: Made::new(),
            b,
            ports: vec![],
            raw: HashMap::new(),
            acts: HashMap::new(),
            wholes: HashMap::new(),
            weights: HashMap::new(),
        }
    }

    /// Lowers everything; returns the builder, by layer what its values stand for, and the units of tied values.
    pub fn run(mut self) -> Result<(Builder, Vec<Vec<Trace>>, Made), QuantiseError> {
        self.read_ports()?;
        self.write_ports()?;
        let raw = self.raw.iter().map(|((r, _), val)| (*r, val));
        let made: Vec<(Ref, &Val)> = raw.chain(self.acts.iter().map(|((r, _), val)| (*r, val))).collect();
        let of = |g: usize, (r, val): &(Ref, &Val)| Trace {
            node: self.node(g, *r),
            value: val.id,
            unit: val.unit[g].clone(),
            offset: val.offset.as_ref().map(|o| o[g].clone()),
        };
        let traces = (0..self.layers()).map(|g| made.iter().map(|m| of(g, m)).collect()).collect();
        Ok((self.b, traces, self.made))
    }

    fn q(&self) -> &'a config::Quantise {
        &self.config.quantise
    }

    /// Number of layers in the group.
    fn layers(&self) -> usize {
        self.segments.len()
    }

    /// The scale of the stream of `r`, by layer.
    fn scale(&self, r: Ref) -> Vec<f64> {
        (0..self.layers()).map(|g| self.scales.of(self.node(g, r))).collect()
    }

    /// Greatest integer of one limb.
    fn limb_max(&self) -> f64 {
        ((1i64 << (self.b.limb_bits - 1)) - 1) as f64
    }

    /// The float node behind `r` in layer `g`.
    fn node(&self, g: usize, r: Ref) -> NodeId {
        match r {
            Ref::Node(i) => self.segments[g].nodes[i],
            Ref::Port(i) => self.segments[g].inputs[i],
        }
    }

    /// Its op in layer `g`.
    fn op(&self, g: usize, r: Ref) -> &'a float::Op {
        &self.graph.dag[self.node(g, r)].op
    }

    fn name(&self, r: Ref) -> String {
        self.graph.dag[self.node(0, r)].name.clone()
    }

    fn features(&self, r: Ref) -> usize {
        self.graph.dag[self.node(0, r)].features
    }

    /// Operand `i` of a node of the segment.
    fn operand(&self, r: Ref, i: usize) -> Ref {
        match r {
            Ref::Node(n) => self.segments[0].operands[n][i],
            Ref::Port(_) => r,
        }
    }

    fn unsupported(&self, r: Ref, why: NoForm) -> QuantiseError {
        QuantiseError::Unsupported { node: self.name(r), op: self.op(0, r).name(), why }
    }

    /// Largest calibrated magnitudes of `r` and what it is tied to, by layer and feature. What enters has units that are
    /// settled, whatever reads it.
    fn peaks(&self, r: Ref) -> Vec<Vec<f64>> {
        let n = self.features(r);
        let alike = |other: &Ref| *other != r && self.features(*other) == n;
        let others = self.tied.with(r).iter().copied().filter(|other| matches!(r, Ref::Node(_)) && alike(other));
        let all: Vec<Ref> = std::iter::once(r).chain(others).collect();
        let peak = |g: usize, j: usize| all.iter().map(|&r| self.stats.of(self.node(g, r)).peak(j)).fold(0.0, f64::max);
        (0..self.layers()).map(|g| (0..n).map(|j| peak(g, j)).collect()).collect()
    }

    /// The unit that `r` shall have because of what it is tied to, by layer.
    fn tied_unit(&self, r: Ref) -> Option<&'a [f64]> {
        self.ties.unit(self.node(0, self.tied.first(r)?))
    }

    /// Notes the units of a value that may be tied.
    fn note(&mut self, r: Ref, val: &Val) {
        let Some(first) = self.tied.first(r) else { return };
        let ends =
            |units: &Vec<f64>| units.iter().fold((f64::MAX, 0f64), |(l, g), &u| (l.min(u.abs()), g.max(u.abs())));
        let now: Vec<(f64, f64)> = val.unit.iter().map(ends).collect();
        let known = self.made.entry(self.node(0, first)).or_insert_with(|| now.clone());
        known.iter_mut().zip(now).for_each(|(k, n)| *k = (k.0.min(n.0), k.1.max(n.1)));
    }

    /// Largest calibrated magnitude of `r`, by layer; 1 where nothing but zeros was seen.
    fn peak(&self, r: Ref) -> Vec<f64> {
        self.peaks(r).into_iter().map(|p| known(p.into_iter().fold(0.0, f64::max))).collect()
    }

    /// Exact integers `round(real * scale)`.
    fn raw(&mut self, r: Ref, scale: &[f64]) -> Result<Val, QuantiseError> {
        let key = (r, scale.iter().map(|s| s.to_bits()).collect::<Vec<_>>());
        if let Some(v) = self.raw.get(&key) {
            return Ok(v.clone());
        }
        let val = self.make_raw(r, scale)?;
        self.raw.insert(key, val.clone());
        Ok(val)
    }

    fn make_raw(&mut self, r: Ref, scale: &[f64]) -> Result<Val, QuantiseError> {
        use float::Op;
        if self.is_whole(r) {
            let id = self.whole(r)?;
            let val = Val::uniform(id, self.features(r), &vec![1.0; self.layers()]);
            return if scale.iter().all(|s| *s == 1.0) { Ok(val) } else { self.rescale(r, &val, scale) };
        }
        if let Ref::Port(i) = r {
            let port = self.ports[i].clone();
            let same = port.unit.iter().zip(scale).all(|(u, s)| u.iter().all(|u| u * s == 1.0));
            return if same { Ok(port) } else { self.rescale(r, &port, scale) };
        }
        match self.op(0, r) {
            Op::Embed { .. } => self.embed(r, scale),
            Op::Const { .. } => self.constant(r, scale),
            Op::Linear { .. } => self.linear_at(r, scale),
            Op::Add => self.sum(r, scale, 1),
            Op::Sub => self.sum(r, scale, -1),
            Op::Scale(_) => {
                let factor = self.factor(r);
                let inner: Vec<f64> = scale.iter().zip(&factor).map(|(s, f)| s * f).collect();
                let val = self.raw(self.operand(r, 0), &inner)?;
                Ok(val.scaled(&factor))
            }
            Op::Slice { .. } | Op::Concat => self.view(r, |s, o| s.raw(o, scale)),
            Op::Unary(_) => self.unary(r, Some(scale)),
            Op::Softmax { .. } => self.probabilities(r, scale),
            Op::TokenSum { of } => self.token_sum(r, of, scale),
            Op::TokenMean => self.token_mean(r, scale),
            Op::Pick { picks } => self.pick_raw(r, picks, scale),
            Op::Sum { sizes } => self.sum_raw(r, sizes, scale),
            Op::Max { .. } => {
                // The greatest integer is that of the greatest number at positive scales only.
                let size: Vec<f64> = scale.iter().map(|s| s.abs()).collect();
                let x = self.raw(self.operand(r, 0), &size)?;
                let most = self.greatest(r, x)?;
                if size == scale { Ok(most) } else { self.rescale(r, &most, scale) }
            }
            Op::MatMul { .. } => match self.matmul_raw(r, scale)? {
                Some(exact) => Ok(exact),
                None => {
                    let act = self.act(r, false)?;
                    self.rescale(r, &act, scale)
                }
            },
            Op::Mul if self.is_whole(self.operand(r, 0)) || self.is_whole(self.operand(r, 1)) => {
                self.whole_product(r, scale)
            }
            _ => {
                if let Some(gained) = self.gained(r)? {
                    return self.rescale(r, &gained, scale);
                }
                let act = self.act(r, false)?;
                self.rescale(r, &act, scale)
            }
        }
    }

    /// A value fit for products: one limb, or a table's output; with one unit for all features if `uniform`.
    fn act(&mut self, r: Ref, uniform: bool) -> Result<Val, QuantiseError> {
        if let Some(v) = self.acts.get(&(r, uniform)) {
            return Ok(v.clone());
        }
        let mut val = self.make_act(r, uniform)?;
        let plain = val.offset.is_none() && val.unit.iter().all(|u| u.windows(2).all(|w| w[0] == w[1]));
        if uniform && !plain {
            let pending = self.diagonal(r, &val);
            val = self.requantised(pending, true)?;
        }
        self.note(r, &val);
        self.acts.insert((r, uniform), val.clone());
        Ok(val)
    }

    fn make_act(&mut self, r: Ref, uniform: bool) -> Result<Val, QuantiseError> {
        use float::Op;
        if self.is_whole(r) {
            return self.raw(r, &vec![1.0; self.layers()]);
        }
        if let Ref::Port(i) = r {
            // An input that only linear maps read has an activation's width.
            if matches!(self.op(0, r), Op::Input(_)) && only_linear(self.graph, self.node(0, r)) {
                return Ok(self.ports[i].clone());
            }
        } else {
            match self.op(0, r) {
                Op::Norm { .. } => return self.norm(r),
                Op::Unary(_) => return self.unary(r, None),
                Op::Attention { .. } => return self.attention(r),
                Op::Pick { picks } => return self.pick_act(r, picks, uniform),
                Op::TokenSum { of } => return self.token_sum_act(r, of, uniform),
                Op::Const { .. } => return self.constant_act(r),
                Op::Embed { .. } if self.graph.tokens == 1 => return self.embed_act(r),
                Op::Max { .. } => {
                    let operand = self.operand(r, 0);
                    let x = self.act(operand, true)?;
                    let x = self.upright(operand, x)?;
                    return self.greatest(r, x);
                }
                Op::Softmax { groups, hidden } if *groups > 1 || hidden.is_some() => {
                    return self.probabilities(r, &vec![self.limb_max(); self.layers()]);
                }
                Op::MatMul { .. } => {
                    if let Some(weights) = self.weights(r)? {
                        return self.weighted(r, &weights);
                    }
                }
                Op::Slice { .. } | Op::Concat => return self.view(r, |s, o| s.act(o, uniform)),
                Op::Mul if only_linear(self.graph, self.node(0, r)) => {
                    if let Some(gained) = self.gained(r)? {
                        return Ok(gained);
                    }
                }
                Op::Scale(_) => {
                    let factor = self.factor(r);
                    return Ok(self.act(self.operand(r, 0), uniform)?.scaled(&factor));
                }
                _ => {}
            }
        }
        let pending = self.pending(r)?;
        match self.tied_unit(r) {
            Some(unit) => self.requantised_at(pending, unit, !uniform),
            None => self.requantised(pending, uniform),
        }
    }

    /// The constant factors of an [`float::Op::Scale`], by layer.
    fn factor(&self, r: Ref) -> Vec<f64> {
        let of = |g| match self.op(g, r) {
            float::Op::Scale(c) => f64::from(*c),
            _ => 1.0,
        };
        (0..self.layers()).map(of).collect()
    }

    fn push(
        &mut self,
        name: String,
        op: int::Op,
        inputs: &[int::ValueId],
        features: usize,
    ) -> Result<int::ValueId, QuantiseError> {
        self.b.push(name, op, inputs, features)
    }
}

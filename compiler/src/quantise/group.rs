//! From partition to model: classes of equal layers, boundary tensors, settled bounds.

use super::{
    builder::Builder,
    error::QuantiseError,
    input::input_form,
    lower::Lowering,
    noise::{Noise, noise},
    scales::{Coarser, Scales, peak},
    stats::Stats,
    ties::{Made, Ties},
    trace::{Quantised, Trace},
};
use crate::{
    config::{Config, Head, Visibility},
    partition::{Partition, Segment},
};
use nanozk_ir::{
    float::{Graph, InputKind, NodeId, Op},
    int::{
        self, Layer, Model, Role, Tensor, TensorId, interp,
        ranges::{Norms, Range as Bounds, RangeError},
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

/// Passes over a span of layers until its bounds must have settled.
const PASSES: usize = 12;

/// Attempts at scales that fit.
const ATTEMPTS: usize = 64;

/// Powers of two by which scales are made coarser at most to keep static bounds within 62 bits.
const COARSEST: u32 = 24;

/// Quantises `graph`, cut as `partition` says. Exact values get the scales that calibration asks for, or the finest
/// coarser ones by which no static bound exceeds 62 bits and no weight 31.
///
/// # Errors
/// When an op has no integer form or a value no sufficient bound.
pub fn quantise(
    graph: &Graph,
    partition: &Partition,
    stats: &Stats,
    config: &Config,
) -> Result<Quantised, QuantiseError> {
    let (mut coarser, norms, mut ties) = (Coarser::default(), Arc::default(), Ties::default());
    for _ in 0..ATTEMPTS {
        let scales = Scales::new(graph, stats, &config.quantise, &coarser);
        match attempt(graph, partition, stats, config, &scales, &ties, &norms) {
            Ok((_, made)) if ties.take(&made, config.quantise.limb_bits()) => {}
            Err(QuantiseError::Loud { node, bits, .. }) => *coarser.streams.entry(node).or_default() += bits,
            Err(QuantiseError::Range { source: RangeError::Wide { .. }, .. } | QuantiseError::Weight { .. })
                if coarser.all < COARSEST =>
            {
                coarser.all += 1
            }
            result => return result.map(|(quantised, _)| quantised),
        }
    }
    let scales = Scales::new(graph, stats, &config.quantise, &coarser);
    attempt(graph, partition, stats, config, &scales, &ties, &norms).map(|(quantised, _)| quantised)
}

/// One attempt at the given scales; with the units of tied values.
fn attempt(
    graph: &Graph,
    partition: &Partition,
    stats: &Stats,
    config: &Config,
    scales: &Scales,
    ties: &Ties,
    norms: &Arc<Norms>,
) -> Result<(Quantised, Made), QuantiseError> {
    let (model, traces, known, made) = (Model::default(), Vec::new(), HashMap::new(), Made::new());
    let mut q = Quantiser { graph, stats, config, scales, ties, norms, model, traces, known, made };
    q.model.tokens = graph.tokens as u32;
    q.model.limb_bits = config.quantise.limb_bits();
    for &input in &graph.inputs {
        q.input(input)?;
    }
    for span in spans(&partition.classes) {
        q.span(partition, span)?;
    }
    q.model.outputs = graph.outputs.iter().filter_map(|out| q.known.get(out)).map(|(id, _)| *id).collect();
    Ok((Quantised { model: q.model, traces: q.traces }, q.made))
}

/// The shortest stretches of layers such that no class has layers in two of them.
fn spans(classes: &[usize]) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    while start < classes.len() {
        let (mut end, mut at) = (start + 1, start);
        while at < end {
            end = classes.iter().rposition(|c| *c == classes[at]).map_or(end, |last| end.max(last + 1));
            at += 1;
        }
        spans.push(start..end);
        start = end;
    }
    spans
}

struct Quantiser<'a> {
    graph: &'a Graph,
    stats: &'a Stats,
    config: &'a Config,
    scales: &'a Scales,
    ties: &'a Ties,
    norms: &'a Arc<Norms>,
    model: Model,
    /// What the values of each layer of the model stand for.
    traces: Vec<Vec<Trace>>,
    /// Tensor and range of each boundary value.
    known: HashMap<NodeId, (TensorId, Bounds)>,
    /// Units of tied values.
    made: Made,
}

impl Quantiser<'_> {
    fn tensor(&mut self, id: NodeId, scale: f64, range: Bounds, role: Role) -> TensorId {
        let (lo, hi) = range.bounds();
        let features = range.lo.len() as u32;
        let name = self.graph.dag[id].name.clone();
        self.model.tensors.push(Tensor { name, features, scale, lo, hi, role });
        let tensor = self.model.tensors.len() as TensorId - 1;
        self.known.insert(id, (tensor, range));
        tensor
    }

    fn input(&mut self, id: NodeId) -> Result<(), QuantiseError> {
        let node = &self.graph.dag[id];
        let private = self.config.input == Visibility::Private;
        let role = if private { Role::PrivateInput } else { Role::PublicInput };
        let (scale, range, role) = match &node.op {
            Op::Input(InputKind::Tokens { vocab }) => (1.0, Bounds::uniform(1, 0, *vocab as i64 - 1), role),
            Op::Input(InputKind::Integer { lo, hi }) => (1.0, Bounds::uniform(node.features, *lo, *hi), role),
            Op::Input(InputKind::Mask) => (1.0, Bounds::uniform(self.graph.tokens, 0, 1), Role::PublicInput),
            _ => {
                let form = input_form(self.graph, id, self.config, peak(self.stats, id), self.scales.of(id));
                let (scale, limit) = (form.scale, form.limit);
                (scale, Bounds::uniform(node.features, -limit, limit - 1), role)
            }
        };
        let tensor = self.tensor(id, scale, range, role);
        self.model.inputs.push(tensor);
        Ok(())
    }

    /// Lowers a span: one shape per class in it. Bounds of the tensors between its layers are predicted and then
    /// verified.
    fn span(&mut self, partition: &Partition, span: Range<usize>) -> Result<(), QuantiseError> {
        let segments = &partition.segments[span.clone()];
        let mut classes: Vec<Vec<usize>> = Vec::new();
        for at in 0..segments.len() {
            let same = |members: &&mut Vec<usize>| {
                partition.classes[span.start + members[0]] == partition.classes[span.start + at]
            };
            match classes.iter_mut().find(same) {
                Some(members) => members.push(at),
                None => classes.push(vec![at]),
            }
        }
        let name = |at: usize| format!("layer{}", span.start + at);
        let mut inner: HashMap<NodeId, Bounds> = HashMap::new();
        for _ in 0..PASSES {
            let mut built = Built::default();
            built.ports.resize_with(segments.len(), Vec::new);
            built.outs.resize_with(segments.len(), Vec::new);
            for members in &classes {
                let names: Vec<String> = members.iter().map(|&at| name(at)).collect();
                let class: Vec<Segment> = members.iter().map(|&at| segments[at].clone()).collect();
                let ports = self.ports(&class, &inner, &built.fresh);
                let (tokens, bits) = (self.graph.tokens, self.config.quantise.limb_bits());
                let builder = Builder::new(tokens, bits, &names, ports.clone(), self.norms.clone());
                let (graph, stats, config) = (self.graph, self.stats, self.config);
                let lowering = Lowering::new(graph, stats, config, self.scales, self.ties, &class, builder);
                let (lowered, traces, made) = lowering.run()?;
                built.made.extend(made);
                built.add(members, &class, ports, lowered.finish());
                built.traces.extend(members.iter().copied().zip(traces));
            }
            let holds = segments.iter().zip(&built.outs).all(|(s, out)| {
                s.outputs.iter().zip(out).all(|(id, r)| inner.get(id).is_none_or(|a| a.contains(r) && a.norm >= r.norm))
            });
            let all_known =
                segments.iter().flat_map(|s| &s.inputs).all(|id| self.known.contains_key(id) || inner.contains_key(id));
            if holds && all_known {
                self.finish(segments, built);
                return Ok(());
            }
            inner = self.predict(segments, &built.ports, &built.outs, &inner);
        }
        Err(QuantiseError::Unsettled { layer: name(0) })
    }

    /// Ranges of the input ports of each layer of a class: known ones, predicted ones, those just found in this pass,
    /// or those of the first layer.
    fn ports(
        &self,
        class: &[Segment],
        inner: &HashMap<NodeId, Bounds>,
        fresh: &HashMap<NodeId, Bounds>,
    ) -> Vec<Vec<Bounds>> {
        let range = |id: &NodeId, port: usize| {
            let settled = self.known.get(id).map(|(_, r)| r).or_else(|| inner.get(id)).or_else(|| fresh.get(id));
            let first = class[0].inputs.get(port);
            let first = first.and_then(|f| self.known.get(f).map(|(_, r)| r).or_else(|| fresh.get(f)));
            let unknown = || Bounds::uniform(self.graph.dag[*id].features, 0, 0);
            settled.or(first).cloned().unwrap_or_else(unknown)
        };
        let noise = |s: &Segment| s.outputs.iter().find_map(|out| noise(self.graph, self.config, self.scales, *out));
        let of = |s: &Segment| {
            let read = s.inputs.iter().enumerate().map(|(p, id)| range(id, p));
            read.chain(noise(s).map(|n| n.range)).collect()
        };
        class.iter().map(of).collect()
    }

    /// Predicted ranges of the tensors inside the span: each layer adds what it added in the pass before.
    fn predict(
        &self,
        segments: &[Segment],
        ports: &[Vec<Bounds>],
        outs: &[Vec<Bounds>],
        before: &HashMap<NodeId, Bounds>,
    ) -> HashMap<NodeId, Bounds> {
        let mut next: HashMap<NodeId, Bounds> = HashMap::new();
        for (g, s) in segments.iter().enumerate() {
            for (out, range) in s.outputs.iter().zip(&outs[g]) {
                let same_width = |p: &usize| ports[g][*p].lo.len() == range.lo.len();
                let carried = (0..s.inputs.len())
                    .filter(same_width)
                    .find(|&p| before.contains_key(&s.inputs[p]) || next.contains_key(&s.inputs[p]) || g == 0);
                let predicted = match carried {
                    Some(p) => {
                        let then = &ports[g][p];
                        let now = next.get(&s.inputs[p]).unwrap_or(then);
                        let add = |now: i64, then: i64, out: i64| {
                            let growth = i128::from(out) - i128::from(then);
                            let v = i128::from(now) + growth + growth / 64 + growth.signum();
                            v.clamp(-(1 << 62), 1 << 62) as i64
                        };
                        let at = |j: usize| {
                            (
                                add(now.lo[j], then.lo[j], range.lo[j]).min(range.lo[j]),
                                add(now.hi[j], then.hi[j], range.hi[j]).max(range.hi[j]),
                            )
                        };
                        let (lo, hi) = (0..range.lo.len()).map(at).unzip();
                        let norm = (now.norm + (range.norm - then.norm) * 1.02).max(range.norm * 1.001);
                        Bounds::new(lo, hi).with_norm(norm)
                    }
                    None => range.clone(),
                };
                next.insert(*out, predicted);
            }
        }
        next
    }

    /// Adds the span's shapes, layers and tensors to the model.
    fn finish(&mut self, segments: &[Segment], built: Built) {
        let first_shape = self.model.shapes.len() as u32;
        self.model.shapes.extend(built.shapes);
        self.traces.extend(built.traces.into_values());
        self.made.extend(built.made);
        for ((segment, mut layer), ranges) in segments.iter().zip(built.layers.into_values()).zip(&built.outs) {
            layer.shape += first_shape;
            layer.inputs = segment.inputs.iter().filter_map(|id| self.known.get(id)).map(|(t, _)| *t).collect();
            for (&id, range) in segment.outputs.iter().zip(ranges) {
                let is_output = matches!(self.graph.dag[id].op, Op::Output);
                let role = match (is_output, self.config.output) {
                    (false, _) => Role::Internal,
                    (true, Visibility::Public) => Role::PublicOutput,
                    (true, Visibility::Private) => Role::PrivateOutput,
                };
                let argmax = is_output && self.config.head == Head::Argmax;
                let scale = if argmax { 1.0 } else { self.scales.of(id) };
                let tensor = self.tensor(id, scale, range.clone(), role);
                layer.outputs.push(tensor);
                if let Some(Noise { scale, range }) = noise(self.graph, self.config, self.scales, id) {
                    let (lo, hi) = range.bounds();
                    let (name, features) = ("noise".into(), range.lo.len() as u32);
                    self.model.tensors.push(Tensor { name, features, scale, lo, hi, role: Role::Noise });
                    layer.inputs.push(self.model.tensors.len() as TensorId - 1);
                }
            }
            self.model.layers.push(layer);
        }
    }
}

/// One pass over a span.
#[derive(Default)]
struct Built {
    /// One shape per class.
    shapes: Vec<int::Graph>,
    /// Layers of the span, their shapes counted from its first.
    layers: BTreeMap<usize, Layer>,
    /// What their values stand for.
    traces: BTreeMap<usize, Vec<Trace>>,
    /// Ranges of the input ports, by layer.
    ports: Vec<Vec<Bounds>>,
    /// Ranges of the outputs, by layer.
    outs: Vec<Vec<Bounds>>,
    /// The same by float node.
    fresh: HashMap<NodeId, Bounds>,
    /// Units of tied values.
    made: Made,
}

impl Built {
    /// Adds the class whose layers are `members` of the span.
    fn add(
        &mut self,
        members: &[usize],
        class: &[Segment],
        ports: Vec<Vec<Bounds>>,
        (shape, layers, ranges): (int::Graph, Vec<Layer>, Vec<Vec<Bounds>>),
    ) {
        let mut nodes: Vec<(usize, usize)> = interp::outputs(&shape).collect();
        nodes.sort_unstable();
        for ((((&at, segment), ports), layer), ranges) in members.iter().zip(class).zip(ports).zip(layers).zip(ranges) {
            self.outs[at] = nodes.iter().map(|&(_, node)| ranges[node].clone()).collect();
            self.fresh.extend(segment.outputs.iter().copied().zip(self.outs[at].iter().cloned()));
            self.layers.insert(at, Layer { shape: self.shapes.len() as u32, ..layer });
            self.ports[at] = ports;
        }
        self.shapes.push(shape);
    }
}

#[cfg(test)]
mod tests {
    use super::spans;

    #[test]
    fn spans_keep_the_layers_of_a_class_together() {
        assert_eq!(spans(&[0, 1, 1, 1, 2]), [0..1, 1..4, 4..5]);
        assert_eq!(spans(&[0, 1, 2, 1, 3, 2, 4]), [0..1, 1..6, 6..7]);
        assert!(spans(&[]).is_empty());
    }
}

//! Inputs, outputs, embeddings and hidden constants.

use super::{
    Lowering, QuantiseError, Ref, Val,
    numbers::{inverse, read, weights},
};
use crate::{
    config::{Head, Visibility},
    quantise::{builder::term, input::input_form, noise::noise},
};
use nanozk_ir::{
    float::{self, InputKind},
    int,
};

/// Greatest entry of a table of rows.
const MOST_ENTRY: f64 = (1u64 << 30) as f64;

impl Lowering<'_> {
    pub(super) fn read_ports(&mut self) -> Result<(), QuantiseError> {
        for port in 0..self.segments[0].inputs.len() {
            let r = Ref::Port(port);
            let (op, name) = (self.op(0, r), self.name(r));
            let mask = matches!(op, float::Op::Input(InputKind::Mask));
            let features = if mask { self.b.tokens } else { self.features(r) };
            let mut id = self.push(name.clone(), int::ops::Input { port: port as u32 }.into(), &[], features)?;
            let scales = self.scale(r);
            let unit = match op {
                float::Op::Input(InputKind::Mask | InputKind::Tokens { .. }) => vec![1.0; self.layers()],
                float::Op::Input(InputKind::Integer { .. }) => {
                    id = self.bounded(&name, id, features)?;
                    vec![1.0; self.layers()]
                }
                _ if self.is_whole(r) => vec![1.0; self.layers()],
                float::Op::Input(InputKind::Float) => {
                    let peak = self.peak(r)[0];
                    let form = input_form(self.graph, self.node(0, r), self.config, peak, scales[0]);
                    id = self.bounded(&name, id, features)?;
                    if form.shift > 0 {
                        let rows = (0..features).map(|j| vec![term(0, j, 1 << form.shift)]).collect();
                        id = self.push(format!("{name}.scaled"), int::ops::Affine { rows }.into(), &[id], features)?;
                    }
                    vec![1.0 / (form.scale * f64::from(form.shift).exp2()); self.layers()]
                }
                _ => inverse(&scales),
            };
            self.ports.push(Val::uniform(id, features, &unit));
        }
        Ok(())
    }

    /// An input of the model, with its range proven where the verifier does not see it.
    fn bounded(&mut self, name: &str, id: int::ValueId, features: usize) -> Result<int::ValueId, QuantiseError> {
        if self.config.input == Visibility::Public {
            return Ok(id);
        }
        let limbs = self.b.limbs_after(id, 0);
        self.push(format!("{name}.range"), int::ops::Range { limbs }.into(), &[id], features)
    }

    pub(super) fn write_ports(&mut self) -> Result<(), QuantiseError> {
        for (port, out) in self.segments[0].outputs.clone().into_iter().enumerate() {
            let Some(r) = self.segments[0].position(out).map(Ref::Node) else { continue };
            let name = self.name(r);
            let is_output = matches!(self.op(0, r), float::Op::Output);
            let source = if is_output { self.operand(r, 0) } else { r };
            let argmax = is_output && self.config.head == Head::Argmax;
            let scale = self.scale(if argmax { source } else { r });
            let mut id = self.raw(source, &scale)?.id;
            if argmax {
                let noise = self.noise_port(port, self.b.features(id))?;
                let operands: Vec<int::ValueId> = [id].into_iter().chain(noise).collect();
                let ends = operands.iter().map(|&id| self.b.bounds(id));
                let spread: i128 = ends.map(|(lo, hi)| i128::from(hi) - i128::from(lo)).sum();
                let limbs = (128 - spread.leading_zeros()).div_ceil(self.b.limb_bits).max(1);
                id = self.push(format!("{name}.argmax"), int::ops::ArgMax { groups: 1, limbs }.into(), &operands, 1)?;
            }
            let features = self.b.features(id);
            self.push(name, int::ops::Output { port: port as u32 }.into(), &[id], features)?;
        }
        Ok(())
    }

    /// The noise on the scores of an output, if answers are to be drawn: a port behind those of the segment's inputs.
    fn noise_port(&mut self, output: usize, features: usize) -> Result<Option<int::ValueId>, QuantiseError> {
        let segment = &self.segments[0];
        if noise(self.graph, self.config, self.scales, segment.outputs[output]).is_none() {
            return Ok(None);
        }
        let port = int::Op::Input(int::ops::Input { port: segment.inputs.len() as u32 });
        self.push("noise".into(), port, &[], features).map(Some)
    }

    pub(super) fn embed(&mut self, r: Ref, scale: &[f64]) -> Result<Val, QuantiseError> {
        let (name, features) = (self.name(r), self.features(r));
        let source = self.operand(r, 0);
        let ids = match source {
            Ref::Port(port) => self.ports[port].id,
            Ref::Node(_) => self.whole(source)?,
        };
        let n = features / self.b.features(ids);
        let mut data = Vec::with_capacity(self.layers());
        for (g, s) in scale.iter().enumerate() {
            let float::Op::Embed { table } = self.op(g, r) else { continue };
            // Rows beyond what fits are far beyond what the sample data names.
            let entry = |&v: &f32| (f64::from(v) * s).clamp(-MOST_ENTRY, MOST_ENTRY);
            data.push(weights(&name, read(&name, table)?.iter().map(entry))?);
        }
        let vocab = data.first().map_or(0, Vec::len) / n;
        let id = match self.stretches_of(ids, vocab, n) {
            Some(stretches) => self.embed_stretches(&name, ids, &data, n, &stretches)?,
            None => {
                let w = self.b.weight(vocab, n, data);
                self.push(name, int::ops::Embed { weight: w, vocab: vocab as u32 }.into(), &[ids], features)?
            }
        };
        Ok(Val::uniform(id, features, &inverse(scale)))
    }

    /// Rows of a table with one unit that fills a limb where the sample data reaches.
    pub(super) fn embed_act(&mut self, r: Ref) -> Result<Val, QuantiseError> {
        let peaks = self.peaks(r);
        let scale = |g: usize| {
            let seen = peaks[g].iter().copied().fold(0.0, f64::max) * self.q().margin;
            if seen > 0.0 { self.limb_max() / seen } else { 1.0 }
        };
        let scales: Vec<f64> = (0..self.layers()).map(scale).collect();
        self.embed(r, &scales)
    }

    /// A constant activation is part of the model's hidden weights.
    pub(super) fn constant(&mut self, r: Ref, scale: &[f64]) -> Result<Val, QuantiseError> {
        let (name, n) = (self.name(r), self.features(r));
        let mut all = Vec::with_capacity(self.layers());
        for (g, s) in scale.iter().enumerate() {
            let float::Op::Const { rows, data } = self.op(g, r) else { continue };
            let one = weights(&name, data.iter().map(|&v| f64::from(v) * s))?;
            all.push((*rows, one));
        }
        // Layers of which some have a row for each token all have.
        let most = all.iter().map(|(rows, _)| *rows).max().unwrap_or(1);
        let all = all.into_iter().map(|(rows, one)| if rows == most { one } else { one.repeat(most) }).collect();
        let w = self.b.weight(most, n, all);
        let id = self.push(name, int::ops::TokenBias { weight: w }.into(), &[], n)?;
        Ok(Val::uniform(id, n, &inverse(scale)))
    }
}

//! The front end: from an ONNX file to the canonical float graph.
//!
//! [`rewrite`] makes plain ONNX of the file, which tract reads and declutters. [`rows`] reads that with tokens as rows;
//! what it does not follow is read by [`general`], element by element. Either gives the canonical graph, which is then
//! compared with tract's own run.

mod analysis;
mod axes;
mod error;
mod external;
mod finite;
mod general;
mod onnx;
mod options;
mod parameters;
mod quotient;
mod reference;
mod refusal;
mod rewrite;
mod rounding;
mod rows;
mod screen;
mod unary;

pub use error::{FrontendError, Problem, Suspect};
pub use options::LoadOptions;
pub use reference::Reference;
pub use refusal::Refusal;
pub use rounding::{Quantisation, Rounding};
pub use rows::SoftMask;

use crate::data::{InputInfo, InputTensor};
use crate::quantise::INPUT_ROOM;
use nanozk_ir::float::{self, Graph, InputKind, InputValue, NodeId, Op};
use nanozk_plan::ValueInfo;
use refusal::refuse;
use std::path::Path;
use tract_onnx::prelude::*;

/// Largest difference between the canonical graph and tract, relative to the largest output value.
const SELF_CHECK: f64 = 1e-3;

/// Most inputs of 0 and 1 that made-up inputs take for masks of either sense.
const MOST_MASKS: usize = 3;

/// A loaded model.
#[derive(Debug)]
pub struct Loaded {
    /// The canonical graph.
    pub graph: Graph,
    /// The source model, runnable.
    pub reference: Reference,
    /// The same without the rounding that the canonical graph leaves out.
    pub(crate) unrounded: Reference,
    /// Inputs, in the order of `graph.inputs`.
    pub inputs: Vec<InputInfo>,
    /// Outputs, in the order of `graph.outputs`.
    pub outputs: Vec<ValueInfo>,
    /// Masks that the canonical graph reads as hiding and that hide with a finite score only.
    pub soft_masks: Vec<SoftMask>,
    /// BLAKE2b-256 of the files of the source model.
    pub source: [u8; 32],
    /// Numbers that the file holds as parameters.
    pub parameters: u64,
    /// What the user should know about how the file was read.
    pub notes: Vec<String>,
}

/// Loads an ONNX model and brings it into canonical form: with tokens as rows where the model never mixes them but in
/// attention, else as one token of flat features.
///
/// # Errors
/// When the file is no model that can be read, or holds nodes that no circuit computes.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, FrontendError> {
    File::open(path)?.read(options)?.load()
}

/// An ONNX file as it stands.
pub struct File<'p> {
    path: &'p Path,
    file: onnx::File,
}

impl<'p> File<'p> {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is no model that can be read.
    pub fn open(path: &'p Path) -> Result<Self, FrontendError> {
        onnx::guarded(path, || Ok(File { path, file: onnx::File::open(path)? }))
    }

    /// Names of the inputs.
    pub fn input_names(&self) -> Vec<String> {
        self.file.input_names()
    }

    /// The model, with all dimensions known.
    ///
    /// # Errors
    /// When nodes or dimensions have no meaning that can be told before it runs.
    pub fn read(self, options: &LoadOptions) -> Result<Source<'p>, FrontendError> {
        let path = self.path;
        onnx::guarded(path, || Source::read(path, self.file, options))
    }
}

/// A model as tract reads it.
pub struct Source<'p> {
    path: &'p Path,
    model: TypedModel,
    header: onnx::Header,
    /// The model, and with the rounding of the file.
    references: [Reference; 2],
    parameters: u64,
}

impl<'p> Source<'p> {
    fn read(path: &'p Path, file: onnx::File, options: &LoadOptions) -> Result<Self, FrontendError> {
        let parameters = file.parameters();
        let (model, header) = file.load(path, options)?;
        let failed = |e: TractError| FrontendError::Analysis { path: path.to_owned(), refusal: e.into() };
        let reference = Reference::new(&model).map_err(failed)?;
        let rounded = header.rounded.as_ref().map(Reference::new).transpose().map_err(failed)?;
        let references = [reference.clone(), rounded.unwrap_or(reference)];
        Ok(Source { path, model, header, references, parameters })
    }

    /// The model in canonical form: with tokens as rows where it never mixes them but in attention, else as one token of
    /// flat features.
    ///
    /// # Errors
    /// When it holds nodes that no circuit computes.
    pub fn load(&self) -> Result<Loaded, FrontendError> {
        onnx::guarded(self.path, || match rows::read(&self.model, &self.names()).map(|read| self.by_rows(read)) {
            None | Some(Err(FrontendError::SelfCheck { .. })) => self.flat(),
            Some(done) => done,
        })
    }

    /// The model as one token of flat features, whatever it does: no row of it need be a token.
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn load_flat(&self) -> Result<Loaded, FrontendError> {
        onnx::guarded(self.path, || self.flat())
    }

    /// What the file rounds.
    pub fn quantisation(&self) -> Quantisation {
        self.header.quantisation
    }

    fn names(&self) -> Vec<&str> {
        self.header.outputs.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn by_rows(&self, read: rows::Rows) -> Result<Loaded, FrontendError> {
        let outputs = read
            .outputs
            .into_iter()
            .zip(&self.header.outputs)
            .map(|((shape, map), (name, dtype))| ValueInfo { name: name.clone(), shape, dtype: *dtype, map });
        self.loaded(read.graph, outputs.collect(), read.soft_masks)
    }

    fn flat(&self) -> Result<Loaded, FrontendError> {
        let (graph, notes) = general::read(&self.model, &self.names(), &self.header.seen)
            .map_err(|problems| problems.into_iter().map(|p| self.header.nodes.in_file(p)).collect())
            .map_err(|problems| FrontendError::Unsupported { path: self.path.to_owned(), problems })?;
        let outputs = self
            .model
            .outputs
            .iter()
            .zip(&self.header.outputs)
            .map(|(&outlet, (name, dtype))| ValueInfo::row_major(name, self.shape(outlet), *dtype));
        let mut loaded = self.loaded(graph, outputs.collect(), Vec::new())?;
        loaded.notes.extend(notes);
        Ok(loaded)
    }

    fn shape(&self, outlet: OutletId) -> Vec<usize> {
        let fact = &self.model.node(outlet.node).outputs[outlet.slot].fact;
        fact.shape.as_concrete().unwrap_or_default().to_vec()
    }

    /// The model with its float graph, the graph's outputs and its soft masks; compared with tract's own run.
    fn loaded(
        &self,
        graph: Graph,
        outputs: Vec<ValueInfo>,
        soft_masks: Vec<SoftMask>,
    ) -> Result<Loaded, FrontendError> {
        if let Some(empty) = outputs.iter().find(|o| o.shape.contains(&0)) {
            let refusal = refuse(
                format!("output \"{}\" has no elements, so that there is nothing to prove", empty.name),
                "keep the others",
            );
            return Err(FrontendError::Analysis { path: self.path.to_owned(), refusal });
        }
        if let Some((node, index, value)) = finite::non_finite(&graph) {
            return Err(FrontendError::NonFiniteWeight { path: self.path.to_owned(), node, index, value });
        }
        let mut inputs = Vec::new();
        for ((&outlet, &id), (name, dtype)) in self.model.inputs.iter().zip(&graph.inputs).zip(&self.header.inputs) {
            let Op::Input(kind) = &graph.dag[id].op else { continue };
            inputs.push(InputInfo { name: name.clone(), shape: self.shape(outlet), dtype: *dtype, kind: kind.clone() });
        }
        let ([unrounded, reference], source) = (self.references.clone(), self.header.source);
        let notes = self.header.notes.clone();
        let loaded = Loaded {
            outputs,
            graph,
            reference,
            unrounded,
            inputs,
            soft_masks,
            source,
            parameters: self.parameters,
            notes,
        };
        loaded.check_probe(self.path, &self.header.seen)?;
        Ok(loaded)
    }
}

/// What the source model does on the samples.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Its outputs by sample.
    pub floats: Vec<Vec<Vec<f64>>>,
    /// How far the rounding that the canonical graph leaves out moves an output, as a share of its greatest value.
    pub moved: f64,
}

/// The largest difference as a share of the greatest magnitude.
fn share(a: &[f64], b: &[f64]) -> f64 {
    let size = a.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / size).fold(0.0, f64::max)
}

/// Of a check on made-up inputs: a model need not answer to them, as where they index a table beyond its rows.
fn answered(checked: Result<(), FrontendError>) -> Result<(), FrontendError> {
    checked.or_else(|error| if matches!(error, FrontendError::Reference(_)) { Ok(()) } else { Err(error) })
}

impl Loaded {
    /// Fixed pseudo-random inputs, real numbers within `seen`, the extent of the sample data where known.
    pub fn probe(&self, seen: &[Option<(f64, f64)>]) -> Vec<InputValue> {
        let probe = |(slot, info)| InputTensor::probe(info, slot, seen.get(slot).copied().flatten()).value;
        self.inputs.iter().enumerate().map(probe).collect()
    }

    /// Compares the canonical graph with tract on a fixed input, within the extent of the sample data, that hides no row of a
    /// softmax as a whole, for which programs have numbers and real numbers none, and divides nothing by 0. Of several such
    /// inputs the first that does serves; where each hides a row, the samples alone are compared.
    fn check_probe(&self, path: &Path, seen: &[Option<(f64, f64)>]) -> Result<(), FrontendError> {
        let probes = self.probes(seen);
        let last = probes.len() - 1;
        for (at, values) in probes.iter().enumerate() {
            match self.check_on(path, values, "a probe input", None).map(drop) {
                Err(FrontendError::SelfCheck { suspect: Some(Suspect::Hidden(_)), .. }) => (),
                Err(FrontendError::SelfCheck { suspect: Some(Suspect::Undefined(_)), .. }) if at < last => (),
                checked => return answered(checked),
            }
        }
        Ok(())
    }

    /// [`Loaded::probe`], the same without integers of 0, and with the first of each row of inputs of 0 and 1, which may be
    /// masks of either sense, as visible: a causal mask leaves the first key alone to the first query.
    fn probes(&self, seen: &[Option<(f64, f64)>]) -> Vec<Vec<InputValue>> {
        let probe = self.probe(seen);
        let (mut masks, mut others) = (Vec::new(), Vec::new());
        for (slot, info) in self.inputs.iter().enumerate() {
            match info.kind {
                InputKind::Integer { lo: 0, hi: 1 } => masks.push((slot, info.shape.last().map_or(1, |&n| n.max(1)))),
                InputKind::Integer { hi: 1.., .. } => others.push(slot),
                _ => (),
            }
        }
        masks.truncate(MOST_MASKS);
        let mut probes = vec![probe.clone()];
        if !others.is_empty() {
            let mut without = probe.clone();
            others.into_iter().for_each(|slot| {
                if let InputValue::Integer(values) = &mut without[slot] {
                    values.iter_mut().filter(|v| **v == 0).for_each(|v| *v = 1);
                }
            });
            probes.push(without);
        }
        for choice in (0..1 << masks.len()).rev().filter(|_| !masks.is_empty()) {
            let mut with_first = probe.clone();
            for (at, &(slot, width)) in masks.iter().enumerate() {
                if let InputValue::Integer(values) = &mut with_first[slot] {
                    values.iter_mut().step_by(width).for_each(|v| *v = i64::from(choice >> at & 1));
                }
            }
            probes.push(with_first);
        }
        probes
    }

    /// Compares the canonical graph with tract on the samples and, where inputs are real numbers, at the ends of the range
    /// that they give the model.
    ///
    /// # Errors
    /// [`FrontendError::SelfCheck`] when they differ.
    pub fn check(&self, path: &Path, samples: &[Vec<InputValue>]) -> Result<Checked, FrontendError> {
        let mut checked = Checked::default();
        for (index, sample) in samples.iter().enumerate() {
            let exact = self.check_on(path, sample, &format!("sample {index}"), None)?;
            let times = |value: &InputValue| match value {
                InputValue::Float(x) => InputValue::Float(x.iter().map(|v| v * INPUT_ROOM as f32).collect()),
                other => other.clone(),
            };
            let ends: Vec<InputValue> = sample.iter().map(times).collect();
            if &ends != sample {
                // An output that vanishes there is held against its size on the sample.
                let times = format!("sample {index} times {INPUT_ROOM}");
                answered(self.check_on(path, &ends, &times, Some(&exact)).map(drop))?;
            }
            if self.reference.is(&self.unrounded) {
                checked.floats.push(exact);
                continue;
            }
            let rounded = self.reference.run(sample)?;
            let moved = rounded.iter().zip(&exact).map(|(rounded, exact)| share(rounded, exact));
            checked.moved = moved.fold(checked.moved, f64::max);
            checked.floats.push(rounded);
        }
        Ok(checked)
    }

    /// Compares both on one input; tract's outputs. Differences count relative to the greatest magnitude of an output, or of
    /// what it is on another input where that is greater.
    fn check_on(
        &self,
        path: &Path,
        values: &[InputValue],
        input: &str,
        other: Option<&[Vec<f64>]>,
    ) -> Result<Vec<Vec<f64>>, FrontendError> {
        let expected = self.unrounded.run(values)?;
        let (mut undefined, mut hidden) = (None, None);
        // The softmax that reads a value as its scores, or as what of them is visible.
        let softmax = |id: NodeId| {
            self.graph.consumers(id).into_iter().find_map(|c| match self.graph.dag[c].op {
                float::Op::Softmax { groups, .. } => {
                    let slot = self.graph.operands(c).iter().position(|&operand| operand == id)?;
                    (slot < 2).then_some((c, groups, if slot == 0 { float::HIDING } else { 0.0 }))
                }
                _ => None,
            })
        };
        let low = |values: &[f32], groups: usize, most: f64| {
            let mut rows = values.chunks((values.len() / groups.max(1)).max(1));
            rows.any(|row| row.iter().all(|&v| f64::from(v) <= most))
        };
        let mut see = |id: NodeId, values: &[f32]| {
            if hidden.is_none()
                && let Some((node, groups, most)) = softmax(id)
            {
                hidden = low(values, groups, most).then_some(node);
            }
            if undefined.is_none() && values.iter().any(|v| v.is_nan()) {
                undefined = Some(id);
            }
        };
        let got = float::eval(&self.graph, values, &mut see).map_err(|e| FrontendError::Reference(e.to_string()))?;
        // Beyond the samples a function may have no value (an arc cosine), for which tract's kernels give numbers, and what
        // compares them makes numbers of them again.
        if undefined.is_some() && other.is_some() {
            return Ok(expected);
        }
        for (output, ((got, info), expected)) in got.iter().zip(&self.outputs).zip(&expected).enumerate() {
            let got = info.arrange(got);
            let other = other.and_then(|other| other.get(output)).into_iter().flatten();
            let finite = expected.iter().chain(other).filter(|v| v.is_finite());
            let size = finite.fold(f64::from(f32::MIN_POSITIVE), |m, v| m.max(v.abs()));
            let pairs = got.iter().zip(expected).filter(|(_, v)| v.is_finite());
            let gap = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() / size;
            let error = pairs.map(gap).fold(0f64, |m, e| if e.is_nan() { f64::INFINITY } else { m.max(e) });
            let jumps = self.graph.dag.node_weights().any(|node| node.op.jumps());
            let bound = if self.soft_masks.is_empty() && !jumps { SELF_CHECK } else { 100.0 * SELF_CHECK };
            if got.len() != expected.len() || error > bound {
                let (path, input) = (path.to_owned(), input.to_owned());
                let name = |id: NodeId| self.graph.dag[id].name.clone();
                let undefined = undefined.map(|id| Suspect::Undefined(name(id)));
                let suspect = undefined.or_else(|| hidden.map(|id| Suspect::Hidden(name(id))));
                return Err(FrontendError::SelfCheck { path, input, output, error, suspect });
            }
        }
        Ok(expected)
    }
}

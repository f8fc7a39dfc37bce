//! The front end: from an ONNX file to the canonical float graph.
//!
//! tract reads and declutters the model; [`lower`] turns it into a graph of matrices in which data movement is index
//! views; [`recognise`] finds LayerNorm, GELU, rotary embedding and the like by evaluating regions; [`simplify`]
//! merges biases, gains and scales; [`emit`] writes the canonical graph, which is then compared with tract's own run.

mod emit;
mod error;
mod external;
mod lower;
mod mid;
mod onnx;
mod recognise;
mod reference;
mod screen;
mod sdpa;
mod simplify;
mod view;

pub use error::{FrontendError, Problem};
pub use lower::SoftMask;
pub use reference::Reference;

use crate::data::InputTensor;
use lower::{Layout, Outcome};
use nanozk_ir::float::{self, Graph, InputKind, InputValue, NodeId, Op};
use std::{collections::BTreeMap, path::Path};
use tract_onnx::prelude::*;
use view::Code;

/// Largest difference between the canonical graph and tract on the probe input, relative to the largest output value.
const SELF_CHECK: f32 = 1e-3;

/// What the caller knows about the model.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Values of dynamic dimensions by name; `<input>.<axis>` for a dimension without name.
    pub set: BTreeMap<String, usize>,
}

/// An input of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct InputInfo {
    /// Name in the source model.
    pub name: String,
    /// Shape in the source model.
    pub shape: Vec<usize>,
    /// Element type in the source model.
    pub dtype: String,
    /// What it carries.
    pub kind: InputKind,
}

/// An output of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputInfo {
    /// Name in the source model.
    pub name: String,
    /// Shape in the source model.
    pub shape: Vec<usize>,
    /// For each element of the source output (row-major), its index in the graph's output `[tokens, features]`;
    /// `None` when the orders agree.
    pub order: Option<Vec<usize>>,
}

impl OutputInfo {
    /// The graph's output in the order of the source model.
    pub fn arrange(&self, value: &[f32]) -> Vec<f32> {
        match &self.order {
            Some(order) => order.iter().map(|&i| value[i]).collect(),
            None => value.to_vec(),
        }
    }
}

/// A loaded model.
#[derive(Debug)]
pub struct Loaded {
    /// The canonical graph.
    pub graph: Graph,
    /// The source model, runnable.
    pub reference: Reference,
    /// Inputs, in the order of `graph.inputs`.
    pub inputs: Vec<InputInfo>,
    /// Outputs, in the order of `graph.outputs`.
    pub outputs: Vec<OutputInfo>,
    /// Masks that the canonical graph reads as hiding and that hide with a finite score only.
    pub soft_masks: Vec<SoftMask>,
    /// BLAKE2b-256 of the files of the source model.
    pub source: [u8; 32],
}

/// Loads an ONNX model and brings it into canonical form.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, FrontendError> {
    onnx::guarded(path, || read(path, options))
}

fn read(path: &Path, options: &LoadOptions) -> Result<Loaded, FrontendError> {
    let (model, source) = onnx::load(path, options)?;
    let (outcome, graph) = canonical(&model, path)?;
    if let Some((node, index, value)) = emit::non_finite(&graph) {
        return Err(FrontendError::NonFiniteWeight { path: path.to_owned(), node, index, value });
    }
    let analysis = |e: TractError| FrontendError::Analysis { path: path.to_owned(), reason: onnx::reason(&e) };
    let reference = Reference::new(&model).map_err(analysis)?;
    let mut inputs = Vec::new();
    for (&outlet, &id) in model.inputs.iter().zip(&graph.inputs) {
        let fact = model.outlet_fact(outlet).map_err(analysis)?;
        let Op::Input(kind) = &graph.dag[id].op else { continue };
        inputs.push(InputInfo {
            name: graph.dag[id].name.clone(),
            shape: fact.shape.as_concrete().unwrap_or_default().to_vec(),
            dtype: format!("{:?}", fact.datum_type).to_lowercase(),
            kind: kind.clone(),
        });
    }
    let outputs = outcome.outputs.iter().zip(&graph.outputs).map(|((_, view), &id)| output_info(&graph, id, view));
    let loaded =
        Loaded { outputs: outputs.collect(), graph, reference, inputs, soft_masks: outcome.soft_masks, source };
    self_check(&loaded, path)?;
    Ok(loaded)
}

fn output_info(graph: &Graph, id: NodeId, view: &view::View) -> OutputInfo {
    let order: Vec<usize> = view.codes.iter().map(|&c| Code::decode(c).flat).collect();
    let same = order.len() == graph.tokens * graph.dag[id].features && order.iter().enumerate().all(|(i, &o)| i == o);
    OutputInfo { name: graph.dag[id].name.clone(), shape: view.shape.clone(), order: (!same).then_some(order) }
}

/// Lowers with tokens as rows; a model that mixes them is read as one token with flat features.
fn canonical(model: &TypedModel, path: &Path) -> Result<(Outcome, Graph), FrontendError> {
    // Of two failures the one that got further tells more.
    let progress = |problems: &[Problem]| {
        problems.iter().filter_map(|p| model.nodes.iter().position(|n| n.name == p.node)).min().unwrap_or(usize::MAX)
    };
    let mut worst: Option<Vec<Problem>> = None;
    for layout in [Layout::Rows, Layout::Flat] {
        match attempt(model, layout) {
            Ok(done) => return Ok(done),
            Err(problems) if worst.as_ref().is_none_or(|w| progress(&problems) > progress(w)) => worst = Some(problems),
            Err(_) => (),
        }
    }
    Err(FrontendError::Unsupported { path: path.to_owned(), problems: worst.unwrap_or_default() })
}

fn attempt(model: &TypedModel, layout: Layout) -> Result<(Outcome, Graph), Vec<Problem>> {
    let mut outcome = lower::lower(model, layout);
    if !outcome.problems.is_empty() {
        return Err(outcome.problems);
    }
    let roots: Vec<_> = outcome.outputs.iter().map(|(id, _)| *id).collect();
    recognise::recognise(&mut outcome.mid, &roots);
    let keep: Vec<_> = outcome.inputs.iter().chain(&roots).copied().collect();
    let renamed = outcome.mid.sort(&keep);
    outcome.inputs.iter_mut().for_each(|id| *id = renamed[id]);
    outcome.outputs.iter_mut().for_each(|(id, _)| *id = renamed[id]);
    let roots: Vec<_> = outcome.outputs.iter().map(|(id, _)| *id).collect();
    simplify::simplify(&mut outcome.mid, &roots);
    let name = |outlet: &OutletId| {
        model.outlet_label(*outlet).map_or_else(|| model.node(outlet.node).name.clone(), str::to_owned)
    };
    let outputs: Vec<_> = outcome.outputs.iter().zip(&model.outputs).map(|((id, _), o)| (*id, name(o))).collect();
    let (graph, problems) = emit::emit(&outcome.mid, &outcome.inputs, &outputs);
    if problems.is_empty() { Ok((outcome, graph)) } else { Err(problems) }
}

/// Compares the canonical graph with tract on a fixed input.
fn self_check(loaded: &Loaded, path: &Path) -> Result<(), FrontendError> {
    let inputs: Vec<InputTensor> = loaded.inputs.iter().map(InputTensor::probe).collect();
    let values: Vec<InputValue> = inputs.iter().map(|i| i.value.clone()).collect();
    let expected = loaded.reference.run(&inputs)?;
    let got = float::eval(&loaded.graph, &values, &mut |_: NodeId, _: &[f32]| ())
        .map_err(|e| FrontendError::Reference(e.to_string()))?;
    for (output, ((got, info), expected)) in got.iter().zip(&loaded.outputs).zip(&expected).enumerate() {
        let got = info.arrange(got);
        let size = expected.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
        let error = got.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs() / size));
        let bound = if loaded.soft_masks.is_empty() { SELF_CHECK } else { 100.0 * SELF_CHECK };
        if got.len() != expected.len() || error.is_nan() || error > bound {
            return Err(FrontendError::SelfCheck { path: path.to_owned(), output, error });
        }
    }
    Ok(())
}

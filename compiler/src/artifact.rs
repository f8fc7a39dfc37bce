//! The content of `model.nanozk`.

mod flat;

use crate::frontend::{InputInfo, Loaded, OutputInfo};
use flat::FlatGraph;
use nanozk_ir::float::{self, InputKind};
use nanozk_ir::int;
use nanozk_layout::{Fill, Lowered};
use nanozk_plan::format::{self, FormatError, Kind};
use serde::{Deserialize, Serialize};

/// A compiled model: everything that `run`, `plan`, `setup` and `prove` need. It holds the weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Artifact {
    /// BLAKE2b-256 of the ONNX file and of the weights files it names.
    pub source: [u8; 32],
    /// The float model, for comparison.
    float: FlatGraph,
    /// The integer model: what is proven.
    pub model: int::Model,
    /// The circuit of each shape of the integer model.
    pub shapes: Vec<Lowered>,
    /// Model inputs, in the order of the source model.
    pub inputs: Vec<InputSpec>,
    /// Model outputs, in the order of the source model.
    pub outputs: Vec<OutputSpec>,
    /// What the scales were chosen from.
    pub calibration: Calibration,
}

/// One model input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Name in the source model.
    pub name: String,
    /// Shape in the source model.
    pub shape: Vec<usize>,
    /// Element type in the source model.
    pub dtype: String,
    /// What it carries.
    pub kind: InputKind,
}

/// One model output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// Name in the source model.
    pub name: String,
    /// Shape in the source model.
    pub shape: Vec<usize>,
    /// For each element of the source output, its index in the output tensor `[tokens, features]`; `None` when the
    /// orders agree.
    pub order: Option<Vec<usize>>,
    /// Whether the integer model gives the index of the greatest score instead of the scores.
    pub argmax: bool,
}

/// Where the scales come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Names of the sample files, without directories; empty when only static ranges were used.
    pub files: Vec<String>,
    /// Number of sample inputs.
    pub samples: usize,
}

impl Artifact {
    /// Puts the parts together.
    pub fn new(
        loaded: &Loaded,
        model: int::Model,
        shapes: Vec<Lowered>,
        argmax: bool,
        calibration: Calibration,
    ) -> Self {
        let input = |i: &InputInfo| {
            let InputInfo { name, shape, dtype, kind } = i.clone();
            InputSpec { name, shape, dtype, kind }
        };
        let output = |o: &OutputInfo| {
            let OutputInfo { name, shape, order } = o.clone();
            OutputSpec { name, shape, order, argmax }
        };
        Artifact {
            source: loaded.source,
            float: FlatGraph::new(&loaded.graph),
            model,
            shapes,
            inputs: loaded.inputs.iter().map(input).collect(),
            outputs: loaded.outputs.iter().map(output).collect(),
            calibration,
        }
    }

    /// The inputs as the reader of input files takes them.
    pub fn input_infos(&self) -> Vec<InputInfo> {
        let info = |i: &InputSpec| {
            let InputSpec { name, shape, dtype, kind } = i.clone();
            InputInfo { name, shape, dtype, kind }
        };
        self.inputs.iter().map(info).collect()
    }

    /// The float model.
    ///
    /// # Errors
    /// A graph that is inconsistent: only in a forged file.
    pub fn float_graph(&self) -> Result<float::Graph, FormatError> {
        self.float.graph().map_err(malformed)
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        format::encode(Kind::Model, self)
    }

    /// Reads a file and checks that its parts fit together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let artifact: Artifact = format::decode(Kind::Model, bytes)?;
        artifact.check().map_err(malformed)?;
        Ok(artifact)
    }

    /// What later steps rely on when they index.
    fn check(&self) -> Result<(), String> {
        let model = &self.model;
        if self.shapes.len() != model.shapes.len() {
            return Err("one circuit per shape is needed".into());
        }
        for (lowered, graph) in self.shapes.iter().zip(&model.shapes) {
            nanozk_plan::check::check(&lowered.plan).map_err(|e| e.to_string())?;
            let (slots, nodes) = (u64::from(lowered.plan.lane_slots()), graph.nodes.len());
            let outside = |f: &Fill| u64::from(f.slot) + u64::from(f.count) > slots || f.node as usize >= nodes;
            if lowered.fills.iter().any(outside) {
                return Err("a circuit is filled from outside the model".into());
            }
        }
        let known = |ids: &[int::TensorId]| ids.iter().all(|&id| (id as usize) < model.tensors.len());
        if !known(&model.inputs) || !known(&model.outputs) {
            return Err("an input or output names a tensor that does not exist".into());
        }
        for (spec, &id) in self.outputs.iter().zip(&model.outputs) {
            let len = model.tokens as usize * model.tensors[id as usize].features as usize;
            if !spec.argmax && spec.order.iter().flatten().any(|&i| i >= len) {
                return Err(format!("output {} has an order outside its tensor", spec.name));
            }
        }
        if self.inputs.len() != model.inputs.len() || self.outputs.len() != model.outputs.len() {
            return Err("inputs or outputs are missing".into());
        }
        let check = |layer| int::interp::check(model, layer).map(drop).map_err(|e| e.to_string());
        (0..model.layers.len()).try_for_each(check)
    }
}

fn malformed(what: impl Into<String>) -> FormatError {
    FormatError::Malformed { expected: Kind::Model, what: what.into() }
}

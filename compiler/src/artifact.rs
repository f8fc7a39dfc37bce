//! The content of `model.nanozk`.

use crate::config::Head;
use crate::data::InputInfo;
use crate::fidelity::Models;
use crate::frontend::{FrontendError, LoadOptions, Reference};
use nanozk_ir::float::InputKind;
use nanozk_ir::int::packed::Stored;
use nanozk_ir::int::{self, Held, Known, Place, WeightFile};
use nanozk_layout::{Fill, Lowered};
use nanozk_plan::check::CheckError;
use nanozk_plan::format::{self, Fields, FormatError, Kind, ReadError};
use nanozk_plan::{Text, ValueError, ValueInfo, WeightTile};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A compiled model: everything that `run`, `plan`, `setup` and `prove` need. `W` is what is known of its weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "W: Stored")]
pub struct Artifact<W = int::Weights> {
    /// Where the model comes from.
    pub source: Source,
    /// The integer model: what is proven.
    pub model: int::Model<W>,
    /// The circuit of each shape of the integer model.
    pub shapes: Vec<Lowered>,
    /// Model inputs, in the order of the source model.
    pub inputs: Vec<InputInfo>,
    /// Model outputs, in the order of the source model.
    pub outputs: Vec<ValueInfo>,
    /// What the outputs are.
    pub head: Head,
    /// What its tokens stand for.
    pub text: Text,
    /// What the scales were chosen from.
    pub calibration: Calibration,
}

/// The source model, which is read again where float and integer results are compared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Source {
    /// Path of the ONNX file as it was given.
    pub path: String,
    /// BLAKE2b-256 of the ONNX file and of the weights files it names.
    pub digest: [u8; 32],
    /// How it was read.
    pub options: LoadOptions,
    /// Numbers that it holds as parameters.
    pub parameters: u64,
}

/// How many weights are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// Weights that the keys commit to, of all layers.
    pub committed: u64,
    /// Numbers that the source model holds as parameters.
    pub parameters: u64,
}

/// Where the scales come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Names of the sample files, without directories; empty when only static ranges were used.
    pub files: Vec<String>,
    /// Number of sample inputs.
    pub samples: usize,
}

impl Source {
    /// The source model at `path`, or where it was when it was compiled.
    ///
    /// # Errors
    /// No such file, or another one.
    pub fn reference(&self, path: Option<&Path>) -> Result<Reference, FrontendError> {
        Reference::load(path.unwrap_or(Path::new(&self.path)), &self.options, &self.digest)
    }
}

impl Artifact {
    /// The integer model, to be compared with the source model.
    pub fn models(&self) -> Models<'_> {
        Models { model: &self.model, outputs: &self.outputs, head: self.head }
    }

    /// How many weights are committed: each tensor once for each layer that reads it.
    pub fn weights(&self) -> Weights {
        let tiles = |layer: &int::Layer| self.shapes.get(layer.shape as usize).map(|shape| &shape.plan.tiles);
        let of = |tile: &WeightTile| u64::from(tile.inputs) * u64::from(tile.outputs);
        let committed = self.model.layers.iter().filter_map(tiles).flatten().map(of).sum();
        Weights { committed, parameters: self.source.parameters }
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// As [`format::encode`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        format::encode(Kind::Model, self)
    }

    /// Writes the file's bytes to an empty file; returns how many they are.
    ///
    /// # Errors
    /// As [`format::write`].
    pub fn write(&self, file: &mut (impl Write + Seek)) -> io::Result<u64> {
        format::write(Kind::Model, self, file)
    }

    /// Reads a file and checks that its parts fit together.
    ///
    /// # Errors
    /// A file that is none, or whose parts do not fit together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let artifact: Artifact = format::decode(Kind::Model, bytes)?;
        artifact.check().map_err(|e| malformed(e.to_string()))?;
        Ok(artifact)
    }
}

impl Artifact<Held> {
    /// As [`Artifact::from_bytes`], for the model that takes up `range` of a file, in which its weights stay; `path` is the
    /// file's name.
    ///
    /// # Errors
    /// As [`Artifact::from_bytes`], but for weights that are packed in another way, and those of the system.
    pub fn open(path: &Path, file: &File, range: Range<u64>) -> Result<Self, ReadError> {
        let weights = Arc::new(WeightFile::new(path, file.try_clone()?)?);
        let mut fields = Fields::open(Kind::Model, file, range)?;
        let artifact = Artifact {
            source: fields.field()?,
            model: int::Model {
                tokens: fields.field()?,
                limb_bits: fields.field()?,
                shapes: fields.field()?,
                layers: fields.list(|fields| layer(fields, &weights))?,
                tensors: fields.field()?,
                inputs: fields.field()?,
                outputs: fields.field()?,
            },
            shapes: fields.field()?,
            inputs: fields.field()?,
            outputs: fields.field()?,
            head: fields.field()?,
            text: fields.field()?,
            calibration: fields.field()?,
        };
        fields.finish()?;
        artifact.check().map_err(|e| malformed(e.to_string()))?;
        Ok(artifact)
    }
}

/// A layer without its weights, which stay in the file.
fn layer(fields: &mut Fields<&File>, weights: &Arc<WeightFile>) -> Result<int::Layer<Held>, ReadError> {
    Ok(int::Layer {
        name: fields.field()?,
        shape: fields.field()?,
        inputs: fields.field()?,
        outputs: fields.field()?,
        weights: Held::new(weights.clone(), fields.list(matrix)?),
        tables: fields.field()?,
        params: fields.field()?,
    })
}

/// Where a matrix is.
fn matrix(fields: &mut Fields<&File>) -> Result<Place, ReadError> {
    let (weights, bytes) = (fields.field()?, fields.bytes()?);
    Ok(Place { weights, at: bytes.start, bytes: bytes.end - bytes.start })
}

impl<W: Known> Artifact<W> {
    /// What later steps rely on when they index.
    fn check(&self) -> Result<(), Misfit> {
        let model = &self.model;
        check_circuits(model, &self.shapes)?;
        let known = |ids: &[int::TensorId]| ids.iter().all(|&id| (id as usize) < model.tensors.len());
        if !known(&model.inputs) || !known(&model.outputs) {
            return Err(Misfit::NoTensor);
        }
        if self.inputs.len() != model.inputs.len() || self.outputs.len() != model.outputs.len() {
            return Err(Misfit::Ends);
        }
        let len = |id: u32| u64::from(model.tokens) * u64::from(model.tensors[id as usize].features);
        for (info, &id) in self.inputs.iter().zip(&model.inputs) {
            let rows = if info.kind == InputKind::Mask { u64::from(model.tokens.max(1)) } else { 1 };
            info.value().check_whole(len(id) / rows)?;
        }
        self.outputs.iter().zip(&model.outputs).try_for_each(|(value, &id)| value.check(len(id)))?;
        Ok(())
    }
}

/// What does not fit together in a compiled model.
#[derive(Debug, thiserror::Error)]
pub enum Misfit {
    /// More or fewer circuits than shapes.
    #[error("one circuit per shape is needed")]
    Circuits,
    /// A circuit that is not sound.
    #[error(transparent)]
    Plan(#[from] CheckError),
    /// A circuit that is filled with values of nodes that are not there.
    #[error("a circuit is filled from outside the model")]
    Fill,
    /// A layer that does not fit its graph.
    #[error(transparent)]
    Layer(#[from] int::interp::Error),
    /// An input or output that is nowhere.
    #[error("an input or output names a tensor that does not exist")]
    NoTensor,
    /// Fewer inputs or outputs than the source model's.
    #[error("inputs or outputs are missing")]
    Ends,
    /// The source model's view of an input or output.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// Checks that a model has one circuit per shape, which is filled from the shape's graph, and that its layers fit.
///
/// # Errors
/// What does not fit.
pub fn check_circuits<W: Known>(model: &int::Model<W>, shapes: &[Lowered]) -> Result<(), Misfit> {
    if shapes.len() != model.shapes.len() {
        return Err(Misfit::Circuits);
    }
    for (lowered, graph) in shapes.iter().zip(&model.shapes) {
        nanozk_plan::check::check(&lowered.plan)?;
        let (slots, nodes) = (u64::from(lowered.plan.lane_slots()), graph.nodes.len());
        let outside = |f: &Fill| u64::from(f.slot) + u64::from(f.count) > slots || f.node as usize >= nodes;
        if lowered.fills.iter().any(outside) {
            return Err(Misfit::Fill);
        }
    }
    for layer in 0..model.layers.len() {
        int::interp::check(model, layer)?;
    }
    Ok(())
}

fn malformed(what: impl Into<String>) -> FormatError {
    FormatError::Malformed { expected: Kind::Model, what: what.into() }
}

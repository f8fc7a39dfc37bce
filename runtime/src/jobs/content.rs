//! The files of a run folder that are named by their content, and what they hold. All of them are secret.

use crate::keys::{self, ProverKeys};
use crate::layer::{self, LayerData, Task};
use crate::storage::{self, Secrecy};
use crate::{Error, Result, hex};
use nanozk_compiler::artifact;
use nanozk_ir::int::{Graph, Known, Layer, Model, Tensor};
use nanozk_layout::{Choices, Fill, Lowered};
use nanozk_plan::Plan;
use nanozk_plan::format::{self, Kind};
use nanozk_proof::bundle::LayerProof;
use nanozk_proof::error::LayerError;
use nanozk_proof::field::Mask;
use nanozk_proof::keys::ShapeFile;
use nanozk_proof::layer::LayerKey;
use nanozk_proof::pcs::ProverBases;
use nanozk_proof::prover::ShapeProver;
use nanozk_proof::publics::PublicData;
use nanozk_proof::srs::SrsVerifierPart;
use nanozk_proof::verifier::{LayerClaim, prepare_layer};
use nanozk_proof::wire;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;

/// Name of a file by its content: BLAKE2b-256.
pub type Id = [u8; 32];

/// What proving layers of one shape takes, the same for all that have it.
#[derive(Serialize, Deserialize)]
pub struct Shape {
    tokens: u32,
    limb_bits: u32,
    graph: Graph,
    choices: Choices,
    fills: Vec<Fill>,
    key: ShapeFile,
}

/// A layer with its weights, and their masks: the same in all answers.
#[derive(Serialize, Deserialize)]
pub struct LayerFile {
    /// The layer, its tensors by their place in `tensors`.
    layer: Layer,
    tensors: Vec<Tensor>,
    key: LayerKey,
    #[serde(with = "wire::masks")]
    weight_masks: Vec<Mask>,
}

/// A layer of an answer, to be proven.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// Its [`Shape`].
    pub shape: Id,
    /// Its [`LayerFile`].
    pub layer: Id,
    /// Id of the SRS.
    pub srs: [u8; 32],
    /// What is known of the answer.
    pub task: Task,
}

/// A job that is done.
#[derive(Serialize, Deserialize)]
pub struct Part {
    /// The job.
    pub job: Id,
    /// The proof.
    pub proof: LayerProof,
}

/// Writes a value into `dir` under the name of its content.
pub fn put<T: Serialize>(dir: &Path, kind: Kind, value: &T) -> Result<Id> {
    let bytes = format::encode(kind, value).map_err(Error::format(dir))?;
    let id = name(&bytes);
    storage::write_atomic(&dir.join(hex(&id)), Secrecy::Secret, &bytes)?;
    Ok(id)
}

/// Reads the value of this name in `dir`.
///
/// # Errors
/// Also when the content is not that of the name.
pub fn get<T: DeserializeOwned>(dir: &Path, kind: Kind, id: &Id) -> Result<T> {
    let path = dir.join(hex(id));
    let bytes = storage::read(&path)?;
    if name(&bytes) != *id {
        let what = format!("{}: the content is not that of its name: changed, or of another run", path.display());
        return Err(Error::refused(what, "copy it again from the folder that `nanozk jobs split` made"));
    }
    format::decode(kind, &bytes).map_err(Error::format(&path))
}

/// The name of a content.
pub fn name(bytes: &[u8]) -> Id {
    let mut id = Id::default();
    id.copy_from_slice(blake2b_simd::Params::new().hash_length(32).hash(bytes).as_bytes());
    id
}

impl Shape {
    /// Shape `index` of a model.
    pub fn of(keys: &ProverKeys, index: usize) -> Self {
        let model = &keys.artifact.model;
        let lowered = &keys.artifact.shapes[index];
        Shape {
            tokens: model.tokens,
            limb_bits: model.limb_bits,
            graph: model.shapes[index].clone(),
            choices: lowered.choices,
            fills: lowered.fills.clone(),
            key: ShapeFile::of(&keys.verifier.shapes[index]),
        }
    }
}

impl LayerFile {
    /// Layer `index` of a model.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn of(keys: &ProverKeys, index: usize) -> Result<Self> {
        let model = &keys.artifact.model;
        let layer = &model.layers[index];
        let mut layer = layer.with(layer.weights.get().map_err(Error::part)?.into_owned());
        let plan = &keys.artifact.shapes[layer.shape as usize].plan;
        let mut ids = [&layer.inputs[..], &layer.outputs].concat();
        ids.sort_unstable();
        ids.dedup();
        let place = |id: &mut u32| *id = ids.partition_point(|other| other < id) as u32;
        layer.inputs.iter_mut().chain(&mut layer.outputs).for_each(place);
        layer.shape = 0;
        Ok(LayerFile {
            layer,
            tensors: ids.iter().map(|id| model.tensors[*id as usize].clone()).collect(),
            key: keys.verifier.layers[index].clone(),
            weight_masks: keys::weight_masks(plan, index, &keys.weight_seed),
        })
    }
}

/// A shape that is ready to prove layers.
pub struct ShapeReady {
    tokens: u32,
    limb_bits: u32,
    graph: Graph,
    lowered: Lowered,
    prover: ShapeProver,
}

impl ShapeReady {
    /// Derives the proving key. `bases` are asked for by the size of the circuit.
    pub fn new(shape: Shape, bases: &keys::Bases) -> Result<Self> {
        let Shape { tokens, limb_bits, graph, choices, fills, key } = shape;
        let malformed =
            |what: &dyn std::fmt::Display| Error::refused(format!("a shape of the run: {what}"), "split again");
        let lowered = Lowered { choices, plan: key.plan.clone(), fills };
        let key = key.read().map_err(|e| malformed(&e))?;
        let base = bases.get(&key.plan.geometry.k).ok_or_else(|| malformed(&"the SRS has no bases for it"))?;
        Ok(ShapeReady { tokens, limb_bits, graph, lowered, prover: ShapeProver::new(key, base) })
    }

    /// The bases of its size.
    pub fn base<'a>(&self, bases: &'a keys::Bases) -> &'a ProverBases {
        keys::base(bases, &self.lowered.plan)
    }

    /// The plan of a shape that is not ready yet.
    pub fn plan(shape: &Shape) -> &Plan {
        &shape.key.plan
    }

    /// Proves a layer of this shape and verifies the proof, as the join will.
    pub fn prove(
        &self,
        file: LayerFile,
        task: &Task,
        bases: &ProverBases,
        srs: &SrsVerifierPart,
    ) -> Result<LayerProof> {
        let LayerFile { layer, tensors, key, weight_masks } = file;
        let plan = &self.lowered.plan;
        let misfit = |what: &dyn std::fmt::Display| {
            Error::refused(format!("layer {} of the run: {what}", task.index), "split again")
        };
        let fits = key.tables.len() == layer.tables.len()
            && key.weights.len() == plan.weight_columns as usize
            && key.params == layer.params
            && [key.inputs.len(), key.outputs.len()] == [layer.inputs.len(), layer.outputs.len()];
        if !fits {
            return Err(misfit(&"its key is not that of its weights"));
        }
        let model = Model {
            tokens: self.tokens,
            limb_bits: self.limb_bits,
            shapes: vec![self.graph.clone()],
            layers: vec![layer],
            tensors,
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        artifact::check_circuits(&model, std::slice::from_ref(&self.lowered)).map_err(|what| misfit(&what))?;
        let data = LayerData { model: &model, at: 0, lowered: &self.lowered, key: &key, weight_masks };
        let proof = layer::prove(data, task, &self.prover, bases)?;
        self.check(&key, task, &proof, srs).map_err(|error| {
            Error::refused(
                format!("the proof of layer {} does not verify ({error}), nothing was written", task.index),
                "prove it again; if it fails again, compile with sample data like this input and set up again",
            )
        })?;
        Ok(proof)
    }

    fn check(
        &self,
        key: &LayerKey,
        task: &Task,
        proof: &LayerProof,
        srs: &SrsVerifierPart,
    ) -> std::result::Result<(), LayerError> {
        let shape = &self.prover.key;
        let boundary = key.boundary_lanes(&shape.plan, |id| task.commitments(id));
        let boundary = boundary.ok_or(LayerError::Mismatch("a tensor"))?;
        let (inputs, outputs) = (task.public(&key.inputs), task.public(&key.outputs));
        let claim = LayerClaim {
            shape,
            key,
            index: task.index,
            boundary: &boundary,
            public: PublicData { params: &key.params, inputs: &inputs, outputs: &outputs },
            prefix: task.prefix,
        };
        prepare_layer(&claim, &proof.bytes)?.check(srs)
    }
}

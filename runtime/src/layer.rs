//! Proving one layer of one inference.
//!
//! What a prover needs has two sides: the layer as the model has it ([`LayerData`]), which all inferences share, and what
//! it reads and writes in one of them ([`Task`]). Neither knows more of the model than this layer.

use crate::keys::{self, ProverKeys};
use crate::setup::secret_seed;
use crate::{Error, Result};
use ff::PrimeField;
use nanozk_ir::int::{self, Known, Model, interp};
use nanozk_layout::{Lowered, witness};
use nanozk_plan::Plan;
use nanozk_proof::bundle::LayerProof;
use nanozk_proof::field::{Fr, G1, Mask};
use nanozk_proof::layer::LayerKey;
use nanozk_proof::pcs::ProverBases;
use nanozk_proof::prover::{LayerInput, LayerProver, ShapeProver, prove_layer, random_mask};
use nanozk_proof::publics::PublicData;
use nanozk_proof::weights::WeightColumns;
use nanozk_proof::wire;
use nanozk_proof::witness::LaneColumn;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A layer of a model, as its prover needs it.
pub struct LayerData<'a, W> {
    /// A model that holds the layer: the whole one, or one of this layer alone.
    pub model: &'a Model<W>,
    /// Index of the layer in `model`.
    pub at: usize,
    /// Circuit of its shape.
    pub lowered: &'a Lowered,
    /// Its public data.
    pub key: &'a LayerKey,
    /// Masks of its weight columns.
    pub weight_masks: Vec<Mask>,
}

impl<'a> LayerData<'a, int::Held> {
    /// Layer `index` of the model that `keys` are of.
    pub fn of(keys: &'a ProverKeys, index: usize) -> Self {
        let model = &keys.artifact.model;
        let lowered = &keys.artifact.shapes[model.layers[index].shape as usize];
        let weight_masks = keys::weight_masks(&lowered.plan, index, &keys.weight_seed);
        LayerData { model, at: index, lowered, key: &keys.verifier.layers[index], weight_masks }
    }
}

/// One inference of a layer: what its prover has to know of it. Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Index of the layer in the whole model.
    pub index: u32,
    /// Hash of the prefix of the bundle that the proof will stand in.
    #[serde(with = "wire::scalar")]
    pub prefix: Fr,
    /// Values of the tensors it reads, by port, row-major `[tokens, features]`.
    pub inputs: Vec<Vec<i64>>,
    /// What the bundle holds of the tensors it reads or writes.
    pub tensors: BTreeMap<u32, Held>,
}

/// A boundary tensor in a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Held {
    /// Values, row-major `[tokens, features]`.
    Public(Vec<i64>),
    /// By lane: commitments, and the masks in them, which are secret.
    Committed {
        /// Commitments.
        #[serde(with = "wire::points")]
        lanes: Vec<G1>,
        /// Masks.
        #[serde(with = "wire::masks")]
        masks: Vec<Mask>,
    },
}

impl Task {
    /// The public tensors among `ids`.
    pub fn public(&self, ids: &[u32]) -> Vec<Option<&[i64]>> {
        let values = |id: &u32| match self.tensors.get(id)? {
            Held::Public(values) => Some(values.as_slice()),
            Held::Committed { .. } => None,
        };
        ids.iter().map(values).collect()
    }

    /// Commitments of a hidden tensor.
    pub fn commitments(&self, id: u32) -> Option<&[G1]> {
        match self.tensors.get(&id)? {
            Held::Committed { lanes, .. } => Some(lanes),
            Held::Public(_) => None,
        }
    }

    /// Mask of a lane of a hidden tensor.
    fn mask(&self, id: u32, lane: usize) -> Option<&Mask> {
        match self.tensors.get(&id)? {
            Held::Committed { masks, .. } => masks.get(lane),
            Held::Public(_) => None,
        }
    }
}

/// Proves the layer. All randomness but the masks of boundary tensors is fresh: a layer that is proven again has nothing
/// in common with an earlier attempt but its tensors' commitments, whatever Halo2's threads and a restored directory do.
///
/// # Errors
/// A task that is not of these keys; weights that cannot be read; an input outside the range of the proof.
pub fn prove<W: Known>(
    data: LayerData<W>,
    task: &Task,
    shape: &ShapeProver,
    bases: &ProverBases,
) -> Result<LayerProof> {
    let (index, plan, key) = (task.index, &data.lowered.plan, data.key);
    let mismatch = || Error::refused(format!("layer {index} does not fit its keys"), "run `nanozk setup` again");
    let inputs: Vec<&[i64]> = task.inputs.iter().map(Vec::as_slice).collect();
    let layer = &data.model.layers[data.at];
    let weights = layer.weights.get().map_err(Error::part)?;
    let nodes = interp::run_with(data.model, data.at, &weights, &inputs)?;
    let columns = WeightColumns::lay_out(plan, &weights, data.weight_masks).ok_or_else(mismatch)?;
    drop(weights);
    let lanes =
        witness::fill(data.lowered, data.model, data.at, &nodes).map_err(Error::part_of(format!("layer {index}")))?;
    drop(nodes);

    let boundary = key.boundary_lanes(plan, |id| task.commitments(id)).ok_or_else(mismatch)?;
    let (fresh, prefix) = (secret_seed()?, task.prefix.to_repr());
    let stream = |purpose, indices: &[u32]| keys::stream(&fresh, purpose, indices, prefix.as_ref());
    let shared = shared_masks(plan, key, task).ok_or_else(mismatch)?;
    let mask = |lane: u32| match shared.get(&lane) {
        Some(mask) => **mask,
        None => random_mask(&mut stream("lane mask", &[index, lane])),
    };
    let lanes = lanes.into_iter().enumerate().map(|(lane, data)| LaneColumn { data, mask: mask(lane as u32) });
    let (read, written) = (task.public(&key.inputs), task.public(&key.outputs));
    let prover = LayerProver { shape, key, tables: &layer.table_values(), weights: Cow::Owned(columns), index };
    let input = LayerInput {
        lanes: lanes.collect(),
        boundary: &boundary,
        public: PublicData { params: &key.params, inputs: &read, outputs: &written },
        prefix: task.prefix,
    };
    let bytes = prove_layer(bases, prover, input, &mut stream("layer proof", &[index]))
        .map_err(Error::part_of(format!("layer {index}")))?;
    Ok(LayerProof { index, bytes })
}

/// Masks of the lanes of boundary tensors, which are the tensor's own, by lane. `None` if one is missing.
fn shared_masks<'a>(plan: &Plan, key: &LayerKey, task: &'a Task) -> Option<BTreeMap<u32, &'a Mask>> {
    let mut masks = BTreeMap::new();
    for boundary in &plan.boundaries {
        for (i, lane) in boundary.lanes.iter().enumerate() {
            masks.insert(*lane, task.mask(key.tensor(boundary.port)?, i)?);
        }
    }
    Some(masks)
}

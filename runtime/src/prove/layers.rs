//! Proving layers, several at a time within the memory of the machine.

use super::tensors;
use super::work::WorkDir;
use crate::keys::{self, Bases, ProverKeys, Seed};
use crate::setup::secret_seed;
use crate::{Error, Progress, Result, memory};
use ff::PrimeField;
use nanozk_ir::int::interp;
use nanozk_layout::witness;
use nanozk_plan::{Plan, cost};
use nanozk_proof::bundle::{Bundle, LayerProof};
use nanozk_proof::layer::LayerKey;
use nanozk_proof::prover::{LayerInput, LayerProver, ShapeProver, prove_layer, random_mask};
use nanozk_proof::publics::PublicData;
use nanozk_proof::witness::LaneColumn;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Share of the available memory that proving may take.
const MEMORY_SHARE: f64 = 0.6;

/// Everything that all layers of one inference share.
pub struct Scene<'a> {
    /// Keys and model.
    pub keys: &'a ProverKeys,
    /// SRS bases by k.
    pub bases: &'a Bases,
    /// Proving keys by shape.
    pub shapes: &'a BTreeMap<u32, ShapeProver>,
    /// Seed of all masks.
    pub seed: Seed,
    /// Boundary tensors.
    pub values: &'a [Vec<i64>],
    /// Model, nonce, public and committed tensors; no layers yet.
    pub bundle: &'a Bundle,
}

/// How many layers to prove at a time: as many as there are cores and as memory holds.
pub fn parallel(scene: &Scene, range: std::ops::Range<usize>) -> usize {
    let layers = &scene.keys.artifact.model.layers;
    let count = range.len();
    let need = range.map(|i| cost::cost(&scene.keys.artifact.shapes[layers[i].shape as usize].plan).memory_mb);
    let need = need.fold(1.0, f64::max);
    let room = memory::available().map_or(f64::INFINITY, |b| memory::megabytes(b) * MEMORY_SHARE);
    ((room / need) as usize).clamp(1, rayon::current_num_threads()).min(count.max(1))
}

/// Proves `todo`, `parallel` layers at a time, and stores each as soon as it is finished.
pub fn prove_all(
    scene: &Scene,
    todo: &[usize],
    parallel: usize,
    work: &WorkDir,
    progress: &dyn Progress,
) -> Result<BTreeMap<usize, (LayerProof, f64)>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let failure = Mutex::new(None);
    let lock = |e: Error| {
        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
        next.store(todo.len(), Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        for _ in 0..parallel {
            scope.spawn(|| {
                while let Some(&index) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    match prove_one(scene, index).and_then(|proof| work.store(index, &proof).map(|()| proof)) {
                        Ok(proof) => {
                            let seconds = start.elapsed().as_secs_f64();
                            results.lock().unwrap_or_else(PoisonError::into_inner).insert(index, (proof, seconds));
                            progress.step();
                        }
                        Err(error) => lock(error),
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn prove_one(scene: &Scene, index: usize) -> Result<LayerProof> {
    let artifact = &scene.keys.artifact;
    let layer = &artifact.model.layers[index];
    let key = &scene.keys.verifier.layers[index];
    let lowered = &artifact.shapes[layer.shape as usize];
    let plan = &lowered.plan;
    let inputs: Vec<&[i64]> = layer.inputs.iter().map(|&id| scene.values[id as usize].as_slice()).collect();
    let nodes = interp::run(&artifact.model, index, &inputs)?;
    let data = witness::fill(lowered, &artifact.model, index, &nodes)
        .map_err(|e| Error::Refused(format!("layer {index}: {e}")))?;
    drop(nodes);

    let prefix = scene.bundle.prefix();
    let mismatch = || Error::refused(format!("layer {index} does not fit its keys"), "run `nanozk setup` again");
    let boundary = key.boundary_lanes(plan, |id| scene.bundle.commitments(id)).ok_or_else(mismatch)?;
    // Fresh for each attempt: a layer that is proven again has nothing in common with an earlier attempt but its
    // tensors' commitments, whatever Halo2's threads and a restored work directory do.
    let context = [prefix.to_repr().as_ref(), &secret_seed()?].concat();
    let lanes = masked(scene, plan, key, index, data, &context);
    let weights = keys::weight_columns(artifact, index, &scene.keys.weight_seed)?;
    let public = |ids: &[u32]| ids.iter().map(|id| scene.bundle.public(*id)).collect::<Vec<_>>();
    let (inputs, outputs) = (public(&key.inputs), public(&key.outputs));
    let prover = LayerProver {
        shape: scene.shapes.get(&layer.shape).ok_or_else(mismatch)?,
        key,
        tables: &layer.table_values(),
        weights: &weights,
        index: index as u32,
    };
    let input = LayerInput {
        lanes,
        boundary: &boundary,
        public: PublicData { params: &key.params, inputs: &inputs, outputs: &outputs },
        prefix,
    };
    let mut rng = keys::stream(&scene.seed, "layer proof", &[index as u32], &context);
    let bytes = prove_layer(keys::base(scene.bases, plan), &prover, input, &mut rng)
        .map_err(|e| Error::Refused(format!("layer {index}: {e}")))?;
    Ok(LayerProof { index: index as u32, bytes })
}

/// Lanes with their masks: those of boundary tensors are the tensor's own, the others are of this layer alone.
fn masked(
    scene: &Scene,
    plan: &Plan,
    key: &LayerKey,
    index: usize,
    data: Vec<Vec<i64>>,
    context: &[u8],
) -> Vec<LaneColumn> {
    let shared: BTreeMap<u32, (u32, u32)> = plan
        .boundaries
        .iter()
        .filter_map(|b| Some((b, key.tensor(b.port)?)))
        .flat_map(|(b, id)| b.lanes.iter().enumerate().map(move |(i, &lane)| (lane, (id, i as u32))))
        .collect();
    let mask = |lane: u32| match shared.get(&lane) {
        Some(&(id, i)) => tensors::mask(&scene.seed, id, i),
        None => random_mask(&mut keys::stream(&scene.seed, "lane mask", &[index as u32, lane], context)),
    };
    data.into_iter().enumerate().map(|(lane, data)| LaneColumn { data, mask: mask(lane as u32) }).collect()
}

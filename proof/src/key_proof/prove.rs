//! The publisher's side.

use super::{
    KeyProof, all_sizes,
    chunks::{Chunk, chunks, limb_bits, limbs_for},
    known::Known,
    layer, prefix, statement, tables,
};
use crate::{
    keygen::keygen,
    keys::VerifierKey,
    pcs::ProverBases,
    prover::{LayerInput, LayerProver, ProveError, prove_layer, random_mask},
    publics::PublicData,
    weights::WeightColumns,
    witness::LaneColumn,
};
use halo2_proofs::utils::SerdeFormat;
use nanozk_ir::int::Table;
use nanozk_plan::Plan;
use rand_core::{CryptoRng, RngCore};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// The narrowest ranges of the matrices of a layer, in limbs, by matrix of its plan. `None` if one is missing.
pub fn limbs(plan: &Plan, matrices: &[Vec<i32>]) -> Option<Vec<u32>> {
    let bits = limb_bits(plan.geometry.k);
    plan.tiles.iter().map(|t| Some(limbs_for(bits, matrices.get(t.weight as usize)?))).collect()
}

/// Proves a verifier file. `weights` gives the weight columns of a layer, when they are needed, `tables` are the pair tables
/// by layer, `limbs` the ranges to state; with weights outside of them, or nonzero where none is placed, or tables other than the committed ones, the
/// result does not verify: check it before use.
///
/// # Errors
/// When keys, weights, tables, ranges and bases do not belong together, and those of [`prove_layer`].
pub fn prove(
    key: &VerifierKey,
    bases: &BTreeMap<u32, Arc<ProverBases>>,
    weights: &dyn Fn(usize) -> Option<WeightColumns>,
    tables: &[&[Table]],
    limbs: Vec<Vec<u32>>,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<KeyProof, ProveError> {
    let chunks = chunks(key, &limbs).map_err(ProveError::Keys)?;
    let base = |k: u32| bases.get(&k).ok_or(ProveError::Mismatch("the SRS"));
    let circuit =
        |chunk: &Chunk| keygen(&chunk.plan, base(chunk.plan.geometry.k)?).map_err(|e| ProveError::Keys(e.to_string()));
    // The first circuit of each size; the others differ from it in their number of lanes only.
    let mut first = BTreeMap::new();
    for chunk in &chunks {
        if let Entry::Vacant(entry) = first.entry(chunk.plan.geometry.k) {
            entry.insert(circuit(chunk)?);
        }
    }
    let circuits: Vec<Vec<u8>> = first.values().map(|p| p.key.vk.to_bytes(SerdeFormat::Processed)).collect();
    let distinct = tables::tables(key);
    let stated = |t: &tables::TableKey| {
        let table = tables.get(t.layer)?.get(t.index)?;
        table.check(t.geometry.limb_bits).then(|| table.clone())
    };
    let tables: Vec<Table> =
        distinct.iter().map(stated).collect::<Option<_>>().ok_or(ProveError::Mismatch("a pair table"))?;
    let statement =
        statement(key, &limbs, &circuits, &tables).map_err(|_| ProveError::Mismatch("the verifier file"))?;

    let mut openings = Vec::new();
    for k in all_sizes(key) {
        let of_size = |p: &&crate::layer::ShapeKey| p.plan.geometry.k == k;
        let range = first.get(&k).map(|p| &p.key);
        let known = Known::of(k, key.shapes.iter().filter(of_size).chain(range), distinct.iter().zip(&tables));
        let known = known.ok_or(ProveError::Mismatch("a key"))?;
        openings.push(known.open(base(k)?, &statement).ok_or(ProveError::ZeroChallenge)?);
    }
    let prefix = prefix(&statement);
    let mut ranges = Vec::with_capacity(chunks.len());
    let mut layers: BTreeMap<usize, WeightColumns> = BTreeMap::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let k = chunk.plan.geometry.k;
        let prover = match first.remove(&k) {
            Some(prover) => prover,
            None => circuit(chunk)?,
        };
        layers.retain(|layer, _| chunk.columns.iter().any(|c| c.layer == *layer));
        for column in &chunk.columns {
            if let Entry::Vacant(entry) = layers.entry(column.layer) {
                entry.insert(weights(column.layer).ok_or(ProveError::Mismatch("a weight column"))?);
            }
        }
        let weights = chunk_weights(chunk, &layers)?;
        let lanes = chunk.limbs(&weights.columns).into_iter();
        let lanes: Vec<LaneColumn> = lanes.map(|data| LaneColumn { data, mask: random_mask(rng) }).collect();
        let boundary = vec![None; lanes.len()];
        let public = PublicData { params: &[], inputs: &[], outputs: &[] };
        let key = layer(key, chunk);
        let layer = LayerProver { shape: &prover, key: &key, tables: &[], weights: &weights, index: index as u32 };
        let input = LayerInput { lanes, boundary: &boundary, public, prefix };
        ranges.push(prove_layer(base(k)?, &layer, input, rng)?);
    }
    Ok(KeyProof { limbs, circuits, tables, openings, ranges })
}

/// The columns of a chunk, brought to one length.
fn chunk_weights(chunk: &Chunk, layers: &BTreeMap<usize, WeightColumns>) -> Result<WeightColumns, ProveError> {
    let rows = chunk.plan.operand_rows() as usize;
    let mismatch = ProveError::Mismatch("a weight column");
    let column = |c: &super::chunks::Column| {
        let layer = layers.get(&c.layer)?;
        let mut data = layer.columns.get(c.index)?.clone();
        let fits =
            data.len() <= rows && c.runs.iter().all(|r| ((r.row + r.step * (r.count - 1)) as usize) < data.len());
        data.resize(rows, 0);
        fits.then_some((data, *layer.masks.get(c.index)?))
    };
    let columns: Option<Vec<_>> = chunk.columns.iter().map(column).collect();
    let (columns, masks) = columns.ok_or(mismatch)?.into_iter().unzip();
    Ok(WeightColumns { columns, masks })
}

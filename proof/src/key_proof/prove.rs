//! The publisher's side.

use super::{
    all_sizes,
    chunks::{limb_bits, limbs_for},
    identity::{self, Place, Source, Weights},
    known::Known,
    prefix,
    projection::Limb,
    statement, tables,
};
use crate::{
    error::ProveError,
    field::Fr,
    keygen::keygen,
    keys::{KeyProof, Limbs, VerifierKey},
    pcs::ProverBases,
    prover::random_mask,
    witness::LaneColumn,
};
use nanozk_ir::int::Table;
use nanozk_plan::Plan;
use rand_core::{CryptoRng, RngCore};
use std::{collections::BTreeMap, sync::Arc};

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
/// When keys, weights, tables, ranges and bases do not belong together, and those of [`identity::prove`].
pub fn prove(
    key: &VerifierKey,
    bases: &BTreeMap<u32, Arc<ProverBases>>,
    weights: &Weights,
    tables: &[&[Table]],
    limbs: Limbs,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<KeyProof, ProveError> {
    prove_with::<i64>(key, bases, Source { weights, forged: &[], folded: key }, tables, limbs, rng)
}

/// As [`prove`], for a cheating publisher: with everything else as good as it can be made for the source. Where cells are
/// forged, stated ranges are to be those of projections.
///
/// # Errors
/// Those of [`prove`].
pub fn prove_forged(
    key: &VerifierKey,
    bases: &BTreeMap<u32, Arc<ProverBases>>,
    source: Source,
    tables: &[&[Table]],
    limbs: Limbs,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<KeyProof, ProveError> {
    prove_with::<Fr>(key, bases, source, tables, limbs, rng)
}

fn prove_with<C: Limb>(
    key: &VerifierKey,
    bases: &BTreeMap<u32, Arc<ProverBases>>,
    source: Source,
    tables: &[&[Table]],
    limbs: Limbs,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<KeyProof, ProveError> {
    let parts = limbs.statements(key)?;
    let base = |k: u32| bases.get(&k).ok_or(ProveError::Mismatch("the SRS"));
    let distinct = tables::tables(key);
    let stated = |t: &tables::TableKey| {
        let table = tables.get(t.layer)?.get(t.index)?;
        table.check(t.geometry.limb_bits).then(|| table.clone())
    };
    let tables: Vec<Table> =
        distinct.iter().map(stated).collect::<Option<_>>().ok_or(ProveError::Mismatch("a pair table"))?;
    let statement = statement(key, &limbs, &tables).map_err(|_| ProveError::Mismatch("the verifier file"))?;

    let mut openings = Vec::new();
    for k in all_sizes(key) {
        let known = Known::of(k, &key.shapes, distinct.iter().zip(&tables));
        openings.push(known.open(base(k)?, &statement).ok_or(ProveError::ZeroChallenge)?);
    }
    let prefix = prefix(&statement);
    let mut ranges = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let identity = part.identity(&statement);
        let k = identity.plan.geometry.k;
        let prover = keygen(&identity.plan, base(k)?)?;
        let lanes: Vec<Vec<C>> =
            part.lanes_of(&statement, source.weights, source.forged).ok_or(ProveError::Mismatch("a weight column"))?;
        let lanes: Vec<LaneColumn<C>> =
            lanes.into_iter().map(|data| LaneColumn { data, mask: random_mask(rng) }).collect();
        let place = Place { index: index as u32, prefix };
        ranges.push(identity::prove(base(k)?, &prover, place, &identity, lanes, source, rng)?);
    }
    Ok(KeyProof { limbs, tables, openings, ranges })
}

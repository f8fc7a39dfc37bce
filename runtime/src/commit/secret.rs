//! What a provider keeps of a commitment, and the proofs of layers that it hands out for it.
//!
//! **A layer is proven at most once.** Two proofs of one layer would open its tensors' lanes at two points under the same
//! masks, and each further one at one more. So a proof is stored before anything of it is released, under a name that only
//! the first can take, and whoever asks again gets the stored bytes. A stored proof that cannot be read is never replaced,
//! for it may have been released.

use super::committed::Committed;
use crate::keys::{self, ProverKeys, Seed};
use crate::pool::{self, Provers};
use crate::storage::{self, Secrecy};
use crate::{Error, Progress, Result, hex};
use nanozk_plan::format::Kind;
use nanozk_proof::bundle::{Bundle, LayerProof};
use nanozk_proof::verify::{VerifyOptions, verify_layers};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// `OUT.secret`, for the commitment file `out`.
pub fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(".secret");
    out.with_file_name(name)
}

/// The secrets behind a bundle without layers.
#[derive(Serialize, Deserialize)]
struct State {
    bundle: Bundle,
    values: Vec<Vec<i64>>,
    seed: Seed,
}

fn state(dir: &Path) -> PathBuf {
    dir.join("state")
}

fn layer(dir: &Path, index: u32) -> PathBuf {
    dir.join(format!("layer-{index}"))
}

/// Writes the secrets into `dir`.
///
/// # Errors
/// A file that cannot be written.
pub fn save(dir: &Path, committed: &Committed) -> Result<()> {
    let Committed { bundle, values, seed, .. } = committed;
    let kept = State { bundle: bundle.clone(), values: values.clone(), seed: *seed };
    storage::save(Kind::Work, &state(dir), Secrecy::Secret, &kept)
}

/// Reads the secrets in `dir`, which must be of the model of `keys`.
///
/// # Errors
/// A file that cannot be read, or is not of a commitment under these keys.
pub fn load(dir: &Path, keys: &ProverKeys) -> Result<Committed> {
    let State { bundle, values, seed } = storage::load(Kind::Work, &state(dir))?;
    if bundle.model_id != keys.verifier.model_id() {
        let (found, wanted) = (hex(&bundle.model_id), hex(&keys.verifier.model_id()));
        let what = format!("{}: the commitment is of model {found}, the keys are of {wanted}", dir.display());
        return Err(Error::refused(what, "use the keys that it was made with"));
    }
    let sizes = keys.verifier.tensors.iter().map(|t| keys.verifier.tokens as usize * t.features as usize);
    let fits = bundle.fits(&keys.verifier).is_ok() && bundle.layers.is_empty() && sizes.eq(values.iter().map(Vec::len));
    if !fits {
        let what = format!("{}: the commitment does not fit its model", dir.display());
        return Err(Error::refused(what, "commit again"));
    }
    Ok(Committed { prefix: bundle.prefix(), bundle, values, seed })
}

/// Proves `layers` of the commitment whose secrets are in `dir`, or takes the proofs of them that were made before: the
/// bundle with exactly these layers. `memory` bounds in bytes what proving may take.
///
/// # Errors
/// A layer that the model does not have; another process that proves for this commitment; a proof that is stored and
/// cannot be read; an input outside the ranges that can be proven.
pub fn prove_layers(
    dir: &Path,
    keys: &ProverKeys,
    layers: &BTreeSet<u32>,
    memory: Option<u64>,
    progress: &dyn Progress,
) -> Result<Bundle> {
    let committed = load(dir, keys)?;
    let count = keys.verifier.layers.len() as u32;
    if let Some(index) = layers.iter().find(|index| **index >= count) {
        let what = format!("layer {index} is not one of the model's {count}");
        return Err(Error::refused(what, format!("choose from 0-{}", count.saturating_sub(1))));
    }
    let _lock = storage::lock(dir)?;
    let todo: Vec<usize> = layers.iter().filter(|i| !layer(dir, **i).exists()).map(|i| *i as usize).collect();
    let bases = keys::bases(&keys.srs, keys.plans())?;
    let provers = Provers::new(keys, &bases, &todo);
    let plans = todo.iter().map(|i| &*keys.verifier.shape(*i as u32).plan);
    let parallel = pool::parallel(plans, todo.len(), memory)?;
    progress.stage("proving layers", todo.len() as u64);
    pool::each(&todo, parallel, progress, |index| {
        let proof = provers.prove(&committed.task(keys, index))?;
        check(keys, &committed.bundle, &proof)?;
        storage::save_new(Kind::Work, &layer(dir, proof.index), Secrecy::Secret, &proof).map(drop)
    })?;
    // What is handed out is what is stored, whoever stored it.
    let proofs = layers.iter().map(|index| stored(dir, *index)).collect::<Result<_>>()?;
    Ok(Bundle { layers: proofs, ..committed.bundle })
}

/// Refuses a proof that does not verify, before it takes the one place there is.
fn check(keys: &ProverKeys, bundle: &Bundle, proof: &LayerProof) -> Result<()> {
    let bundle = Bundle { layers: vec![proof.clone()], ..bundle.clone() };
    let options = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
    verify_layers(&keys.verifier, &bundle, &options).map(drop).map_err(|error| {
        Error::refused(
            format!("the finished proof does not verify ({error}), nothing was written"),
            "prove again; if it fails again, compile with sample data like this input and set up again",
        )
    })
}

/// The stored proof of layer `index`.
fn stored(dir: &Path, index: u32) -> Result<LayerProof> {
    let path = layer(dir, index);
    let lost = |cause: &dyn std::fmt::Display| {
        let what = format!("{}: {cause}, and layer {index} must not be proven twice", path.display());
        Error::refused(what, "restore the file, or commit again")
    };
    match storage::load::<LayerProof>(Kind::Work, &path) {
        Ok(proof) if proof.index == index => Ok(proof),
        Ok(_) => Err(lost(&"it is the proof of another layer")),
        Err(Error::Format { cause, .. }) => Err(lost(&cause.cause())),
        Err(Error::Io { cause, .. }) => Err(lost(&cause)),
        Err(error) => Err(error),
    }
}

//! `nanozk prove --challenge`: the provider proves the layers that were drawn of its commitment.

use super::files;
use crate::commit::{self, secret};
use crate::storage::{self, KeyDir, Secrecy};
use crate::{Error, Progress, Result, hex, keys};
use ff::PrimeField;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// What to answer.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Directory made by setup.
    pub keys: PathBuf,
    /// Challenge file.
    pub challenge: PathBuf,
    /// Commitment file; its secrets lie beside it.
    pub commitment: PathBuf,
    /// Proof file to write.
    pub out: PathBuf,
    /// Most memory in bytes for proving layers; without, a share of what the machine has free.
    pub memory: Option<u64>,
}

/// What was proven.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerReport {
    /// Proof file.
    pub proof: PathBuf,
    /// Id of the model.
    pub model_id: String,
    /// Hash of the commitment.
    pub commitment: String,
    /// Layers drawn and proven.
    pub layers: Vec<u32>,
    /// Layers of the model.
    pub layers_total: usize,
    /// Layer proofs and tensor commitments, without public values.
    pub proof_bytes: usize,
    /// Size of the proof file.
    pub file_bytes: u64,
    /// Whole time, from reading the keys to the written proof.
    pub prove_seconds: f64,
}

/// Proves exactly the layers drawn, or takes the proofs of them that were handed out before, and writes the proof.
///
/// # Errors
/// A challenge of another commitment; what [`secret::prove_layers`] refuses.
pub fn answer(request: &Request, progress: &dyn Progress) -> Result<AnswerReport> {
    let start = Instant::now();
    storage::check_writable(&request.out)?;
    let (challenge, drawn) = files::read_challenge(&request.challenge)?;
    let other = |found: String| {
        let what = format!(
            "{}: the challenge was drawn for the commitment {}",
            request.challenge.display(),
            challenge.commitment
        );
        Error::refused(format!("{what}, not {found}"), "name the commitment that was sent with `--commitment`")
    };
    let id = commit::commitment_id(&commit::read(&request.commitment)?);
    if id != challenge.commitment.to_string() {
        return Err(other(id));
    }
    progress.stage("reading keys", 1);
    let keys = keys::read(&KeyDir::new(&request.keys))?;
    let layers = drawn.layers().iter().copied().collect();
    let secrets = secret::beside(&request.commitment);
    let bundle = secret::prove_layers(&secrets, &keys, &layers, request.memory, progress)?;
    if bundle.prefix().to_repr().as_ref() != drawn.commitment() {
        return Err(other(format!("{}, whose secrets are in {}", commit::commitment_id(&bundle), secrets.display())));
    }
    let bytes = bundle.to_bytes().map_err(Error::format(&request.out))?;
    storage::write_atomic(&request.out, Secrecy::Open, &bytes)?;
    Ok(AnswerReport {
        proof: request.out.clone(),
        model_id: hex(&bundle.model_id),
        commitment: id,
        layers: drawn.layers().to_vec(),
        layers_total: keys.verifier.layers.len(),
        proof_bytes: bundle.proof_bytes(),
        file_bytes: bytes.len() as u64,
        prove_seconds: start.elapsed().as_secs_f64(),
    })
}

impl std::fmt::Display for AnswerReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers: Vec<String> = self.layers.iter().map(u32::to_string).collect();
        writeln!(
            f,
            "proof      {} (layers {}: {} of {})",
            self.proof.display(),
            layers.join(" "),
            layers.len(),
            self.layers_total
        )?;
        writeln!(f, "model id   {}", self.model_id)?;
        writeln!(f, "commitment {}", self.commitment)?;
        writeln!(f, "size       {} proof bytes, file {} bytes", self.proof_bytes, self.file_bytes)?;
        write!(f, "time       {:.2} s", self.prove_seconds)
    }
}

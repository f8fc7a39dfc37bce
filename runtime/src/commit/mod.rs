//! The commitment phase: everything of a proof but the proofs of its layers.
//!
//! The model is computed and every tensor between layers is put in the bundle, by value or behind a commitment. From then
//! on the statement is fixed, and layers are independent of each other. `nanozk prove` goes on at once; `nanozk commit`
//! ends here and keeps the secrets ([`secret`]), so that layers can be proven when a verifier has named them.

mod committed;
pub mod secret;
mod tensors;

pub use committed::{Committed, Statement};

use crate::answer::AnswerReport;
use crate::clamped::{self, Clamped};
use crate::decoding::{Answered, Asked};
use crate::keys::{self, Bases, ProverKeys};
use crate::setup::secret_seed;
use crate::shown::Shown;
use crate::storage::{self, Batch, KeyDir, NewDir, Secrecy};
use crate::{Error, Progress, Result, hex, input, memory};
use ff::PrimeField;
use nanozk_ir::int::interp;
use nanozk_proof::bundle::Bundle;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The integer model on one input.
pub struct Computed {
    /// All boundary tensors, row-major `[tokens, features]`.
    pub values: Vec<Vec<i64>>,
    /// Clamps that saturated values of this input.
    pub saturated: Vec<Clamped>,
}

impl Computed {
    /// Computes the model.
    ///
    /// # Errors
    /// A value outside its node's bounds; with `strict` also a clamped one.
    pub fn new(keys: &ProverKeys, input: &[Vec<i64>], strict: bool) -> Result<Self> {
        let (model, mut clamps) = (&keys.artifact.model, Vec::new());
        let see = &mut |layer: usize, values: &[Vec<i64>]| clamps.extend(interp::clamps(model, layer, values));
        let values = interp::run_seen(model, input, see)?;
        let saturated = clamped::saturated(&clamps);
        if strict {
            clamped::refuse(&saturated)?;
        }
        Ok(Computed { values, saturated })
    }
}

/// What the model is run on.
#[derive(Clone, Debug)]
pub enum Of {
    /// An input file.
    Input(PathBuf),
    /// A prompt, with the answer to it.
    Answer(Asked),
}

impl Of {
    /// Reads the input, or lets the model write the answer.
    ///
    /// # Errors
    /// A file that is no input of the model; as [`Asked::answer`].
    pub fn read(&self, keys: &ProverKeys, nonce: &[u8], progress: &dyn Progress) -> Result<Inference> {
        match self {
            Of::Input(file) => {
                let input = input::read(&keys.artifact, file)?;
                Ok(Inference { input: input.int, length: input.length, answered: None })
            }
            Of::Answer(asked) => {
                let mut answered = asked.answer(keys, nonce, progress)?;
                let (input, length) = (std::mem::take(&mut answered.input), answered.length);
                Ok(Inference { input, length, answered: Some(answered) })
            }
        }
    }
}

/// What a commitment will be of.
pub struct Inference {
    input: Vec<Vec<i64>>,
    length: u32,
    answered: Option<Answered>,
}

impl Inference {
    /// Computes the model and commits to all its tensors, under masks of a fresh seed.
    ///
    /// # Errors
    /// As [`Computed::new`].
    pub fn commit(self, keys: &ProverKeys, bases: &Bases, nonce: &[u8], strict: bool) -> Result<Made> {
        let Computed { values, saturated } = Computed::new(keys, &self.input, strict)?;
        let answer = self.answered.as_ref().map(|answered| answered.claim);
        let statement = Statement { input: &self.input, length: self.length, answer, nonce };
        let committed = Committed::new(keys, bases, &statement, values, secret_seed()?);
        Ok(Made { committed, answer: self.answered.map(Answered::report).transpose()?, saturated })
    }
}

/// A commitment with what its maker is told.
pub struct Made {
    /// The commitment and its secrets.
    pub committed: Committed,
    /// The answer that is claimed, where a prompt was given.
    pub answer: Option<AnswerReport>,
    /// Clamps that saturated values of this input.
    pub saturated: Vec<Clamped>,
}

/// What to commit to.
#[derive(Clone, Debug)]
pub struct Request {
    /// Directory made by setup.
    pub keys: PathBuf,
    /// Input or prompt.
    pub of: Of,
    /// File to write; the secrets go to `OUT.secret`.
    pub out: PathBuf,
    /// Verifier's challenge, as in [`crate::prove::Request`].
    pub nonce: Option<Vec<u8>>,
    /// Whether an input that saturates values is refused.
    pub strict: bool,
}

/// What was committed to.
#[derive(Clone, Debug, Serialize)]
pub struct CommitReport {
    /// Commitment file, to be handed over.
    pub commitment: PathBuf,
    /// Directory with the secrets behind it, to be kept.
    pub secret: PathBuf,
    /// Id of the model.
    pub model_id: String,
    /// Hash of the commitment, which every layer proof is bound to.
    pub commitment_id: String,
    /// Layers of the model.
    pub layers_total: usize,
    /// True number of tokens.
    pub length: u32,
    /// The answer that is claimed, where a prompt was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerReport>,
    /// Model inputs; hidden ones without values.
    pub input: Vec<Shown>,
    /// Model outputs; hidden ones without values.
    pub output: Vec<Shown>,
    /// Size of the commitment file.
    pub file_bytes: u64,
    /// Whole time, from reading the keys to the written files.
    pub commit_seconds: f64,
    /// Part of it spent reading files.
    pub load_seconds: f64,
    /// Clamps that saturated values of this input.
    pub saturated: Vec<Clamped>,
    /// Peak memory of the process, where the system tells.
    pub peak_memory_mb: Option<f64>,
}

/// Computes the model on an input and commits to all its tensors, without proving anything.
///
/// # Errors
/// Keys, input or prompt that cannot be used; with `strict` clamped values; a place that holds an earlier commitment.
pub fn commit(request: &Request, progress: &dyn Progress) -> Result<CommitReport> {
    let start = Instant::now();
    let out = &request.out;
    storage::check_writable(out)?;
    let place = secret::beside(out);
    // Whoever holds the old commitment may still ask for its layers.
    if place.exists() {
        let what = format!("{}: holds the secrets of an earlier commitment", place.display());
        return Err(Error::refused(what, "choose another output, or remove it if no layer will be asked for any more"));
    }
    progress.stage("reading keys", 1);
    let keys = keys::read(&KeyDir::new(&request.keys))?;
    let nonce = request.nonce.as_deref().unwrap_or_default();
    let inference = request.of.read(&keys, nonce, progress)?;
    let bases = keys::bases(&keys.srs, keys.plans())?;
    let load_seconds = start.elapsed().as_secs_f64();
    progress.stage("computing and committing", 1);
    let Made { committed, answer, saturated } = inference.commit(&keys, &bases, nonce, request.strict)?;

    progress.stage("writing the commitment", 1);
    let bundle = committed.bundle();
    let bytes = committed.file(out)?;
    let mut public = Batch::default();
    public.add(out, Secrecy::Open, |file| file.write_all(&bytes))?;
    let dir = NewDir::beside(&place)?;
    secret::save(dir.path(), &committed)?;
    // The secrets first: a commitment without them could not be answered for.
    dir.name(&place)?;
    public.commit()?;
    Ok(CommitReport {
        commitment: out.clone(),
        secret: place,
        model_id: hex(&bundle.model_id),
        commitment_id: commitment_id(bundle),
        layers_total: keys.verifier.layers.len(),
        length: bundle.length,
        answer,
        input: Shown::of_bundle(&keys.verifier, bundle, &keys.verifier.inputs, |_| None),
        output: Shown::of_bundle(&keys.verifier, bundle, &keys.verifier.outputs, |_| None),
        file_bytes: bytes.len() as u64,
        commit_seconds: start.elapsed().as_secs_f64(),
        load_seconds,
        saturated,
        peak_memory_mb: memory::peak().map(memory::megabytes),
    })
}

/// Reads the file of a commitment.
///
/// # Errors
/// A file that is no commitment.
pub fn read(path: &Path) -> Result<Bundle> {
    Bundle::from_commitment(&storage::read(path)?).map_err(Error::format(path))
}

/// The hash that every layer proof of a bundle is bound to.
pub fn commitment_id(bundle: &Bundle) -> String {
    hex(bundle.prefix().to_repr().as_ref())
}

impl std::fmt::Display for CommitReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "commitment {} ({} bytes, no layer proven)", self.commitment.display(), self.file_bytes)?;
        writeln!(f, "secrets    {} (keep, and keep secret)", self.secret.display())?;
        writeln!(f, "model id   {}", self.model_id)?;
        writeln!(f, "id         {}", self.commitment_id)?;
        writeln!(f, "layers     {}", self.layers_total)?;
        writeln!(f, "tokens     {}", self.length)?;
        if let Some(answer) = &self.answer {
            writeln!(f, "{answer}")?;
        }
        self.input.iter().try_for_each(|input| writeln!(f, "input      {input}"))?;
        self.output.iter().try_for_each(|output| writeln!(f, "output     {output}"))?;
        if let Some(line) = clamped::line(&self.saturated) {
            writeln!(f, "warning    {line}")?;
        }
        write!(f, "time       {:.2} s (keys {:.2} s)", self.commit_seconds, self.load_seconds)
    }
}

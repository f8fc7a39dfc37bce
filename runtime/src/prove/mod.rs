//! `nanozk prove`: one inference, proven layer by layer.
//!
//! The boundary tensors are computed and committed first; from then on layers are independent of each other. The seed of
//! all masks and every finished layer proof lie in a work directory beside the output, so that an interrupted run goes
//! on where it stopped.

mod work;

use crate::clamped::{self, Clamped};
use crate::commit::{Committed, Computed, Statement};
use crate::keys::{self, ProverKeys};
use crate::pool::{self, Provers};
use crate::shown::Shown;
use crate::storage::{self, KeyDir, Secrecy};
use crate::{Error, Progress, Result, hex, input, memory};
use nanozk_proof::bundle::{Answer, Bundle, LayerProof};
use nanozk_proof::transcript::Absorber;
use nanozk_proof::verify::{VerifyOptions, verify_layers};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use work::WorkDir;

/// Longest nonce in bytes.
pub const MAX_NONCE: usize = 64;

/// What to prove.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Directory made by setup.
    pub keys: PathBuf,
    /// Input file.
    pub input: PathBuf,
    /// Proof file to write.
    pub out: PathBuf,
    /// First and last layer to prove; all when absent.
    pub layers: Option<(usize, usize)>,
    /// Verifier's challenge, at most [`MAX_NONCE`] bytes.
    pub nonce: Option<Vec<u8>>,
    /// Whether an input that saturates values is refused.
    pub strict: bool,
    /// Most memory in bytes for proving layers; without, a share of what the machine has free.
    pub memory: Option<u64>,
}

/// What was proven.
#[derive(Clone, Debug, Serialize)]
pub struct ProveReport {
    /// Proof file.
    pub proof: PathBuf,
    /// Id of the model.
    pub model_id: String,
    /// Layers proven.
    pub layers: Vec<LayerReport>,
    /// Layers of the model.
    pub layers_total: usize,
    /// Layers taken over from an interrupted run.
    pub resumed: usize,
    /// True number of tokens; what lies beyond is not part of the statement.
    pub length: u32,
    /// Model inputs of the proven run; hidden ones without values.
    pub input: Vec<Shown>,
    /// Model outputs of the proven run; hidden ones without values.
    pub output: Vec<Shown>,
    /// Layer proofs and tensor commitments, without public values.
    pub proof_bytes: usize,
    /// Size of the proof file.
    pub file_bytes: u64,
    /// Whole time, from reading the keys to the written file.
    pub prove_seconds: f64,
    /// Part of it spent reading files and deriving proving keys.
    pub load_seconds: f64,
    /// Part of it spent verifying the own proof.
    pub verify_seconds: f64,
    /// Clamps that saturated values of this input.
    pub saturated: Vec<Clamped>,
    /// Layers proven at a time.
    pub parallel: usize,
    /// Peak memory of the process, where the system tells.
    pub peak_memory_mb: Option<f64>,
}

/// One proven layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// Index.
    pub index: usize,
    /// Index of its shape.
    pub shape: u32,
    /// Size of its proof.
    pub proof_bytes: usize,
    /// Time to prove it, while other layers were proven too; 0 when taken over.
    pub prove_seconds: f64,
}

/// Proves one inference and writes the proof.
///
/// # Errors
/// Keys or an input that cannot be used; as [`run`].
pub fn prove(request: &Request, progress: &dyn Progress) -> Result<ProveReport> {
    let start = Instant::now();
    storage::check_writable(&request.out)?;
    progress.stage("reading keys", 1);
    let keys = keys::read(&KeyDir::new(&request.keys))?;
    let input = input::read(&keys.artifact, &request.input)?;
    let Request { out, layers, nonce, strict, memory, .. } = request;
    let nonce = nonce.as_deref().unwrap_or_default();
    let statement = Statement { input: &input.int, length: input.length, answer: None, nonce };
    let (layers, strict, memory) = (*layers, *strict, *memory);
    run(&Job { keys: &keys, statement, layers, strict, memory, out, start }, progress)
}

/// A proof to make with keys that are read already.
pub struct Job<'a> {
    /// The keys.
    pub keys: &'a ProverKeys,
    /// What the proof says.
    pub statement: Statement<'a>,
    /// As in [`Request`].
    pub layers: Option<(usize, usize)>,
    /// As in [`Request`].
    pub strict: bool,
    /// As in [`Request`].
    pub memory: Option<u64>,
    /// Proof file to write.
    pub out: &'a Path,
    /// When the work began.
    pub start: Instant,
}

/// Proves and writes the proof.
///
/// # Errors
/// Layers that the model does not have; a value outside its bounds, or with `strict` a clamped one; an own proof that does
/// not verify; a file that cannot be written.
pub fn run(job: &Job, progress: &dyn Progress) -> Result<ProveReport> {
    let Job { keys, statement, start, .. } = job;
    let range = layer_range(keys, job.layers)?;
    progress.stage("computing the model", 1);
    let Computed { values, saturated } = Computed::new(keys, statement.input, job.strict)?;
    let mut work = WorkDir::open(job.out, fingerprint(keys, statement))?;

    let layers: Vec<usize> = range.collect();
    let bases = keys::bases(&keys.srs, keys.plans())?;
    let provers = Provers::new(keys, &bases, &layers);
    let load_seconds = start.elapsed().as_secs_f64();

    let committed = Committed::new(keys, &bases, statement, values, *work.seed());

    progress.stage("proving layers", layers.len() as u64);
    let plans = layers.iter().map(|i| &*keys.verifier.shape(*i as u32).plan);
    let parallel = pool::parallel(plans, layers.len(), job.memory)?;
    let mut done: BTreeMap<usize, (LayerProof, f64)> = BTreeMap::new();
    for &index in &layers {
        if let Some(proof) = work.finished(index) {
            done.insert(index, (proof, 0.0));
            progress.step();
        }
    }
    let resumed = done.len();
    let todo: Vec<usize> = layers.into_iter().filter(|i| !done.contains_key(i)).collect();
    done.extend(pool::each(&todo, parallel, progress, |index| {
        let proof = provers.prove(&committed.task(keys, index))?;
        work.store(index, &proof).map(|()| proof)
    })?);
    let reports = done.iter().map(|(&index, (proof, seconds))| LayerReport {
        index,
        shape: keys.artifact.model.layers[index].shape,
        proof_bytes: proof.bytes.len(),
        prove_seconds: *seconds,
    });
    let reports: Vec<LayerReport> = reports.collect();
    let proofs = done.into_values().map(|(proof, _)| proof).collect();
    let bundle = Bundle { layers: proofs, ..committed.bundle().clone() };

    progress.stage("verifying the own proof", 1);
    let check = Instant::now();
    let options = VerifyOptions { nonce: Some(statement.nonce.to_vec()), allow_unsafe_srs: true, ..Default::default() };
    if let Err(error) = verify_layers(&keys.verifier, &bundle, &options) {
        work.discard();
        return Err(Error::refused(
            format!("the finished proof does not verify ({error}), nothing was written"),
            "prove again; if it fails again, compile with sample data like this input and set up again",
        ));
    }
    let verify_seconds = check.elapsed().as_secs_f64();
    progress.stage("writing the proof", 1);
    let bytes = bundle.to_bytes().map_err(Error::format(job.out))?;
    storage::write_atomic(job.out, Secrecy::Open, &bytes)?;
    work.discard();
    Ok(ProveReport {
        proof: job.out.into(),
        model_id: hex(&bundle.model_id),
        layers: reports,
        layers_total: keys.artifact.model.layers.len(),
        resumed,
        length: bundle.length,
        input: Shown::of_bundle(&keys.verifier, &bundle, &keys.verifier.inputs, |_| None),
        output: Shown::of_bundle(&keys.verifier, &bundle, &keys.verifier.outputs, |_| None),
        proof_bytes: bundle.proof_bytes(),
        file_bytes: bytes.len() as u64,
        prove_seconds: start.elapsed().as_secs_f64(),
        load_seconds,
        verify_seconds,
        saturated,
        parallel,
        peak_memory_mb: memory::peak().map(memory::megabytes),
    })
}

/// The layers to prove.
fn layer_range(keys: &ProverKeys, asked: Option<(usize, usize)>) -> Result<std::ops::Range<usize>> {
    let count = keys.artifact.model.layers.len();
    match asked {
        None => Ok(0..count),
        Some((first, last)) if first <= last && last < count => Ok(first..last + 1),
        Some((first, last)) => Err(Error::refused(
            format!("--layers {first}-{last} is not within the model's layers"),
            format!("choose from 0-{}", count.saturating_sub(1)),
        )),
    }
}

/// What a work directory belongs to: a statement about this model, nonce, answer and input.
fn fingerprint(keys: &ProverKeys, statement: &Statement) -> [u8; 32] {
    let mut absorber = Absorber::new("nanozk work");
    absorber.bytes("model id", &keys.verifier.model_id());
    absorber.bytes("nonce", statement.nonce);
    absorber.bytes("length", &statement.length.to_le_bytes());
    absorber.bytes("answer", &statement.answer.map(Answer::bytes).unwrap_or_default());
    for tensor in statement.input {
        absorber.ints("input", tensor);
    }
    absorber.digest()
}

impl std::fmt::Display for ProveReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = crate::table::Table::new(&["layer", "shape", "bytes", "s"]);
        for l in &self.layers {
            let seconds = format!("{:.2}", l.prove_seconds);
            table.row(vec![l.index.to_string(), l.shape.to_string(), l.proof_bytes.to_string(), seconds]);
        }
        table.write(f)?;
        let partial = if self.layers.len() < self.layers_total { ": PARTIAL, no proof of the output" } else { "" };
        let layers = format!("{} layers of {}{partial}", self.layers.len(), self.layers_total);
        writeln!(f, "\nproof      {} ({layers})", self.proof.display())?;
        writeln!(f, "model id   {}", self.model_id)?;
        writeln!(f, "tokens     {}", self.length)?;
        self.input.iter().try_for_each(|input| writeln!(f, "input      {input}"))?;
        self.output.iter().try_for_each(|output| writeln!(f, "output     {output}"))?;
        writeln!(f, "size       {} proof bytes, file {} bytes", self.proof_bytes, self.file_bytes)?;
        if self.resumed > 0 {
            writeln!(f, "resumed    {} layers were finished already", self.resumed)?;
        }
        if let Some(line) = clamped::line(&self.saturated) {
            writeln!(f, "warning    {line}")?;
        }
        let memory = self.peak_memory_mb.map_or("unknown".into(), |m| format!("{m:.0} MB"));
        write!(
            f,
            "time       {:.2} s (keys {:.2} s, own check {:.3} s), peak memory {memory}",
            self.prove_seconds, self.load_seconds, self.verify_seconds
        )
    }
}

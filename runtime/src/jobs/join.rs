//! `nanozk jobs join`: parts are checked and become proofs.

use super::content::{Id, Part};
use super::folder::{Folder, Manifest};
use super::ranges;
use crate::storage::{self, Secrecy, TEMPORARY};
use crate::{Error, Progress, Refusal, Result, hex};
use nanozk_plan::format::Kind;
use nanozk_proof::bundle::{Bundle, LayerProof};
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::transcript::Absorber;
use nanozk_proof::verify::{VerifyOptions, verify, verify_layers};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What the join found.
#[derive(Clone, Debug, Serialize)]
pub struct JoinReport {
    /// Run folder.
    pub run: PathBuf,
    /// Id of the model.
    pub model_id: String,
    /// Proofs written, by answer.
    pub proofs: Vec<JoinedProof>,
    /// Jobs without a part.
    pub missing: Vec<usize>,
    /// Parts that do not verify; they were set aside, so that their jobs are open again.
    pub wrong: Vec<WrongPart>,
    /// Files among the parts that are of no job of this run.
    pub foreign: Vec<String>,
    /// Whole time.
    pub join_seconds: f64,
    /// Why not all proofs were written: `cause; way out`.
    pub error: Option<Refusal>,
}

/// The proof of an answer.
#[derive(Clone, Debug, Serialize)]
pub struct JoinedProof {
    /// Name of the answer.
    pub answer: String,
    /// Proof file.
    pub proof: PathBuf,
    /// Its size.
    pub file_bytes: u64,
}

/// A part that was set aside.
#[derive(Clone, Debug, Serialize)]
pub struct WrongPart {
    /// Its job.
    pub job: usize,
    /// What is wrong.
    pub reason: String,
}

/// Checks the parts of a run by the verifier and writes the proof of every answer that is whole: to `out`, or, where the
/// run has several answers, into the directory `out` under their names.
///
/// # Errors
/// A folder that is no run, or whose commitments are of another one; a file that cannot be written. What is missing or
/// wrong among the parts stands in the report.
pub fn join(run: &Path, out: &Path, progress: &dyn Progress) -> Result<JoinReport> {
    let start = Instant::now();
    let folder = Folder::new(run);
    let manifest = folder.read()?;
    let several = manifest.answers.len() > 1;
    if several {
        storage::make_dir(out)?;
    } else {
        storage::check_writable(out)?;
    }
    // Another join could set a part aside while this one reads it.
    let _lock = storage::lock(folder.path())?;
    let key = folder.verifier_key(&manifest)?;
    let mut joiner = Joiner { folder: &folder, manifest: &manifest, key: &key, missing: Vec::new(), wrong: Vec::new() };
    progress.stage("checking parts", manifest.answers.len() as u64);
    let mut proofs = Vec::new();
    for (number, answer) in manifest.answers.iter().enumerate() {
        if let Some(bundle) = joiner.bundle(number)? {
            let proof = if several { out.join(format!("{}.nanozk", answer.name)) } else { out.into() };
            let bytes = bundle.to_bytes().map_err(Error::format(&proof))?;
            joiner.release(number, &bundle)?;
            storage::write_atomic(&proof, Secrecy::Open, &bytes)?;
            proofs.push(JoinedProof { answer: answer.name.clone(), proof, file_bytes: bytes.len() as u64 });
        }
        progress.step();
    }
    let Joiner { missing, wrong, .. } = joiner;
    let whole = missing.is_empty() && wrong.is_empty();
    let foreign = strangers(&folder, &manifest, whole)?;
    let error = (!whole).then(|| failure(run, &missing, &wrong));
    Ok(JoinReport {
        run: run.into(),
        model_id: hex(&manifest.model_id),
        proofs,
        missing,
        wrong,
        foreign,
        join_seconds: start.elapsed().as_secs_f64(),
        error,
    })
}

/// The cause and the way out of a run that is not whole.
fn failure(run: &Path, missing: &[usize], wrong: &[WrongPart]) -> Refusal {
    let mut causes: Vec<String> =
        wrong.iter().map(|w| format!("the part of job {} is wrong ({})", w.job, w.reason)).collect();
    if !missing.is_empty() {
        causes.push(format!("no part of jobs {}", ranges(missing)));
    }
    let way_out = format!("prove the open jobs with `nanozk jobs prove {} --all` and join again", run.display());
    Refusal::new(causes.join(", "), way_out)
}

/// What stands in the place of a part.
enum Found {
    Proof(LayerProof),
    Nothing,
    Wrong(String),
}

struct Joiner<'a> {
    folder: &'a Folder,
    manifest: &'a Manifest,
    key: &'a VerifierKey,
    missing: Vec<usize>,
    wrong: Vec<WrongPart>,
}

impl Joiner<'_> {
    /// The proof of an answer, verified; `None` where parts are missing or wrong.
    fn bundle(&mut self, number: usize) -> Result<Option<Bundle>> {
        let prefix = self.folder.bundle(self.manifest, number)?;
        let (answer, layers) = (&self.manifest.answers[number], self.manifest.shapes.len());
        let mut proofs = Vec::with_capacity(layers);
        for (layer, id) in answer.jobs.iter().enumerate() {
            let job = number * layers + layer;
            match self.read(id, layer)? {
                Found::Proof(proof) => proofs.push(proof),
                Found::Nothing => self.missing.push(job),
                Found::Wrong(reason) => self.set_aside(job, reason)?,
            }
        }
        let bundle = Bundle { layers: proofs, ..prefix };
        // An answer that was drawn is that of its nonce only.
        let nonce = Some(bundle.nonce.clone());
        let options = VerifyOptions { nonce, allow_unsafe_srs: true, ..Default::default() };
        let verdict = verify(self.key, &bundle, &options);
        if verdict.is_ok() {
            return Ok(Some(bundle));
        }
        let found = self.wrong.len();
        for proof in &bundle.layers {
            let alone = Bundle { layers: vec![proof.clone()], ..bundle.clone() };
            if let Err(error) = verify_layers(self.key, &alone, &options) {
                self.set_aside(number * layers + proof.index as usize, error.to_string())?;
            }
        }
        match verdict {
            // Every part holds, and the answer does not: no part is to blame.
            Err(error) if bundle.layers.len() == layers && self.wrong.len() == found => {
                let what = format!("answer {} does not verify ({error})", answer.name);
                Err(Error::refused(what, "compare keys and run folder, and split again"))
            }
            _ => Ok(None),
        }
    }

    /// The part of a job.
    fn read(&self, id: &Id, layer: usize) -> Result<Found> {
        let path = self.folder.part(id);
        if !path.exists() {
            return Ok(Found::Nothing);
        }
        match storage::load::<Part>(Kind::Part, &path) {
            Ok(part) if part.job == *id && part.proof.index as usize == layer => Ok(Found::Proof(part.proof)),
            Ok(_) => Ok(Found::Wrong("it is foreign: of another job".into())),
            Err(Error::Format { cause, .. }) => Ok(Found::Wrong(cause.cause())),
            Err(error) => Err(error),
        }
    }

    /// Moves a part away that cannot be part of any proof, so that nothing of it was or will be released.
    fn set_aside(&mut self, job: usize, reason: String) -> Result<()> {
        let (from, name) = (self.folder.part(self.manifest.id(job)), hex(self.manifest.id(job)));
        std::fs::rename(&from, self.folder.wrong().join(name)).map_err(Error::io(&from))?;
        self.wrong.push(WrongPart { job, reason });
        Ok(())
    }

    /// Notes what is released of an answer, and refuses to release anything else of it: its masks serve one proof.
    fn release(&self, number: usize, bundle: &Bundle) -> Result<()> {
        let mut absorber = Absorber::new("nanozk released");
        bundle.layers.iter().for_each(|layer| absorber.bytes("layer", &layer.bytes));
        let (path, digest) = (self.folder.released(number), absorber.digest());
        if storage::save_new(Kind::Run, &path, Secrecy::Secret, &digest)?
            || storage::load::<Id>(Kind::Run, &path)? == digest
        {
            return Ok(());
        }
        let name = &self.manifest.answers[number].name;
        let what = format!("{}: another proof of answer {name} was joined before", path.display());
        Err(Error::refused(what, "use that proof, or split again: a second one would show what masks hide"))
    }
}

/// Files among the parts that belong to no job; unfinished ones of killed processes are removed once the run is whole.
fn strangers(folder: &Folder, manifest: &Manifest, whole: bool) -> Result<Vec<String>> {
    let dir = folder.parts();
    let known = |name: &str| manifest.answers.iter().flat_map(|a| &a.jobs).any(|id| hex(id) == name);
    let mut strangers = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(Error::io(&dir))? {
        let entry = entry.map_err(Error::io(&dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(TEMPORARY) {
            if whole {
                // What another process removes at the same time is gone too.
                let _ = std::fs::remove_file(entry.path());
            }
        } else if !known(&name) {
            strangers.push(name);
        }
    }
    strangers.sort();
    Ok(strangers)
}

impl std::fmt::Display for JoinReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for proof in &self.proofs {
            writeln!(f, "proof      {} ({}, {} bytes)", proof.proof.display(), proof.answer, proof.file_bytes)?;
        }
        if !self.missing.is_empty() {
            writeln!(f, "missing    {}", ranges(&self.missing))?;
        }
        for wrong in &self.wrong {
            writeln!(f, "wrong      job {}: {}", wrong.job, wrong.reason)?;
        }
        for name in &self.foreign {
            writeln!(f, "foreign    {name}")?;
        }
        writeln!(f, "model id   {}", self.model_id)?;
        write!(f, "time       {:.2} s", self.join_seconds)
    }
}

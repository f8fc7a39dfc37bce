//! `nanozk jobs split`: answers are committed to, and each of their layers becomes a job.

use super::content::{self, Id, Job, LayerFile, Shape, put};
use super::folder::{Answer, Folder, Manifest, is_file_name};
use crate::answer;
use crate::clamped::{self, Clamped};
use crate::commit::{self, Committed, Inference, Made, Of};
use crate::decoding::Asked;
use crate::keys::{self, ProverKeys};
use crate::storage::{self, KeyDir, NewDir, Secrecy};
use crate::{Error, Progress, Result, hex, memory};
use nanozk_plan::format::Kind;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Name of the answer to a prompt.
pub const PROMPT: &str = "prompt";

/// What to split.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Directory made by setup.
    pub keys: PathBuf,
    /// Input files; folders of them; `.jsonl` files with one input per line.
    pub inputs: Vec<PathBuf>,
    /// A prompt, whose answer is one more, the first; its name is [`PROMPT`].
    pub prompt: Option<Asked>,
    /// Run folder to make.
    pub out: PathBuf,
    /// Verifier's challenge, as in [`crate::prove::Request`].
    pub nonce: Option<Vec<u8>>,
    /// Whether an input that saturates values is refused.
    pub strict: bool,
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct SplitReport {
    /// Run folder.
    pub run: PathBuf,
    /// Id of the model.
    pub model_id: String,
    /// Number of jobs: 0 is the first.
    pub jobs: usize,
    /// Layers of the model: job `a * layers + l` is layer l of answer a.
    pub layers: usize,
    /// The answers.
    pub answers: Vec<AnswerReport>,
    /// Whole time, from reading the keys.
    pub split_seconds: f64,
    /// Peak memory of the process, where the system tells.
    pub peak_memory_mb: Option<f64>,
}

/// One answer of the run.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerReport {
    /// Name, by the input's file.
    pub name: String,
    /// Hash of its commitment.
    pub commitment_id: String,
    /// The answer that is claimed, where a prompt was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<answer::AnswerReport>,
    /// Clamps that saturated values.
    pub saturated: Vec<Clamped>,
}

/// Commits to every input and writes the run folder, whole or not at all.
///
/// # Errors
/// A folder that exists; keys, inputs or a prompt that cannot be used; with `strict` clamped values.
pub fn split(request: &Request, progress: &dyn Progress) -> Result<SplitReport> {
    let start = Instant::now();
    if request.out.exists() {
        let what = format!("{}: exists already", request.out.display());
        return Err(Error::refused(what, "choose another folder: jobs of two runs must not be mixed"));
    }
    progress.stage("reading keys", 1);
    let key_dir = KeyDir::new(&request.keys);
    let keys = keys::read(&key_dir)?;
    let spool = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir()))?;
    let inputs = inputs(request, spool.path())?;
    let dir = NewDir::beside(&request.out)?;
    let folder = Folder::new(dir.path());
    for sub in [folder.answers(), folder.keys(), folder.jobs(), folder.parts(), folder.wrong()] {
        std::fs::create_dir(&sub).map_err(Error::io(&sub))?;
    }
    copy(&key_dir.verifier(), &folder.verifier())?;
    copy(&key_dir.srs(), &folder.srs())?;
    let parts = Parts::write(&keys, &folder)?;
    let bases = keys::bases(&keys.srs, keys.plans())?;

    let nonce = request.nonce.as_deref().unwrap_or_default();
    let prompt = request.prompt.as_ref().map(|asked| Of::Answer(asked.clone()).read(&keys, nonce, progress));
    let prompt = prompt.transpose()?.map(|inference| (PROMPT.into(), inference));
    progress.stage("committing to answers", (usize::from(prompt.is_some()) + inputs.len()) as u64);
    let read =
        |(name, path)| -> Result<(String, Inference)> { Ok((name, Of::Input(path).read(&keys, nonce, progress)?)) };
    let all = prompt.map(Ok).into_iter().chain(inputs.into_iter().map(read));
    let (mut answers, mut reports) = (Vec::new(), Vec::new());
    for (number, inference) in all.enumerate() {
        let (name, inference) = inference?;
        // The seed of the masks ends here: no job holds it.
        let Made { committed, answer, saturated } = inference.commit(&keys, &bases, nonce, request.strict)?;
        let path = folder.commitment(number);
        let bytes = committed.file(&path)?;
        storage::write_atomic(&path, Secrecy::Open, &bytes)?;
        let jobs = parts.jobs(&keys, &folder, &committed)?;
        answers.push(Answer { name: name.clone(), commitment: content::name(&bytes), jobs });
        let commitment_id = commit::commitment_id(committed.bundle());
        reports.push(AnswerReport { name, commitment_id, answer, saturated });
        progress.step();
    }
    let manifest = Manifest { model_id: keys.verifier.model_id(), shapes: parts.shapes, answers };
    storage::save(Kind::Run, &folder.manifest(), Secrecy::Open, &manifest)?;
    dir.name(&request.out)?;
    Ok(SplitReport {
        run: request.out.clone(),
        model_id: hex(&manifest.model_id),
        jobs: manifest.jobs(),
        layers: manifest.shapes.len(),
        answers: reports,
        split_seconds: start.elapsed().as_secs_f64(),
        peak_memory_mb: memory::peak().map(memory::megabytes),
    })
}

/// What all answers share: key material by layer.
struct Parts {
    shapes: Vec<Id>,
    layers: Vec<Id>,
}

impl Parts {
    fn write(keys: &ProverKeys, folder: &Folder) -> Result<Self> {
        let (model, dir) = (&keys.artifact.model, folder.keys());
        let shapes = (0..model.shapes.len()).map(|s| put(&dir, Kind::Run, &Shape::of(keys, s)));
        let shapes = shapes.collect::<Result<Vec<Id>>>()?;
        let layers = (0..model.layers.len()).map(|l| put(&dir, Kind::Run, &LayerFile::of(keys, l)?));
        let layers = layers.collect::<Result<Vec<Id>>>()?;
        Ok(Parts { shapes: model.layers.iter().map(|l| shapes[l.shape as usize]).collect(), layers })
    }

    /// Writes the jobs of an answer.
    fn jobs(&self, keys: &ProverKeys, folder: &Folder, committed: &Committed) -> Result<Vec<Id>> {
        let (dir, srs) = (folder.jobs(), keys.srs.id());
        let files = self.shapes.iter().zip(&self.layers).enumerate();
        let jobs = files.map(|(index, (&shape, &layer))| {
            put(&dir, Kind::Job, &Job { shape, layer, srs, task: committed.task(keys, index) })
        });
        jobs.collect()
    }
}

/// A second name for a file, or a copy where the file system has no such thing. Files of keys are replaced, not changed.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(drop)).map_err(Error::io(to))
}

/// All inputs by name, in order; lines become files in `spool`.
fn inputs(request: &Request, spool: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for path in &request.inputs {
        let is_lines = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("jsonl"));
        if path.is_dir() {
            let entries = std::fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
            let mut inside: Vec<PathBuf> = entries.map_err(Error::io(path))?.iter().map(|e| e.path()).collect();
            inside.retain(|p| p.extension().is_some_and(|e| e == "json" || e == "npz"));
            inside.sort();
            files.extend(inside);
        } else if is_lines(path) {
            files.extend(lines(path, spool)?);
        } else {
            files.push(path.clone());
        }
    }
    let mut names: BTreeSet<String> = request.prompt.iter().map(|_| PROMPT.into()).collect();
    let named = files.into_iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !is_file_name(&name) || !names.insert(name.clone()) {
            let what =
                format!("{}: an answer of the name \"{name}\" exists already, or could not be written", path.display());
            return Err(Error::refused(what, "give the input files names of their own"));
        }
        Ok((name, path))
    });
    let named = named.collect::<Result<Vec<_>>>()?;
    if named.is_empty() && request.prompt.is_none() {
        let given: Vec<String> = request.inputs.iter().map(|path| path.display().to_string()).collect();
        let what = format!("{}: no inputs", given.join(", "));
        return Err(Error::refused(what, "give .json or .npz files, or .jsonl, or a prompt"));
    }
    Ok(named)
}

/// Each line of a file as a file of its own, named by the file and the number of the line.
fn lines(path: &Path, spool: &Path) -> Result<Vec<PathBuf>> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let mut files = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(Error::io(path))?;
        if line.trim().is_empty() {
            continue;
        }
        let file = spool.join(format!("{stem}-line{}.json", number + 1));
        storage::write_atomic(&file, Secrecy::Secret, line.as_bytes())?;
        files.push(file);
    }
    Ok(files)
}

impl std::fmt::Display for SplitReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "run        {} (secret)", self.run.display())?;
        writeln!(f, "model id   {}", self.model_id)?;
        let last = self.jobs - 1;
        writeln!(f, "jobs       0-{last}: {} answers of {} layers", self.answers.len(), self.layers)?;
        for answer in &self.answers {
            writeln!(f, "answer     {} {}", answer.commitment_id, answer.name)?;
            answer.answer.iter().try_for_each(|answer| writeln!(f, "{answer}"))?;
            if let Some(line) = clamped::line(&answer.saturated) {
                writeln!(f, "warning    {line}")?;
            }
        }
        write!(f, "time       {:.2} s", self.split_seconds)
    }
}

//! `nanozk jobs prove`: jobs become parts.

use super::content::{Id, Job, Part, Shape, ShapeReady, get};
use super::folder::{Folder, Manifest};
use crate::keys::{self, Bases};
use crate::{Error, Progress, Result, hex, memory, pool, srs};
use nanozk_plan::format::Kind;
use nanozk_proof::srs::Srs;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

/// Which jobs to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// From the first to the last, also if another process proves one of them at the moment.
    These(usize, usize),
    /// Those that nobody has proven, or proves at the moment as far as the file system's locks tell.
    Open,
}

/// What to prove.
#[derive(Clone, Debug)]
pub struct Request {
    /// Run folder.
    pub run: PathBuf,
    /// Its jobs.
    pub which: Which,
    /// Most memory in bytes, as in [`crate::prove::Request`].
    pub memory: Option<u64>,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Proven here, and stored.
    Proven,
    /// It was proven before.
    Done,
    /// Proven here too late: another process stored its part first, and this one was discarded.
    Discarded,
    /// Another process proves it.
    Busy,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct JobsReport {
    /// Run folder.
    pub run: PathBuf,
    /// The jobs.
    pub jobs: Vec<JobReport>,
    /// Jobs proven at a time.
    pub parallel: usize,
    /// Whole time, from reading the run.
    pub prove_seconds: f64,
    /// Part of it spent reading keys.
    pub load_seconds: f64,
    /// Peak memory of the process, where the system tells.
    pub peak_memory_mb: Option<f64>,
}

/// One job.
#[derive(Clone, Debug, Serialize)]
pub struct JobReport {
    /// Number.
    pub job: usize,
    /// Name of its answer.
    pub answer: String,
    /// Its layer.
    pub layer: usize,
    /// What became of it.
    pub outcome: Outcome,
    /// Time, while other jobs were proven too.
    pub seconds: f64,
}

/// Proves jobs and stores each as soon as it is finished.
///
/// # Errors
/// A folder that is no run; jobs that it does not have; files that are not those of the run; too little memory.
pub fn prove(request: &Request, progress: &dyn Progress) -> Result<JobsReport> {
    let start = Instant::now();
    let folder = Folder::new(&request.run);
    let manifest = folder.read()?;
    let asked: Vec<usize> = match request.which {
        Which::Open => (0..manifest.jobs()).collect(),
        Which::These(first, last) if first <= last && last < manifest.jobs() => (first..=last).collect(),
        Which::These(first, last) => {
            let what = format!("--job {first}-{last} is not within the jobs of {}", folder.path().display());
            let last = manifest.jobs().saturating_sub(1);
            return Err(Error::refused(what, format!("choose from 0-{last}; this run has no others")));
        }
    };
    let (done, todo): (Vec<usize>, Vec<usize>) = asked.into_iter().partition(|job| folder.is_done(manifest.id(*job)));
    progress.stage("reading keys", 1);
    let worker = Worker::new(&folder, &manifest, &todo, request.memory)?;
    let load_seconds = start.elapsed().as_secs_f64();
    progress.stage("proving jobs", todo.len() as u64);
    let claim = request.which == Which::Open;
    let mut outcomes: BTreeMap<usize, (Outcome, f64)> =
        done.into_iter().map(|job| (job, (Outcome::Done, 0.0))).collect();
    outcomes.extend(pool::each(&todo, worker.parallel, progress, |job| worker.prove(manifest.id(job), claim))?);
    let jobs = outcomes.into_iter().map(|(job, (outcome, seconds))| {
        let (answer, layer) = manifest.place(job);
        JobReport { job, answer: answer.name.clone(), layer, outcome, seconds }
    });
    Ok(JobsReport {
        run: request.run.clone(),
        jobs: jobs.collect(),
        parallel: worker.parallel,
        prove_seconds: start.elapsed().as_secs_f64(),
        load_seconds,
        peak_memory_mb: memory::peak().map(memory::megabytes),
    })
}

/// The key material of some jobs.
struct Worker<'a> {
    folder: &'a Folder,
    /// Nothing where there is nothing to prove.
    srs: Option<Srs>,
    bases: Bases,
    shapes: BTreeMap<Id, ShapeReady>,
    parallel: usize,
}

impl<'a> Worker<'a> {
    fn new(folder: &'a Folder, manifest: &Manifest, todo: &[usize], memory: Option<u64>) -> Result<Self> {
        let ids: BTreeSet<Id> = todo.iter().map(|job| manifest.shapes[manifest.place(*job).1]).collect();
        let dir = folder.keys();
        let shapes = ids.into_iter().map(|id| Ok((id, get::<Shape>(&dir, Kind::Run, &id)?)));
        let shapes = shapes.collect::<Result<Vec<_>>>()?;
        let plans = || shapes.iter().map(|(_, shape)| ShapeReady::plan(shape));
        let parallel = pool::parallel(plans(), todo.len(), memory)?;
        let srs = (!todo.is_empty()).then(|| srs::read(&folder.srs())).transpose()?;
        let bases = srs.as_ref().map(|srs| keys::bases(srs, plans())).transpose()?.unwrap_or_default();
        let ready = shapes.into_iter().map(|(id, shape)| Ok((id, ShapeReady::new(shape, &bases)?)));
        let shapes = ready.collect::<Result<_>>()?;
        Ok(Worker { folder, srs, bases, shapes, parallel })
    }

    /// Proves a job, unless it is done; with `claim` also unless another process is at it.
    fn prove(&self, id: &Id, claim: bool) -> Result<Outcome> {
        let folder = self.folder;
        let path = folder.jobs().join(hex(id));
        let _claim = if claim {
            // Released with the process, however it ends.
            let file = File::options().read(true).write(true).open(&path).map_err(Error::io(&path))?;
            if matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
                return Ok(Outcome::Busy);
            }
            Some(file)
        } else {
            None
        };
        if folder.is_done(id) {
            return Ok(Outcome::Done);
        }
        let job: Job = get(&folder.jobs(), Kind::Job, id)?;
        let foreign = |what: &str| Error::refused(format!("{}: the job is of {what}", path.display()), "split again");
        let srs = self.srs.as_ref().filter(|srs| srs.id() == job.srs).ok_or_else(|| foreign("another SRS"))?;
        let shape = self.shapes.get(&job.shape).ok_or_else(|| foreign("another shape than the run says"))?;
        let layer = get(&folder.keys(), Kind::Run, &job.layer)?;
        let bases = shape.base(&self.bases);
        let proof = shape.prove(layer, &job.task, bases, srs.verifier_part())?;
        let first = folder.store(&Part { job: *id, proof })?;
        Ok(if first { Outcome::Proven } else { Outcome::Discarded })
    }
}

impl std::fmt::Display for JobsReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = crate::table::Table::new(&["job", "answer", "layer", "outcome", "s"]);
        for j in self.jobs.iter().filter(|job| job.outcome != Outcome::Done) {
            let outcome = format!("{:?}", j.outcome).to_lowercase();
            let seconds = format!("{:.2}", j.seconds);
            table.row(vec![j.job.to_string(), j.answer.clone(), j.layer.to_string(), outcome, seconds]);
        }
        table.write(f)?;
        let count = |outcome| self.jobs.iter().filter(|job| job.outcome == outcome).count();
        let (proven, done) = (count(Outcome::Proven), count(Outcome::Done));
        writeln!(f, "\nproven     {proven} jobs of {}, {done} were done before", self.run.display())?;
        let memory = self.peak_memory_mb.map_or("unknown".into(), |m| format!("{m:.0} MB"));
        write!(f, "time       {:.2} s (keys {:.2} s), peak memory {memory}", self.prove_seconds, self.load_seconds)
    }
}

//! `nanozk setup`: keys of a compiled model.

use crate::keys::{self, Copied, ProverFile, RangeProof, Seed};
use crate::memory::megabytes;
use crate::storage::{self, Batch, KeyDir, Secrecy};
use crate::{Error, Progress, Result, hex, load_model, srs};
use nanozk_compiler::artifact::{Artifact, Calibration, Source};
use nanozk_ir::int::Held;
use nanozk_plan::format::{self, Kind};
use nanozk_proof::srs::EMBEDDED_K;
use nanozk_proof::transcript::Absorber;
use rand_core::{OsRng, RngCore};
use rayon::prelude::*;
use serde::Serialize;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What setup made.
#[derive(Clone, Debug, Serialize)]
pub struct SetupReport {
    /// The directory.
    pub keys: PathBuf,
    /// Identity of the model: what verifiers compare.
    pub model_id: String,
    /// Number of layers.
    pub layers: usize,
    /// Number of shapes, each with one key.
    pub shapes: usize,
    /// Rows of the largest circuit: `2^k`.
    pub k: u32,
    /// Time without the SRS.
    pub setup_seconds: f64,
    /// Part of it spent proving that weights and keys are what they must be, and checking that proof.
    pub weights_seconds: f64,
    /// Time to read or generate the SRS.
    pub srs_seconds: f64,
    /// Size of the prover file.
    pub key_bytes: u64,
    /// Size of the verifier file.
    pub verifier_bytes: u64,
    /// Where the SRS came from.
    pub srs_source: srs::Source,
    /// Ceremony of the SRS, if it is a known one.
    pub ceremony: Option<&'static str>,
    /// True when the SRS matches no known ceremony.
    pub unsafe_srs: bool,
    /// Whether anyone with the model file can recompute the model id.
    pub open_weights: bool,
    /// What is proven of the ranges of weights.
    pub ranges: RangeProof,
}

/// What a user asks of a setup.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A public mask seed, so that anyone with the model file can recompute the model id.
    pub open_weights: bool,
    /// The exact range of every weight, where random projections would show less.
    pub exact_ranges: bool,
}

/// Makes `dir/prover.nanozk`, `dir/verifier.nanozk` and `dir/srs.bin`: all of them or, on an error, none.
///
/// # Errors
/// A model or an SRS that cannot be used; a file that cannot be written.
pub fn setup(
    model: &Path,
    srs_file: Option<&Path>,
    options: Options,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<SetupReport> {
    let (file, length) = storage::open(model)?;
    let artifact = Artifact::open(model, &file, 0..length).map_err(Error::read(model))?;
    let made = !dir.exists();
    storage::make_dir(dir)?;
    make_keys(&artifact, (model, &file), srs_file, options, &KeyDir::new(dir), progress).inspect_err(|_| {
        if made {
            // Nothing is lost when an empty directory stays.
            let _ = std::fs::remove_dir(dir);
        }
    })
}

fn make_keys(
    artifact: &Artifact<Held>,
    (path, model): (&Path, &File),
    srs_file: Option<&Path>,
    options: Options,
    dir: &KeyDir,
    progress: &dyn Progress,
) -> Result<SetupReport> {
    let k = artifact.shapes.iter().map(|s| s.plan.geometry.k).max().unwrap_or(0);

    let start = Instant::now();
    let (srs, source) = srs::choose(srs_file, dir, k, progress)?;
    let bases = keys::bases(&srs, artifact.shapes.iter().map(|s| &s.plan))?;
    let srs_seconds = start.elapsed().as_secs_f64();

    let start = Instant::now();
    progress.stage("making keys", (artifact.shapes.len() + artifact.model.layers.len()) as u64);
    let shapes = artifact
        .shapes
        .par_iter()
        .map(|s| keys::shape_prover(&s.plan, &bases).inspect(|_| progress.step()))
        .collect::<Result<Vec<_>>>()?;
    let weight_seed = if options.open_weights { open_seed(path)? } else { secret_seed()? };
    let layers = keys::layer_keys(artifact, &bases, &weight_seed, &|| progress.step())?;
    let verifier = keys::verifier_key(artifact, &shapes, layers, &srs)?;
    progress.stage("proving the ranges of weights", 1);
    let proving = Instant::now();
    let (verifier, ranges) = keys::proven(artifact, verifier, &bases, &weight_seed, options.exact_ranges)?;
    let weights_seconds = proving.elapsed().as_secs_f64();
    let verifier_bytes = verifier.to_bytes().map_err(Error::format(&dir.verifier()))?;
    // The verifier file comes last: until then `prove` sees that the directory is not of one setup.
    progress.stage("writing keys", 1);
    let length = model.metadata().and_then(|meta| (&*model).rewind().map(|()| meta.len())).map_err(Error::io(path))?;
    let file = ProverFile { model_id: verifier.model_id(), weight_seed, model: Copied(model, length) };
    let mut key_bytes = 0;
    let mut files = Batch::default();
    files.add(&dir.srs(), Secrecy::Open, |f| srs::write_to(&srs, f))?;
    files.add(&dir.prover(), Secrecy::Secret, |f| {
        key_bytes = format::write(Kind::Prover, &file, f)?;
        Ok(())
    })?;
    files.add(&dir.verifier(), Secrecy::Open, |f| f.write_all(&verifier_bytes))?;
    files.commit()?;
    let ceremony = srs.verifier_part().ceremony().map(|c| c.name);
    Ok(SetupReport {
        keys: dir.path().into(),
        model_id: hex(&verifier.model_id()),
        layers: verifier.layers.len(),
        shapes: shapes.len(),
        k,
        setup_seconds: start.elapsed().as_secs_f64(),
        weights_seconds,
        srs_seconds,
        key_bytes,
        verifier_bytes: verifier_bytes.len() as u64,
        srs_source: source,
        ceremony,
        unsafe_srs: ceremony.is_none(),
        open_weights: options.open_weights,
        ranges,
    })
}

/// A fresh seed from the operating system.
///
/// # Errors
/// The system gives no randomness.
pub fn secret_seed() -> Result<Seed> {
    let mut seed = Seed::default();
    OsRng.try_fill_bytes(&mut seed).map_err(|e| {
        Error::refused(format!("the system gives no randomness: {e}"), "check the system's random source")
    })?;
    Ok(seed)
}

/// The public seed of a model with open weights: a function of what is proven, wherever its source was and whatever form
/// the sample data had.
fn open_seed(model: &Path) -> Result<Seed> {
    let mut artifact = load_model(model)?;
    artifact.source = Source::default();
    artifact.calibration = Calibration::default();
    let mut absorber = Absorber::new("nanozk open weights");
    absorber.bytes("model", &artifact.to_bytes().map_err(Error::format(model))?);
    Ok(absorber.digest())
}

impl std::fmt::Display for SetupReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "model id       {}", self.model_id)?;
        writeln!(f, "keys           {} shapes for {} layers, 2^{} rows", self.shapes, self.layers, self.k)?;
        writeln!(f, "SRS            {} ({:.2} s)", srs::origin(self.ceremony), self.srs_seconds)?;
        if self.srs_source == srs::Source::Local {
            writeln!(f, "               made on this machine: the SRS of this program serves 2^{EMBEDDED_K} rows")?;
        }
        writeln!(f, "prover file    {:.2} MB, keep it secret", megabytes(self.key_bytes))?;
        writeln!(f, "verifier file  {:.2} MB, publish it with the model id", megabytes(self.verifier_bytes))?;
        writeln!(f, "ranges         {}", self.ranges)?;
        write!(f, "time           {:.2} s (ranges of weights {:.2} s)", self.setup_seconds, self.weights_seconds)
    }
}

//! `nanozk bench`: every step on one or more models, with warm-up and repeats.
//!
//! Each step runs in a process of its own, so that CPU time and peak memory belong to that step alone. The process is
//! this program again, given the step as JSON; see [`step::run`].

mod extrapolated;
mod html;
mod machine;
mod measure;
mod plot;
mod report;
pub mod step;
mod synthetic;
mod times;

pub use extrapolated::Extrapolated;
pub use machine::Machine;
pub use report::{BenchReport, Fidelity, Measured, ModelReport, ProofSize, Sizes};
pub use synthetic::Seeded;
pub use times::StepTimes;

use crate::compile::Visibility;
use crate::storage::{self, Secrecy};
use crate::{Error, Progress, Result};
use std::path::PathBuf;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Request {
    /// Model folders (`network.onnx`, `input.json`, optional `eval.json`), or ONNX files with these beside them.
    pub models: Vec<PathBuf>,
    /// Models to make and measure after them.
    pub seeded: Vec<Seeded>,
    /// Counted runs of every step, at least 1.
    pub repeat: usize,
    /// Runs of every step before them that are not counted.
    pub warmup: usize,
    /// Whether circuits lean to what the SRS of this program serves, as by default; else they are what costs least.
    pub served: bool,
    /// Whether one layer of each shape is set up, proven and verified in place of all, and the costs of all are extrapolated.
    pub excerpt: bool,
    /// Who sees the input, if not as the settings say.
    pub input: Option<Visibility>,
    /// Page to write.
    pub html: Option<PathBuf>,
    /// Markdown table to write.
    pub markdown: Option<PathBuf>,
    /// Program and leading arguments that take a step as last argument and print its [`step::Measure`] as JSON.
    pub worker: Vec<std::ffi::OsString>,
}

/// Measures all models. A model that fails is reported with its error; the others are still measured.
///
/// # Errors
/// The first step of a model that fails.
pub fn bench(request: &Request, progress: &dyn Progress) -> Result<BenchReport> {
    for path in request.html.iter().chain(&request.markdown) {
        storage::check_writable(path)?;
    }
    if request.repeat == 0 {
        return Err(Error::refused("nothing to measure with 0 repeats", "use --repeat 1 or more"));
    }
    let mut models = Vec::new();
    for path in &request.models {
        models.push(measure::model(request, path, progress));
    }
    if !request.seeded.is_empty() {
        let folder = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir()))?;
        for seeded in &request.seeded {
            models.push(measure::model(request, &seeded.write(folder.path())?, progress));
        }
    }
    let report = BenchReport {
        nanozk: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        warmup: request.warmup,
        repeat: request.repeat,
        models,
    };
    if let Some(path) = &request.html {
        storage::write_atomic(path, Secrecy::Open, html::page(&report).as_bytes())?;
    }
    if let Some(path) = &request.markdown {
        storage::write_atomic(path, Secrecy::Open, report.markdown().as_bytes())?;
    }
    Ok(report)
}

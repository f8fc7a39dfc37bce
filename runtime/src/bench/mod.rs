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
mod request;
pub mod step;
mod synthetic;
mod times;

pub use extrapolated::Extrapolated;
pub use machine::Machine;
pub use report::{BenchReport, Fidelity, Measured, ModelReport, ProofSize, Sizes};
pub use request::Request;
pub use synthetic::Seeded;
pub use times::StepTimes;

use crate::storage::{self, Secrecy};
use crate::{Error, Progress, Result};

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

//! One step, measured from inside its own process.

use crate::compile::{CompileOptions, Visibility, compile, compile_excerpt};
use crate::memory::{self, megabytes};
use crate::prove::{self, prove};
use crate::run::{Request, run as run_model};
use crate::setup::{Options, setup};
use crate::srs;
use crate::verify::{self, VerifyOptions, verify};
use crate::{Error, Progress, Result};
use nanozk_compiler::config::MAX_K;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

/// A step with its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// ONNX to a compiled model.
    Compile {
        /// ONNX file.
        network: PathBuf,
        /// Sample data.
        data: PathBuf,
        /// Compiled model to write.
        model: PathBuf,
        /// As in [`super::Request`].
        served: bool,
        /// The same.
        input: Option<Visibility>,
        /// Model of one layer of each shape to write.
        excerpt: Option<PathBuf>,
    },
    /// Float against integer inference.
    Run {
        /// Compiled model.
        model: PathBuf,
        /// Input.
        input: PathBuf,
        /// Held-out data.
        eval: Option<PathBuf>,
    },
    /// A local SRS.
    Srs {
        /// Circuits of up to `2^k` rows.
        k: u32,
        /// File to write.
        out: PathBuf,
    },
    /// Keys.
    Setup {
        /// Compiled model.
        model: PathBuf,
        /// SRS file.
        srs: PathBuf,
        /// Directory to write.
        keys: PathBuf,
    },
    /// One proof of all layers.
    Prove {
        /// Directory made by setup.
        keys: PathBuf,
        /// Input.
        input: PathBuf,
        /// Proof to write.
        proof: PathBuf,
    },
    /// The check of that proof.
    Verify {
        /// Verifier file.
        verifier: PathBuf,
        /// Proof.
        proof: PathBuf,
    },
}

/// A measured step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measure {
    /// Wall time of the call, with reading and writing its files, without the start of the process.
    pub wall_seconds: f64,
    /// CPU time of all threads in that call, where the system tells.
    pub cpu_seconds: Option<f64>,
    /// Peak resident memory of the process in megabytes (10^6), where the system tells.
    pub peak_memory_mb: Option<f64>,
    /// The step's own report, as its command prints it with `--json`.
    pub report: serde_json::Value,
}

/// Runs a step in this process and measures it.
///
/// # Errors
/// As the command that it runs.
pub fn run(step: &Step, progress: &dyn Progress) -> Result<Measure> {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let report = match step {
        Step::Compile { network, data, model, served, input, excerpt } => {
            // The SRS is made for the model, whatever rows it asks for.
            let max_k = (!served).then_some(MAX_K);
            let options = CompileOptions { data: vec![data.clone()], max_k, input: *input, ..Default::default() };
            match excerpt {
                None => json(compile(network, &options, model, progress)?),
                Some(part) => {
                    let (report, excerpt) = compile_excerpt(network, &options, [model, part], progress)?;
                    json(report).and_then(|mut report| {
                        report["excerpt"] = json(excerpt)?;
                        Ok(report)
                    })
                }
            }
        }
        Step::Run { model, input, eval } => {
            let (model, input, eval) = (model.clone(), input.clone(), eval.clone());
            json(run_model(&Request { model, input, eval, source: None }, progress)?)
        }
        Step::Srs { k, out } => json(srs::generate(*k, out, progress)?),
        Step::Setup { model, srs, keys } => json(setup(model, Some(srs), Options::default(), keys, progress)?),
        Step::Prove { keys, input, proof } => {
            let (keys, input, out) = (keys.clone(), input.clone(), proof.clone());
            json(prove(&prove::Request { keys, input, out, ..Default::default() }, progress)?)
        }
        Step::Verify { verifier, proof } => {
            // Nobody but this process relies on the verdict, so the SRS it generated itself is fine.
            let options = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
            let (verifier, proof) = (verifier.clone(), proof.clone());
            let report = verify(&verify::Request { verifier, proof, options, ..Default::default() })?;
            if let Some(error) = report.error {
                return Err(error.into());
            }
            json(report)
        }
    }?;
    let wall_seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    Ok(Measure { wall_seconds, cpu_seconds, peak_memory_mb: memory::peak().map(megabytes), report })
}

fn json(report: impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(report).map_err(|e| Error::refused(format!("the step's report: {e}"), "report this model"))
}

/// CPU time of this process so far, all threads.
#[cfg(unix)]
fn cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

#[cfg(not(unix))]
fn cpu_seconds() -> Option<f64> {
    None
}

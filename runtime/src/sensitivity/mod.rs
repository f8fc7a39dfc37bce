//! `nanozk sensitivity`: where an error hurts.
//!
//! For each layer the Fisher information F of the model's output distribution with respect to the layer's outputs, as the
//! trace of F in units of the tensors' own size: to second order an error of relative size h on every value, with random
//! signs, moves the output by `h^2 / 2` times that, in nats. Estimated by forward passes of the integer model alone
//! (Hutchinson's estimator with random signs, on divergences along random directions, both ways).
//!
//! Advice to who makes a policy of audits, and no part of what a proof says.

mod estimate;
mod reading;
#[cfg(test)]
mod tests;

pub use reading::{Reading, UnknownReading};

use crate::page::{chart, escape, head};
use crate::storage::{self, Secrecy};
use crate::table::Table;
use crate::{Error, Progress, Result, input, load_model};
use estimate::{Probe, Prober, Run};
use nanozk_compiler::config::Head;
use nanozk_compiler::fidelity::Models;
use nanozk_ir::int::interp;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Request {
    /// Compiled model.
    pub model: PathBuf,
    /// Sample inputs.
    pub data: Vec<PathBuf>,
    /// Directions per layer and sample, at least 2.
    pub probes: u32,
    /// Size of a disturbance, as a share of the root mean square of the tensor.
    pub step: f64,
    /// Of the directions.
    pub seed: u64,
    /// What all outputs are; guessed from their values when absent.
    pub reading: Option<Reading>,
    /// File to write the report to, as JSON.
    pub out: Option<PathBuf>,
    /// Page to write.
    pub html: Option<PathBuf>,
}

/// Where an error hurts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensitivityReport {
    /// Sample inputs.
    pub samples: usize,
    /// Directions per layer and sample.
    pub probes: u32,
    /// Size of a disturbance, as a share of the root mean square of the tensor.
    pub step: f64,
    /// Of the directions.
    pub seed: u64,
    /// How the outputs were read.
    pub outputs: Vec<OutputReading>,
    /// Layers in evaluation order.
    pub layers: Vec<LayerSensitivity>,
}

/// How an output was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputReading {
    /// Name in the source model.
    pub name: String,
    /// What it is.
    pub reading: Reading,
}

/// What an error of one layer does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSensitivity {
    /// Index.
    pub index: usize,
    /// Name.
    pub name: String,
    /// Values that it hands on, of one input; mean over the samples.
    pub values: f64,
    /// Their root mean square in real units; over the samples.
    pub rms: f64,
    /// Trace of the Fisher information in units of the tensors' own size; mean over samples and probes.
    pub sensitivity: f64,
    /// Standard error of that for the samples given: what other directions would change.
    pub standard_error: f64,
    /// Trace of the Fisher information per squared real unit: `sensitivity / rms^2`; absent for values that are all 0.
    pub fisher_trace: Option<f64>,
    /// Share of values that could not be moved both ways within their range, and were left as they are.
    pub held: f64,
}

/// Measures all layers of a compiled model.
///
/// # Errors
/// A model or samples that cannot be used.
pub fn sensitivity(request: &Request, progress: &dyn Progress) -> Result<SensitivityReport> {
    for path in request.out.iter().chain(&request.html) {
        storage::check_writable(path)?;
    }
    if request.data.is_empty() || request.probes < 2 || !(request.step > 0.0 && request.step <= 1.0) {
        return Err(Error::refused(
            "sensitivity takes at least one sample, two probes, and a step above 0 and at most 1",
            "name sample inputs with `--data`",
        ));
    }
    let artifact = load_model(&request.model)?;
    let leaps = artifact.outputs.iter().all(|output| output.dtype.exact());
    if artifact.head == Head::Argmax || (leaps && request.reading.is_none()) {
        return Err(Error::refused(
            "the outputs of this model are indices or counts, which move by leaps or not at all",
            "compile it with `--head logits`, or with `--outputs` that are real numbers; layers and their order stay the \
             same with `--head`",
        ));
    }
    let mut inputs = Vec::new();
    for path in &request.data {
        inputs.push(input::read(&artifact, path)?);
    }
    let inputs: Vec<(Vec<Vec<i64>>, u32)> = inputs.into_iter().map(|input| (input.int, input.length)).collect();
    let report = measure(artifact.models(), &inputs, request, progress)?;
    if let Some(path) = &request.out {
        let json = serde_json::to_vec(&report).map_err(|e| Error::refused(e, "measure again"))?;
        storage::write_atomic(path, Secrecy::Open, &json)?;
    }
    if let Some(path) = &request.html {
        storage::write_atomic(path, Secrecy::Open, report.page().as_bytes())?;
    }
    Ok(report)
}

/// The same of an integer model and its inputs, each with its true number of tokens.
fn measure(
    models: Models,
    inputs: &[(Vec<Vec<i64>>, u32)],
    request: &Request,
    progress: &dyn Progress,
) -> Result<SensitivityReport> {
    let model = models.model;
    progress.stage("computing the model", inputs.len() as u64);
    let run = |(input, length): &(Vec<Vec<i64>>, u32)| {
        let tensors = interp::run_model(model, input)?;
        progress.step();
        Ok(Run { tensors, length: *length })
    };
    let runs: Vec<Run> = inputs.par_iter().map(run).collect::<Result<_>>()?;
    let unread = Prober { models, readings: &[], step: request.step };
    let readings: Vec<Reading> = (0..model.outputs.len())
        .map(|at| {
            let outputs: Vec<Vec<f64>> =
                runs.iter().map(|run| unread.output(&run.tensors[model.outputs[at] as usize], at)).collect();
            let rows = outputs.iter().zip(&runs).flat_map(|(output, run)| unread.known_rows(output, at, run.length));
            let guess = || if models.outputs[at].dtype.exact() { Reading::Ignored } else { Reading::guess(rows) };
            request.reading.unwrap_or_else(guess)
        })
        .collect();
    let prober = Prober { readings: &readings, ..unread };

    progress.stage("disturbing layers", (model.layers.len() * runs.len()) as u64);
    let cells: Vec<(usize, usize)> =
        (0..model.layers.len()).flat_map(|layer| (0..runs.len()).map(move |sample| (layer, sample))).collect();
    let probed: Vec<Vec<Probe>> = cells
        .par_iter()
        .map(|&(layer, sample)| {
            let seed = |probe: u32| seed(request.seed, [layer as u32, sample as u32, probe]);
            let probes = (0..request.probes).map(|p| prober.probe(&runs[sample], layer, seed(p))).collect();
            progress.step();
            probes
        })
        .collect::<Result<_>>()?;
    let layers = probed.chunks(runs.len()).enumerate().map(|(index, samples)| {
        let sizes: Vec<(usize, f64)> = runs.iter().map(|run| prober.size(run, index)).collect();
        summary(index, &model.layers[index].name, samples, &sizes)
    });
    let named =
        |(value, &reading): (&nanozk_plan::ValueInfo, &Reading)| OutputReading { name: value.name.clone(), reading };
    Ok(SensitivityReport {
        samples: runs.len(),
        probes: request.probes,
        step: request.step,
        seed: request.seed,
        outputs: models.outputs.iter().zip(&readings).map(named).collect(),
        layers: layers.collect(),
    })
}

/// Mean and standard error over probes, sample by sample; sizes are values and root mean square by sample.
fn summary(index: usize, name: &str, samples: &[Vec<Probe>], sizes: &[(usize, f64)]) -> LayerSensitivity {
    let count = samples.len() as f64;
    let (mut sensitivity, mut variance) = (0.0, 0.0);
    for probes in samples {
        let n = probes.len() as f64;
        let mean = probes.iter().map(|p| p.relative).sum::<f64>() / n;
        sensitivity += mean / count;
        let squares: f64 = probes.iter().map(|p| (p.relative - mean).powi(2)).sum();
        variance += squares / (n - 1.0) / n / (count * count);
    }
    let all: f64 = sizes.iter().map(|(values, _)| *values as f64).sum();
    let square = sizes.iter().map(|(values, rms)| *values as f64 * rms * rms).sum::<f64>() / all.max(1.0);
    let held: usize = samples.iter().flatten().map(|p| p.held).sum();
    let probes = samples.first().map_or(0, Vec::len) as f64;
    LayerSensitivity {
        index,
        name: name.into(),
        values: all / count,
        rms: square.sqrt(),
        sensitivity,
        standard_error: variance.sqrt(),
        fisher_trace: (square > 0.0).then_some(sensitivity / square),
        held: held as f64 / (all * probes).max(1.0),
    }
}

/// Seed of one direction.
fn seed(seed: u64, [layer, sample, probe]: [u32; 3]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    for (at, part) in [layer, sample, probe].into_iter().enumerate() {
        bytes[8 + 4 * at..12 + 4 * at].copy_from_slice(&part.to_le_bytes());
    }
    bytes
}

/// Reads a report that [`sensitivity`] wrote.
///
/// # Errors
/// A file that is no report of this command.
pub fn read(path: &Path) -> Result<SensitivityReport> {
    serde_json::from_slice(&storage::read(path)?).map_err(|e| {
        let what = format!("{}: no report of sensitivities ({e})", path.display());
        Error::refused(what, "make one with `nanozk sensitivity model.nanozk --data input.json -o FILE`")
    })
}

impl SensitivityReport {
    /// How the figures came about.
    fn method(&self) -> String {
        let outputs: Vec<String> = self.outputs.iter().map(|o| format!("{}: {}", o.name, o.reading)).collect();
        format!(
            "{} samples, {} random directions each, steps of {} times the root mean square; output {}",
            self.samples,
            self.probes,
            self.step,
            outputs.join(", ")
        )
    }

    fn page(&self) -> String {
        let names: Vec<String> = self.layers.iter().map(|l| format!("{} {}", l.index, l.name)).collect();
        let bars: Vec<(&str, f64)> =
            names.iter().map(String::as_str).zip(self.layers.iter().map(|l| l.sensitivity)).collect();
        let title = "Fisher information of the output by layer";
        let rows = self.layers.iter().map(|l| {
            format!("<tr><td>{}<td>{}<td>{:.3e}<td>{:.1e}", l.index, escape(&l.name), l.sensitivity, l.standard_error)
        });
        let table = "<table><tr><th>layer<th>name<th>sensitivity<th>standard error".to_owned();
        head("nanozk sensitivity", &format!("{}.", self.method()))
            + &chart(title, "nats per squared relative error, twice", &bars)
            + &table
            + &rows.collect::<String>()
            + "</table></html>\n"
    }
}

impl std::fmt::Display for SensitivityReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = Table::new(&["layer", "name", "values", "rms", "sensitivity", "+-", "trace", "held %"]);
        for l in &self.layers {
            table.row(vec![
                l.index.to_string(),
                l.name.clone(),
                format!("{:.0}", l.values),
                format!("{:.4}", l.rms),
                format!("{:.4e}", l.sensitivity),
                format!("{:.1e}", l.standard_error),
                l.fisher_trace.map_or("-".into(), |t| format!("{t:.4e}")),
                format!("{:.2}", l.held * 100.0),
            ]);
        }
        table.write(f)?;
        writeln!(f, "\nmeasured   {}", self.method())?;
        write!(
            f,
            "meaning    an error of share h on all values of a layer moves the output by h^2 / 2 x sensitivity, in nats"
        )
    }
}

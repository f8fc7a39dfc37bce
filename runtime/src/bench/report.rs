//! What was measured, as a table and as Markdown.

use super::extrapolated::Extrapolated;
use super::machine::Machine;
use super::times::StepTimes;
use crate::memory::megabytes;
use crate::table::Table;
use serde::Serialize;
use std::fmt::Write;

/// All models.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Version of nanozk.
    pub nanozk: &'static str,
    /// Where it ran.
    pub machine: Machine,
    /// Runs that were not counted.
    pub warmup: usize,
    /// Counted runs.
    pub repeat: usize,
    /// Models in the order given.
    pub models: Vec<ModelReport>,
}

/// One model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Name.
    pub name: String,
    /// The numbers, unless a step failed.
    #[serde(flatten)]
    pub measured: Option<Measured>,
    /// Why a step failed: `step: cause; way out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The numbers of one model.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Tokens T of every activation.
    pub tokens: u64,
    /// Features of the widest tensor between layers, or of the widest input where there is one layer; 1 for token ids.
    pub width: u64,
    /// Number of weights.
    pub weights: u64,
    /// Number of layers.
    pub layers: u64,
    /// Number of distinct shapes.
    pub shapes: u64,
    /// Rows of the largest circuit: `2^k`.
    pub k: u32,
    /// compile, run, srs, setup, prove, verify; run and srs run once, without warm-up. Of an excerpt no run.
    pub steps: Vec<StepTimes>,
    /// What setup, prove and verify of all layers would cost, where they were of an excerpt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extrapolated: Option<Extrapolated>,
    /// File sizes.
    pub sizes: Sizes,
    /// Size of the proof.
    pub proof: ProofSize,
    /// Time of the check alone in the last verify run, in milliseconds, without reading the files.
    pub check_ms: f64,
    /// Soundness of the proof in bits.
    pub soundness_bits: f64,
    /// Closeness to the float model.
    pub fidelity: Fidelity,
}

/// File sizes in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Sizes {
    /// Compiled model.
    pub model_bytes: u64,
    /// Prover file: model and mask seeds; proving keys are derived from it in memory.
    pub prover_bytes: u64,
    /// Verifier file.
    pub verifier_bytes: u64,
    /// SRS.
    pub srs_bytes: u64,
}

/// Size of the proof in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct ProofSize {
    /// Layer proofs and tensor commitments, without public values.
    pub proof_bytes: u64,
    /// The largest layer proof.
    pub layer_max_bytes: u64,
    /// The proof file, with public values.
    pub file_bytes: u64,
}

/// Closeness of the integer model to the float model.
#[derive(Clone, Debug, Serialize)]
pub struct Fidelity {
    /// Largest difference of an output value on the input; absent for an argmax head.
    pub max_abs_error: Option<f64>,
    /// Share of tokens with the same greatest score on the input.
    pub top1_agreement: Option<f64>,
    /// Held-out samples.
    pub eval_samples: Option<u64>,
    /// Share of tokens with the same greatest score over held-out data.
    pub eval_top1_agreement: Option<f64>,
    /// Perplexity of the float model over held-out data.
    pub perplexity_float: Option<f64>,
    /// Perplexity of the integer model over held-out data.
    pub perplexity_integer: Option<f64>,
}

impl Measured {
    /// A step by name.
    pub fn step(&self, name: &str) -> Option<&StepTimes> {
        self.steps.iter().find(|s| s.step == name)
    }
}

impl BenchReport {
    /// Why the whole is no success, if a model failed.
    pub fn failure(&self) -> Option<String> {
        let failed: Vec<&str> = self.models.iter().filter(|m| m.error.is_some()).map(|m| m.name.as_str()).collect();
        (!failed.is_empty()).then(|| {
            format!("{} of {} models failed: {}; see the report", failed.len(), self.models.len(), failed.join(", "))
        })
    }

    /// What the numbers stand for.
    pub fn conditions(&self) -> String {
        format!(
            "nanozk {} on {}; {} warm-up and {} counted runs per step, each in its own process",
            self.nanozk, self.machine, self.warmup, self.repeat
        )
    }

    /// A line for each model of which one layer of each shape was measured.
    fn excerpts(&self) -> impl Iterator<Item = String> {
        let measured = self.models.iter().filter_map(|m| Some((&m.name, m.measured.as_ref()?)));
        measured.filter_map(|(name, m)| {
            let Extrapolated { layers, proof_bytes, .. } = m.extrapolated.as_ref()?;
            let all = m.layers;
            Some(format!(
                "{name}: setup, prove and verify of {layers} layers, one of each shape; extrapolated to all {all}, whose proof \
                 would have about {proof_bytes} B"
            ))
        })
    }

    /// The tables as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}.\n\n", self.conditions());
        let tables: [(&[&str], Cells); 3] =
            [(&STEP_HEADER, steps), (&SIZE_HEADER, sizes), (&FIDELITY_HEADER, fidelity)];
        for (header, cells) in tables {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {} |\n|{}", header.join(" | "), "---|".repeat(header.len()));
            for (name, measured) in self.models.iter().filter_map(|m| Some((&m.name, m.measured.as_ref()?))) {
                for row in cells(name, measured) {
                    let _ = writeln!(text, "| {} |", row.join(" | "));
                }
            }
            text.push('\n');
        }
        for line in self.excerpts() {
            let _ = writeln!(text, "- {line}");
        }
        for (name, error) in self.models.iter().filter_map(|m| Some((&m.name, m.error.as_ref()?))) {
            let _ = writeln!(text, "- {name} failed: {error}");
        }
        text
    }
}

/// Rows of one model.
type Cells = fn(&str, &Measured) -> Vec<Vec<String>>;

const STEP_HEADER: [&str; 6] = ["model", "step", "s min", "s median", "CPU s", "peak MB"];
const SIZE_HEADER: [&str; 10] = [
    "model",
    "layers",
    "rows",
    "weights",
    "model MB",
    "prover MB",
    "verifier kB",
    "SRS MB",
    "proof B",
    "largest layer B",
];
const FIDELITY_HEADER: [&str; 7] =
    ["model", "check ms", "soundness bits", "worst gap", "top-1 %", "perplexity float", "integer"];

fn steps(name: &str, m: &Measured) -> Vec<Vec<String>> {
    let row = |s: &StepTimes| {
        vec![
            name.into(),
            s.step.into(),
            format!("{:.3}", s.wall_seconds_min),
            format!("{:.3}", s.wall_seconds_median),
            optional(s.cpu_seconds_median, 3),
            optional(s.peak_memory_mb, 0),
        ]
    };
    m.steps.iter().chain(m.extrapolated.iter().flat_map(|e| &e.steps)).map(row).collect()
}

fn sizes(name: &str, m: &Measured) -> Vec<Vec<String>> {
    vec![vec![
        name.into(),
        m.layers.to_string(),
        format!("2^{}", m.k),
        m.weights.to_string(),
        format!("{:.3}", megabytes(m.sizes.model_bytes)),
        format!("{:.3}", megabytes(m.sizes.prover_bytes)),
        format!("{:.1}", m.sizes.verifier_bytes as f64 / 1e3),
        format!("{:.2}", megabytes(m.sizes.srs_bytes)),
        m.proof.proof_bytes.to_string(),
        m.proof.layer_max_bytes.to_string(),
    ]]
}

fn fidelity(name: &str, m: &Measured) -> Vec<Vec<String>> {
    let f = &m.fidelity;
    // Held-out data says more than one input.
    let top1 = f.eval_top1_agreement.or(f.top1_agreement);
    vec![vec![
        name.into(),
        format!("{:.2}", m.check_ms),
        format!("{:.0}", m.soundness_bits),
        optional(f.max_abs_error, 6),
        optional(top1.map(|t| t * 100.0), 2),
        optional(f.perplexity_float, 4),
        optional(f.perplexity_integer, 4),
    ]]
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".into(), |v| format!("{v:.digits$}"))
}

impl std::fmt::Display for BenchReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n", self.conditions())?;
        let mut tables = [(Table::new(&STEP_HEADER), steps as Cells), (Table::new(&SIZE_HEADER), sizes)];
        let mut last = Table::new(&FIDELITY_HEADER);
        for (name, measured) in self.models.iter().filter_map(|m| Some((&m.name, m.measured.as_ref()?))) {
            for (table, cells) in &mut tables {
                cells(name, measured).into_iter().for_each(|row| table.row(row));
            }
            fidelity(name, measured).into_iter().for_each(|row| last.row(row));
        }
        for (table, _) in &tables {
            table.write(f)?;
            writeln!(f)?;
        }
        last.write(f)?;
        for line in self.excerpts() {
            writeln!(f, "{line}")?;
        }
        for (name, error) in self.models.iter().filter_map(|m| Some((&m.name, m.error.as_ref()?))) {
            writeln!(f, "{name} failed: {error}")?;
        }
        Ok(())
    }
}

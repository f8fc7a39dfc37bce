//! `nanozk compile`.

use crate::clamped::{self, Clamped};
use crate::memory::megabytes;
use crate::storage::{self, Secrecy};
use crate::{Progress, Result, hex};
use nanozk_compiler::artifact::Artifact;
pub use nanozk_compiler::config::{Head, Optimize, Visibility};
use nanozk_compiler::fidelity::Gap;
pub use nanozk_compiler::pipeline::CompileOptions;
use nanozk_compiler::pipeline::{self, Notice, Outcome, Stage};
pub use nanozk_compiler::setting::Setting;
use nanozk_ir::int::{Model, Role};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What was compiled.
#[derive(Clone, Debug, Serialize)]
pub struct CompileReport {
    /// File written.
    pub model: PathBuf,
    /// BLAKE2b-256 of the ONNX file and of the weights files it names.
    pub source: String,
    /// Tokens T of every activation.
    pub tokens: u32,
    /// Features of the widest tensor between layers, or of the widest input where there is one layer; 1 for token ids.
    pub width: u32,
    /// Number of layers.
    pub layers: usize,
    /// Number of distinct layer shapes.
    pub shapes: usize,
    /// Number of weights.
    pub weights: u64,
    /// Rows of the largest circuit: `2^k`.
    pub k: u32,
    /// Bits of activations; as configured or chosen.
    pub limb_bits: u32,
    /// Size of the file.
    pub bytes: u64,
    /// Time spent.
    pub compile_seconds: f64,
    /// Distance of each output from the source model's on the sample data.
    pub gaps: Vec<OutputGap>,
    /// What was chosen in place of the usual widths to keep the tolerance and what it costs, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
    /// Clamps and their headroom on the sample data, the tightest first.
    pub clamps: Vec<Clamped>,
    /// What the integer model does differently from the source model, in words.
    pub warnings: Vec<String>,
}

/// How close one output comes to the source model's.
#[derive(Clone, Debug, Serialize)]
pub struct OutputGap {
    /// The distance.
    #[serde(flatten)]
    pub gap: Gap,
    /// Its error as a share of the output's greatest value.
    pub relative: f64,
}

/// Features of the widest tensor that layers pass on; without one, of the widest input.
fn width(model: &Model) -> u32 {
    let of = |wanted: &[Role]| model.tensors.iter().filter(|t| wanted.contains(&t.role)).map(|t| t.features).max();
    of(&[Role::Internal]).or_else(|| of(&[Role::PublicInput, Role::PrivateInput])).unwrap_or(0)
}

/// Compiles an ONNX model into a file.
///
/// # Errors
/// As [`nanozk_compiler::pipeline::compile`]; an output that cannot be written.
pub fn compile(model: &Path, options: &CompileOptions, out: &Path, progress: &dyn Progress) -> Result<CompileReport> {
    Ok(compiled(model, options, out, progress)?.0)
}

/// How a model of one layer of each shape stands to the whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Excerpt {
    /// Layers of each shape in the whole model.
    pub layers: Vec<u64>,
    /// Weights of the excerpt.
    pub weights: u64,
}

/// As [`compile`]; also writes the model of the first layer of each shape to `excerpt`.
///
/// # Errors
/// As [`compile`].
pub fn compile_excerpt(
    model: &Path,
    options: &CompileOptions,
    [out, excerpt]: [&Path; 2],
    progress: &dyn Progress,
) -> Result<(CompileReport, Excerpt)> {
    let (report, artifact) = compiled(model, options, out, progress)?;
    let shapes = 0..artifact.shapes.len() as u32;
    let layers = |shape| artifact.model.layers.iter().filter(|layer| layer.shape == shape).count() as u64;
    let layers = shapes.map(layers).collect();
    let artifact = artifact.excerpt();
    storage::write_with(excerpt, Secrecy::Open, |file| artifact.write(file).map(drop))?;
    Ok((report, Excerpt { layers, weights: weights(&artifact) }))
}

fn weights(artifact: &Artifact) -> u64 {
    artifact.model.layers.iter().flat_map(|l| &l.weights).map(|w| w.len() as u64).sum()
}

/// Compiles a model, writes it and gives it back.
fn compiled(
    model: &Path,
    options: &CompileOptions,
    out: &Path,
    progress: &dyn Progress,
) -> Result<(CompileReport, Artifact)> {
    let start = Instant::now();
    storage::check_writable(out)?;
    let (warnings, outcome) = (RefCell::new(Vec::new()), RefCell::new(None));
    let artifact = pipeline::compile(model, options, &|notice| match notice {
        Notice::Stage(Stage::Load) => progress.stage("reading the model", 1),
        Notice::Stage(Stage::Quantise) => progress.stage("quantising", 1),
        Notice::Stage(Stage::Layout) => progress.stage("choosing circuits", 1),
        Notice::Warning(line) => warnings.borrow_mut().push(line.to_owned()),
        Notice::Fidelity(found) => *outcome.borrow_mut() = Some(found.clone()),
    })?;
    let Outcome { gaps, clamps, choice } = outcome.into_inner().unwrap_or_default();
    // What only counts values without an answer has no headroom, and nothing to say where there are none.
    let mut clamps: Vec<Clamped> = clamps.iter().filter(|clamp| clamp.load > 0.0).map(Clamped::from).collect();
    clamps.sort_by(|a, b| a.headroom.total_cmp(&b.headroom));
    progress.stage("writing the model", 1);
    let mut bytes = 0;
    storage::write_with(out, Secrecy::Open, |file| artifact.write(file).map(|length| bytes = length))?;
    let report = CompileReport {
        model: out.into(),
        source: hex(&artifact.source.digest),
        tokens: artifact.model.tokens,
        width: width(&artifact.model),
        layers: artifact.model.layers.len(),
        shapes: artifact.shapes.len(),
        weights: weights(&artifact),
        k: artifact.shapes.iter().map(|s| s.plan.geometry.k).max().unwrap_or(0),
        limb_bits: artifact.model.limb_bits,
        bytes,
        compile_seconds: start.elapsed().as_secs_f64(),
        gaps: gaps.into_iter().map(|gap| OutputGap { relative: gap.relative(), gap }).collect(),
        choice,
        clamps,
        warnings: warnings.into_inner(),
    };
    Ok((report, artifact))
}

impl std::fmt::Display for CompileReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "compiled   {}", self.model.display())?;
        writeln!(f, "layers     {} of {} shapes, {} tokens", self.layers, self.shapes, self.tokens)?;
        writeln!(f, "weights    {}", self.weights)?;
        writeln!(f, "circuits   2^{} rows, activations of {} bits", self.k, self.limb_bits)?;
        write!(f, "size       {:.2} MB ({:.2} s)", megabytes(self.bytes), self.compile_seconds)?;
        for OutputGap { gap, relative } in &self.gaps {
            write!(f, "\ngap        {relative:.1e} of the greatest value of {}", gap.output)?;
            if let Some(top1) = gap.top1 {
                write!(f, ", top-1 agreement {:.2} %", top1 * 100.0)?;
            }
        }
        if let Some(choice) = &self.choice {
            write!(f, "\nchosen     {choice}")?;
        }
        if let Some(c) = self.clamps.first() {
            write!(
                f,
                "\nheadroom   {:.2} at node \"{}\", the tightest of {} clamps",
                c.headroom,
                c.node,
                self.clamps.len()
            )?;
        }
        if let Some(line) = clamped::line(&self.clamps) {
            write!(f, "\nwarning    on the sample data {line}")?;
        }
        self.warnings.iter().try_for_each(|line| write!(f, "\nwarning    {line}"))
    }
}

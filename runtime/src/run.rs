//! `nanozk run`: the float model and the integer model side by side.

use crate::eval::{self, Sample};
use crate::{Error, Progress, Result, input, load_model};
use nanozk_compiler::artifact::Artifact;
use nanozk_compiler::fidelity::{FidelityError, Meter, run_both};
use nanozk_ir::float::Graph;
use rayon::prelude::*;
use serde::Serialize;
use std::path::Path;

/// Values of an output shown in the text form.
const SHOWN: usize = 8;

/// How close the integer model is to the float model.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// True number of tokens.
    pub length: u32,
    /// Largest difference of an output value between integer and float model; absent for an argmax head.
    pub max_abs_error: Option<f64>,
    /// Share of tokens whose greatest score is the same class in both.
    pub top1_agreement: f64,
    /// Outputs on the input.
    pub outputs: Vec<OutputPair>,
    /// Report over the held-out data.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub eval: Option<EvalReport>,
}

/// One output of both models, true tokens only, row-major `[length, features]`.
#[derive(Clone, Debug, Serialize)]
pub struct OutputPair {
    /// Name.
    pub name: String,
    /// Float model.
    pub float: Vec<f32>,
    /// Integer model, as real numbers; class indices for an argmax head.
    pub integer: Vec<f32>,
}

/// Fidelity over held-out data.
#[derive(Clone, Debug, Serialize)]
pub struct EvalReport {
    /// Samples.
    pub eval_samples: usize,
    /// Perplexity of the float model; absent without labels.
    pub perplexity_float: Option<f64>,
    /// Perplexity of the integer model; absent without labels or for an argmax head.
    pub perplexity_integer: Option<f64>,
    /// Share of tokens whose greatest score is the same class in both.
    pub eval_top1_agreement: f64,
    /// Largest difference of an output value; absent for an argmax head.
    pub eval_max_abs_error: Option<f64>,
}

/// Runs both models on an input and, if given, over held-out data.
pub fn run(model: &Path, input: &Path, eval_file: Option<&Path>, progress: &dyn Progress) -> Result<RunReport> {
    let artifact = load_model(model)?;
    let graph = artifact.float_graph().map_err(Error::format(model))?;
    let input = input::read(&artifact, input)?;
    let samples = eval_file.map(|path| eval::read(&artifact, path)).transpose()?;
    progress.stage("running", 1);
    let pair = run_both(&graph, &artifact.model, &input.float).map_err(failed)?;
    let (tokens, length) = (graph.tokens, input.length as usize);
    let mut meter = Meter::default();
    let mut outputs = Vec::new();
    for ((float, integer), spec) in pair.float.iter().zip(&pair.integer).zip(&artifact.outputs) {
        meter.add(float, integer, length, tokens, None);
        let rows = |v: &[f32]| v[..v.len() / tokens.max(1) * length].to_vec();
        outputs.push(OutputPair { name: spec.name.clone(), float: rows(float), integer: rows(integer) });
    }
    let fidelity = meter.fidelity();
    Ok(RunReport {
        length: input.length,
        max_abs_error: fidelity.max_abs_error,
        top1_agreement: fidelity.top1_agreement,
        outputs,
        eval: samples.map(|s| evaluate(&graph, &artifact, &s, progress)).transpose()?,
    })
}

fn evaluate(graph: &Graph, artifact: &Artifact, samples: &[Sample], progress: &dyn Progress) -> Result<EvalReport> {
    progress.stage("evaluating", samples.len() as u64);
    let one = |sample: &Sample| {
        let pair = run_both(graph, &artifact.model, &sample.inputs).map_err(failed)?;
        let mut meter = Meter::default();
        if let (Some(float), Some(integer)) = (pair.float.first(), pair.integer.first()) {
            meter.add(float, integer, graph.tokens, graph.tokens, Some(&sample.targets));
        }
        progress.step();
        Ok(meter)
    };
    let meters = samples.par_iter().map(one).collect::<Result<Vec<_>>>()?;
    let fidelity = meters.into_iter().fold(Meter::default(), Meter::merged).fidelity();
    Ok(EvalReport {
        eval_samples: samples.len(),
        perplexity_float: fidelity.perplexity_float,
        perplexity_integer: fidelity.perplexity_integer,
        eval_top1_agreement: fidelity.top1_agreement,
        eval_max_abs_error: fidelity.max_abs_error,
    })
}

fn failed(error: FidelityError) -> Error {
    Error::refused(error, "check the input, or compile with sample data like it")
}

impl std::fmt::Display for RunReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for output in &self.outputs {
            let tail = |v: &[f32]| {
                let shown: Vec<String> =
                    v[v.len().saturating_sub(SHOWN)..].iter().map(|v| format!("{v:>9.4}")).collect();
                shown.join(" ")
            };
            writeln!(f, "output {} (last values)", output.name)?;
            writeln!(f, "  float    {}", tail(&output.float))?;
            writeln!(f, "  integer  {}", tail(&output.integer))?;
        }
        if let Some(error) = self.max_abs_error {
            writeln!(f, "worst gap        {error:.6}")?;
        }
        write!(f, "top-1 agreement  {:.2} % of {} tokens", self.top1_agreement * 100.0, self.length)?;
        let Some(e) = &self.eval else { return Ok(()) };
        write!(f, "\n\nheld-out data    {} samples", e.eval_samples)?;
        if let Some(float) = e.perplexity_float {
            write!(f, "\nperplexity       float {float:.5}")?;
            if let Some(integer) = e.perplexity_integer {
                write!(f, ", integer {integer:.5} ({:+.4} %)", (integer / float - 1.0) * 100.0)?;
            }
        }
        if let Some(error) = e.eval_max_abs_error {
            write!(f, "\nworst gap        {error:.6}")?;
        }
        write!(f, "\ntop-1 agreement  {:.2} %", e.eval_top1_agreement * 100.0)
    }
}

//! `nanozk run`: the float model and the integer model side by side.

use crate::clamped::{self, Clamped};
use crate::eval::{self, Sample};
use crate::shown::{Meaning, Shown};
use crate::{Error, Progress, Result, input, load_model};
use nanozk_compiler::artifact::Source;
use nanozk_compiler::fidelity::{FidelityError, Meter, Models};
use nanozk_compiler::frontend::{FrontendError, Reference};
use nanozk_ir::int::interp;
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Values of a float output shown in the text form.
const SHOWN: usize = 12;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Compiled model.
    pub model: PathBuf,
    /// Input file.
    pub input: PathBuf,
    /// Held-out data.
    pub eval: Option<PathBuf>,
    /// ONNX file that the model was compiled from; absent: where it was then.
    pub source: Option<PathBuf>,
}

/// How close the integer model is to the source model.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// True number of tokens.
    pub length: u32,
    /// Largest difference of an output value between integer and source model; absent for an argmax head.
    pub max_abs_error: Option<f64>,
    /// Share of rows of scores whose greatest one is the same in both.
    pub top1_agreement: f64,
    /// Model inputs, as integers of the proven model.
    pub input: Vec<Shown>,
    /// Model outputs.
    pub output: Vec<Output>,
    /// Clamps that saturated values of this input.
    pub saturated: Vec<Clamped>,
    /// Report over the held-out data.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub eval: Option<EvalReport>,
}

/// One output of both models.
#[derive(Clone, Debug, Serialize)]
pub struct Output {
    /// Of the integer model; indices of greatest scores for an argmax head.
    #[serde(flatten)]
    pub integer: Shown,
    /// Of the source model, row-major; `None` beyond the true number of tokens.
    pub float: Vec<Option<f64>>,
}

/// Fidelity over held-out data.
#[derive(Clone, Debug, Serialize)]
pub struct EvalReport {
    /// Samples.
    pub eval_samples: usize,
    /// Perplexity of the source model; absent without labels.
    pub perplexity_float: Option<f64>,
    /// Perplexity of the integer model; absent without labels or for an argmax head.
    pub perplexity_integer: Option<f64>,
    /// Share of rows of scores whose greatest one is the same in both.
    pub eval_top1_agreement: f64,
    /// Largest difference of an output value; absent for an argmax head.
    pub eval_max_abs_error: Option<f64>,
}

/// Runs both models on an input and, if given, over held-out data.
///
/// # Errors
/// A model, an input or a source that cannot be used; a value outside its bounds.
pub fn run(request: &Request, progress: &dyn Progress) -> Result<RunReport> {
    let artifact = load_model(&request.model)?;
    let input = input::read(&artifact, &request.input)?;
    let samples = request.eval.as_deref().map(|path| eval::read(&artifact, path)).transpose()?;
    progress.stage("reading the source model", 1);
    let reference = reference(&artifact.source, request.source.as_deref())?;
    let models = artifact.models();
    progress.stage("running", 1);
    let (model, length) = (models.model, input.length);
    let mut clamps = Vec::new();
    let see = &mut |layer: usize, values: &[Vec<i64>]| clamps.extend(interp::clamps(model, layer, values));
    let float = reference.run(&input.float).map_err(|e| failed(e.into()))?;
    let pair = models.run_beside(float, &input.float, see).map_err(failed)?;
    let mut meter = Meter::default();
    let meaning = |tensor: u32| {
        let spec = &model.tensors[tensor as usize];
        Meaning { features: spec.features, scale: spec.scale, length }
    };
    let mut output = Vec::new();
    for (at, (value, &tensor)) in models.outputs.iter().zip(&model.outputs).enumerate() {
        models.add(&mut meter, &pair, at, length, None);
        let rows = models.rows(at, length);
        let width = (pair.float[at].len() / rows.len().max(1)).max(1);
        let float = pair.float[at].iter().enumerate().map(|(i, &v)| rows[i / width].then_some(v)).collect();
        let integer = Shown::new(value, meaning(tensor), &pair.tensors[tensor as usize]);
        output.push(Output { integer, float });
    }
    let inputs = artifact.inputs.iter().zip(&model.inputs).zip(&input.int);
    let fidelity = meter.fidelity();
    Ok(RunReport {
        length,
        max_abs_error: fidelity.max_abs_error,
        top1_agreement: fidelity.top1_agreement,
        input: inputs.map(|((info, &tensor), data)| Shown::new(&info.value(), meaning(tensor), data)).collect(),
        output,
        saturated: clamped::saturated(&clamps),
        eval: samples.map(|s| evaluate(&models, &reference, &s, progress)).transpose()?,
    })
}

/// The source model of a compiled one, which holds no float weights itself.
fn reference(source: &Source, path: Option<&Path>) -> Result<Reference> {
    let way_out = "name the ONNX file that the model was compiled from with `--source FILE`, or compile it again";
    source.reference(path).map_err(|error| match error {
        FrontendError::Io { .. } | FrontendError::OtherSource { .. } => Error::refused(error, way_out),
        other => Error::Compile(other.into()),
    })
}

fn evaluate(models: &Models, reference: &Reference, samples: &[Sample], progress: &dyn Progress) -> Result<EvalReport> {
    progress.stage("evaluating", samples.len() as u64);
    let one = |sample: &Sample| {
        let pair = models.run(reference, &sample.inputs).map_err(failed)?;
        let mut meter = Meter::default();
        models.add(&mut meter, &pair, 0, models.model.tokens, Some(&sample.targets));
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
        self.input.iter().try_for_each(|input| writeln!(f, "input   {input}"))?;
        for output in &self.output {
            let float: Vec<f64> = output.float.iter().flatten().copied().collect();
            let last: Vec<String> =
                float[float.len().saturating_sub(SHOWN)..].iter().map(|v| format!("{v:.4}")).collect();
            writeln!(f, "output  {}", output.integer)?;
            writeln!(f, "float   ... {} ({} values)", last.join(" "), float.len())?;
        }
        if let Some(error) = self.max_abs_error {
            writeln!(f, "worst gap        {error:.6}")?;
        }
        write!(f, "top-1 agreement  {:.2} % of {} tokens", self.top1_agreement * 100.0, self.length)?;
        if let Some(line) = clamped::line(&self.saturated) {
            write!(f, "\nwarning          {line}")?;
        }
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

//! `nanozk._native`: the calls of `nanozk_runtime` for the Python package around it, which holds the objects.
//!
//! Every call takes files and gives its report twice, as `--json` has it and as text.

#![expect(clippy::result_large_err, reason = "the library's errors, once a call")]

mod watch;

use nanozk_runtime::Progress;
use nanozk_runtime::answer::Prompt;
use nanozk_runtime::decoding::Asked;
use nanozk_runtime::storage::{self, Secrecy};
use nanozk_runtime::{
    Error, architecture, audit, check, commit, compile, generate, inspect, keys, plan, prove, run, sensitivity, setup,
    verify,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use watch::{Raise, errors, raised, watched};

const _: () = assert!(!nanozk_mutants::ON, "the package must not be built with planted bugs");

/// A report as JSON and as text.
type Answer = (String, String);

fn answer(report: &(impl serde::Serialize + std::fmt::Display)) -> nanozk_runtime::Result<Answer> {
    let json = serde_json::to_string(report).map_err(|e| Error::refused(e, "report it as a bug of nanozk"))?;
    Ok((json, report.to_string()))
}

/// The bytes of a file.
#[pyfunction]
fn read(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyBytes>> {
    let bytes = py.detach(|| storage::read(&path)).map_err(|e| raised(&e, errors::Error::new_err))?;
    Ok(PyBytes::new(py, &bytes))
}

/// Writes a file whole or not at all, for the user alone if it is secret.
#[pyfunction]
fn write(py: Python<'_>, path: PathBuf, data: Vec<u8>, secret: bool) -> PyResult<()> {
    let secrecy = if secret { Secrecy::Secret } else { Secrecy::Open };
    py.detach(|| storage::write_atomic(&path, secrecy, &data)).map_err(|e| raised(&e, errors::Error::new_err))
}

/// `nanozk compile`; `options` are those of the library as JSON.
#[pyfunction]
fn compile_model(
    py: Python<'_>,
    model: PathBuf,
    options: &str,
    out: PathBuf,
    progress: Option<Bound<'_, PyAny>>,
    keep: Option<Py<PyAny>>,
) -> PyResult<Answer> {
    let raise: Raise = errors::CompileError::new_err;
    let options: compile::CompileOptions =
        serde_json::from_str(options).map_err(|e| raise(format!("settings: {e}; README.md lists the settings")))?;
    watched(py, progress, raise, keep, move |p| answer(&compile::compile(&model, &options, &out, p)?))
}

/// `nanozk plan`.
#[pyfunction]
fn plan_model(py: Python<'_>, model: PathBuf) -> PyResult<Answer> {
    watched(py, None, errors::Error::new_err, None, move |_| answer(&plan::plan(&model)?))
}

/// `nanozk inspect` of a compiled model.
#[pyfunction]
fn inspect_model(py: Python<'_>, model: PathBuf) -> PyResult<Answer> {
    watched(py, None, errors::Error::new_err, None, move |_| answer(&inspect::inspect(&model)?))
}

/// `nanozk inspect` of a verifier file.
#[pyfunction]
fn inspect_verifier(py: Python<'_>, verifier: PathBuf) -> PyResult<Answer> {
    let describe = move || answer(&architecture::describe(&keys::read_verifier(&verifier)?, false)?);
    watched(py, None, errors::Error::new_err, None, move |_| describe())
}

/// The model id of a verifier file.
#[pyfunction]
fn model_id(py: Python<'_>, verifier: PathBuf) -> PyResult<String> {
    let read = move || Ok(nanozk_runtime::hex(&keys::read_verifier(&verifier)?.model_id()));
    watched(py, None, errors::Error::new_err, None, move |_| read())
}

/// `nanozk run`.
#[pyfunction]
fn run_model(
    py: Python<'_>,
    model: PathBuf,
    input: PathBuf,
    eval: Option<PathBuf>,
    source: Option<PathBuf>,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<Answer> {
    let request = run::Request { model, input, eval, source };
    watched(py, progress, errors::RunError::new_err, None, move |p| answer(&run::run(&request, p)?))
}

/// `nanozk sensitivity`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn measure_sensitivity(
    py: Python<'_>,
    model: PathBuf,
    data: Vec<PathBuf>,
    probes: u32,
    step: f64,
    seed: u64,
    reading: Option<&str>,
    out: Option<PathBuf>,
    html: Option<PathBuf>,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<Answer> {
    let reading = reading
        .map(str::parse)
        .transpose()
        .map_err(|e: sensitivity::UnknownReading| PyValueError::new_err(e.to_string()))?;
    let request = sensitivity::Request { model, data, probes, step, seed, reading, out, html };
    let measure = move |p: &dyn Progress| answer(&sensitivity::sensitivity(&request, p)?);
    watched(py, progress, errors::RunError::new_err, None, measure)
}

/// `nanozk audit plan`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn plan_audit(
    py: Python<'_>,
    of: PathBuf,
    layers: u32,
    sensitivity: Option<PathBuf>,
    floor: Option<f64>,
    pins: Vec<String>,
    answers: u64,
    challenged: f64,
    out: Option<PathBuf>,
) -> PyResult<Answer> {
    let pins = pins.iter().map(|pin| pin.parse().unwrap_or_else(|never| match never {})).collect();
    let request = audit::PlanRequest { of, layers, sensitivity, floor, pins, answers, challenged, out };
    watched(py, None, errors::Error::new_err, None, move |_| answer(&audit::plan(&request)?))
}

/// `nanozk setup`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn setup_keys(
    py: Python<'_>,
    model: PathBuf,
    srs: Option<PathBuf>,
    open_weights: bool,
    exact_ranges: bool,
    out: PathBuf,
    progress: Option<Bound<'_, PyAny>>,
    keep: Option<Py<PyAny>>,
) -> PyResult<Answer> {
    let options = setup::Options { open_weights, exact_ranges };
    watched(py, progress, errors::SetupError::new_err, keep, move |p| {
        answer(&setup::setup(&model, srs.as_deref(), options, &out, p)?)
    })
}

/// `nanozk check`.
#[pyfunction]
fn check_verifier(
    py: Python<'_>,
    verifier: PathBuf,
    model_id: Option<[u8; 32]>,
    allow_unsafe_srs: bool,
) -> PyResult<Answer> {
    watched(py, None, errors::VerifyError::new_err, None, move |_| {
        answer(&check::check(&verifier, model_id, allow_unsafe_srs)?)
    })
}

/// `nanozk prove`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn prove_input(
    py: Python<'_>,
    keys: PathBuf,
    input: PathBuf,
    out: PathBuf,
    layers: Option<(usize, usize)>,
    nonce: Option<Vec<u8>>,
    strict: bool,
    memory: Option<u64>,
    progress: Option<Bound<'_, PyAny>>,
    keep: Option<Py<PyAny>>,
) -> PyResult<Answer> {
    let nonce = short(nonce)?;
    let request = prove::Request { keys, input, out, layers, nonce, strict, memory };
    watched(py, progress, errors::ProveError::new_err, keep, move |p| answer(&prove::prove(&request, p)?))
}

/// `nanozk commit`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn commit_input(
    py: Python<'_>,
    keys: PathBuf,
    input: PathBuf,
    out: PathBuf,
    nonce: Option<Vec<u8>>,
    strict: bool,
    progress: Option<Bound<'_, PyAny>>,
    keep: Option<Py<PyAny>>,
) -> PyResult<Answer> {
    let nonce = short(nonce)?;
    let request = commit::Request { keys, of: commit::Of::Input(input), out, nonce, strict };
    watched(py, progress, errors::ProveError::new_err, keep, move |p| answer(&commit::commit(&request, p)?))
}

/// `nanozk challenge`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn draw_challenge(
    py: Python<'_>,
    commitment: PathBuf,
    verifier: PathBuf,
    policy: PathBuf,
    beacon: Option<(Vec<u8>, String)>,
    nonce: Option<Vec<u8>>,
    input: Option<PathBuf>,
    out: PathBuf,
) -> PyResult<Answer> {
    let request = audit::ChallengeRequest { commitment, verifier, policy, beacon, nonce, input, out };
    watched(py, None, errors::VerifyError::new_err, None, move |_| answer(&audit::challenge(&request)?))
}

/// `nanozk prove --challenge`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn answer_challenge(
    py: Python<'_>,
    keys: PathBuf,
    challenge: PathBuf,
    commitment: PathBuf,
    out: PathBuf,
    memory: Option<u64>,
    progress: Option<Bound<'_, PyAny>>,
    keep: Option<Py<PyAny>>,
) -> PyResult<Answer> {
    let request = audit::AnswerRequest { keys, challenge, commitment, out, memory };
    watched(py, progress, errors::ProveError::new_err, keep, move |p| answer(&audit::answer(&request, p)?))
}

/// A prompt, as text or as token ids.
#[derive(FromPyObject)]
enum PromptOf {
    #[pyo3(transparent)]
    Text(String),
    #[pyo3(transparent)]
    Tokens(Vec<u32>),
}

impl From<PromptOf> for Prompt {
    fn from(prompt: PromptOf) -> Self {
        match prompt {
            PromptOf::Text(text) => Prompt::Text(text),
            PromptOf::Tokens(tokens) => Prompt::Tokens(tokens),
        }
    }
}

/// `nanozk generate`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn generate_answer(
    py: Python<'_>,
    keys: PathBuf,
    prompt: PromptOf,
    max_new: u32,
    temperature: Option<f64>,
    tokenizer: Option<PathBuf>,
    out: PathBuf,
    nonce: Option<Vec<u8>>,
    strict: bool,
    memory: Option<u64>,
    progress: Option<Bound<'_, PyAny>>,
    keep: Option<Py<PyAny>>,
) -> PyResult<Answer> {
    let (prompt, nonce) = (prompt.into(), short(nonce)?);
    let asked = Asked { prompt, max_new, temperature, tokenizer };
    let request = generate::Request { keys, asked, out, nonce, strict, memory };
    watched(py, progress, errors::ProveError::new_err, keep, move |p| answer(&generate::generate(&request, p)?))
}

/// `nanozk verify`.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn verify_proof(
    py: Python<'_>,
    verifier: PathBuf,
    proof: PathBuf,
    model_id: Option<[u8; 32]>,
    nonce: Option<Vec<u8>>,
    allow_unsafe_srs: bool,
    check_weights: bool,
    allow_partial: bool,
    input: Option<PathBuf>,
    output: Option<PathBuf>,
    prompt: Option<PromptOf>,
    max_new: Option<u32>,
    temperature: Option<f64>,
    tokenizer: Option<PathBuf>,
    challenge: Option<PathBuf>,
) -> PyResult<Answer> {
    let options = verify::VerifyOptions { model_id, nonce: short(nonce)?, allow_unsafe_srs, check_weights };
    let prompt = prompt.map(Prompt::from);
    let request = verify::Request {
        verifier,
        proof,
        options,
        allow_partial,
        challenge,
        input,
        output,
        prompt,
        max_new,
        temperature,
        tokenizer,
    };
    watched(py, None, errors::VerifyError::new_err, None, move |_| answer(&verify::verify(&request)?))
}

/// A nonce of the length that proofs hold.
fn short(nonce: Option<Vec<u8>>) -> PyResult<Option<Vec<u8>>> {
    match &nonce {
        Some(bytes) if bytes.len() > prove::MAX_NONCE => {
            Err(PyValueError::new_err(format!("a nonce has at most {} bytes", prove::MAX_NONCE)))
        }
        _ => Ok(nonce),
    }
}

#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::{
        answer_challenge, check_verifier, commit_input, compile_model, draw_challenge, generate_answer, inspect_model,
        inspect_verifier, measure_sensitivity, model_id, plan_audit, plan_model, prove_input, read, run_model,
        setup_keys, verify_proof, write,
    };
}

//! The steps of one model, in order, each repeated.

use super::extrapolated::Extrapolated;
use super::report::{Fidelity, Measured, ModelReport, ProofSize, Sizes};
use super::request::Request;
use super::step::{Measure, Step};
use super::times::StepTimes;
use crate::compile::Excerpt;
use crate::storage::KeyDir;
use crate::{Error, Progress, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files of a model to measure.
struct Source {
    name: String,
    network: PathBuf,
    input: PathBuf,
    eval: Option<PathBuf>,
}

/// Measures one model.
pub fn model(request: &Request, path: &Path, progress: &dyn Progress) -> ModelReport {
    let name = name(path);
    match source(path, &name).and_then(|s| all_steps(request, &s, progress)) {
        Ok(measured) => ModelReport { name, measured: Some(measured), error: None },
        Err(error) => ModelReport { name, measured: None, error: Some(error.to_string()) },
    }
}

/// The folder's name; for an ONNX file its stem, or its folder's name when it is called `network.onnx`.
fn name(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.into());
    let text = |p: Option<&std::ffi::OsStr>| p.map(|s| s.to_string_lossy().into_owned());
    let name = match full.file_name() {
        Some(file) if file == "network.onnx" => text(full.parent().and_then(Path::file_name)),
        _ if full.is_file() => text(full.file_stem()),
        file => text(file),
    };
    name.unwrap_or_else(|| path.display().to_string())
}

fn source(path: &Path, name: &str) -> Result<Source> {
    let (dir, network) = if path.is_dir() {
        (path.to_path_buf(), path.join("network.onnx"))
    } else {
        (path.parent().unwrap_or(Path::new("")).to_path_buf(), path.to_path_buf())
    };
    let present = |file: PathBuf, what: &str| {
        let way_out = "name a folder that holds network.onnx and input.json, or an ONNX file with input.json beside it";
        if file.is_file() { Ok(file) } else { Err(Error::refused(format!("{}: no {what}", file.display()), way_out)) }
    };
    Ok(Source {
        name: name.into(),
        network: present(network, "model")?,
        input: present(dir.join("input.json"), "input")?,
        eval: Some(dir.join("eval.json")).filter(|p| p.is_file()),
    })
}

fn all_steps(request: &Request, source: &Source, progress: &dyn Progress) -> Result<Measured> {
    let temporary = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir()))?;
    let at = |name: &str| temporary.path().join(name);
    let (model, srs, proof) = (at("model.nanozk"), at("srs.bin"), at("proof.nanozk"));
    let keys = KeyDir::new(at("keys"));
    let input = source.input.clone();
    let measure = |name: &'static str, step: Step, once: bool| {
        let (warmup, repeat) = if once { (0, 1) } else { (request.warmup, request.repeat) };
        progress.stage(&format!("{}: {name}", source.name), (warmup + repeat) as u64);
        let mut runs = Vec::new();
        for i in 0..warmup + repeat {
            let run = child(request, &step).map_err(|e| failed(name, &e))?;
            progress.step();
            if i >= warmup {
                runs.push(run);
            }
        }
        let times = StepTimes::of(name, &runs);
        // The last run's files are the ones the next step reads.
        let report = runs.pop().map(|r| r.report).unwrap_or_default();
        Ok::<_, Error>((times, report))
    };

    let (network, data) = (source.network.clone(), input.clone());
    let (served, visibility) = (request.served, request.input);
    let excerpt = request.excerpt.then(|| at("excerpt.nanozk"));
    let step =
        Step::Compile { network, data, model: model.clone(), served, input: visibility, excerpt: excerpt.clone() };
    let (compile, compiled) = measure("compile", step, false)?;
    // An excerpt answers something else than the source model.
    let (run, ran) = match &excerpt {
        Some(_) => (None, Value::Null),
        None => {
            let step = Step::Run { model: model.clone(), input: input.clone(), eval: source.eval.clone() };
            let (run, ran) = measure("run", step, true)?;
            (Some(run), ran)
        }
    };
    let k = whole(&compiled, "k") as u32;
    let (srs_step, made) = measure("srs", Step::Srs { k, out: srs.clone() }, true)?;
    let model = excerpt.unwrap_or(model);
    let step = Step::Setup { model, srs, keys: keys.path().into() };
    let (setup, set_up) = measure("setup", step, false)?;
    let step = Step::Prove { keys: keys.path().into(), input, proof: proof.clone() };
    let (prove, proven) = measure("prove", step, false)?;
    let (verify, verified) = measure("verify", Step::Verify { verifier: keys.verifier(), proof }, false)?;

    let parts: Option<Excerpt> = serde_json::from_value(compiled["excerpt"].clone()).ok();
    let weights = whole(&compiled, "weights");
    let extrapolated = parts.map(|parts| Extrapolated::new(&parts, weights, [&setup, &prove, &verify], &proven));
    let layers = proven["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Measured {
        tokens: whole(&compiled, "tokens"),
        width: whole(&compiled, "width"),
        weights,
        layers: whole(&compiled, "layers"),
        shapes: whole(&compiled, "shapes"),
        k,
        extrapolated,
        steps: [Some(compile), run, Some(srs_step), Some(setup), Some(prove), Some(verify)]
            .into_iter()
            .flatten()
            .collect(),
        sizes: Sizes {
            model_bytes: whole(&compiled, "bytes"),
            prover_bytes: whole(&set_up, "key_bytes"),
            verifier_bytes: whole(&set_up, "verifier_bytes"),
            srs_bytes: whole(&made, "bytes"),
        },
        proof: ProofSize {
            proof_bytes: whole(&proven, "proof_bytes"),
            layer_max_bytes: layers.iter().map(|l| whole(l, "proof_bytes")).max().unwrap_or(0),
            file_bytes: whole(&proven, "file_bytes"),
        },
        check_ms: verified["verify_seconds"].as_f64().unwrap_or(f64::NAN) * 1e3,
        soundness_bits: verified["soundness_bits"].as_f64().unwrap_or(f64::NAN),
        fidelity: Fidelity {
            max_abs_error: ran["max_abs_error"].as_f64(),
            top1_agreement: ran["top1_agreement"].as_f64(),
            eval_samples: ran["eval_samples"].as_u64(),
            eval_top1_agreement: ran["eval_top1_agreement"].as_f64(),
            perplexity_float: ran["perplexity_float"].as_f64(),
            perplexity_integer: ran["perplexity_integer"].as_f64(),
        },
    })
}

fn whole(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or(0)
}

fn failed(step: &str, error: &Error) -> Error {
    Error::part_of(step)(error.to_string())
}

/// Runs a step in a process of its own.
fn child(request: &Request, step: &Step) -> Result<Measure> {
    let broken = |what: String| Error::refused(what, "run the step by its own command to see more");
    let [program, leading @ ..] = request.worker.as_slice() else {
        return Err(broken("no program to run steps with".into()));
    };
    let step = serde_json::to_string(step).map_err(|e| broken(e.to_string()))?;
    let output = Command::new(program)
        .args(leading)
        .arg(step)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(Path::new(program)))?;
    let reply: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| broken(format!("the process ended without a report ({})", output.status)))?;
    match reply.get("error").and_then(Value::as_str) {
        Some(error) => Err(Error::part(error)),
        None => serde_json::from_value(reply).map_err(|e| broken(format!("the process's report: {e}"))),
    }
}

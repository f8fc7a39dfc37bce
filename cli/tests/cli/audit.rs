//! Sensitivities, policies, and audits by challenge.

use crate::common::{bundled, nanozk};
use serde_json::Value;
use std::path::Path;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The bundled block's model, compiled in `dir`.
fn compile(dir: &Path, model: &str) -> String {
    let (network, input) = (bundled(&format!("{model}/network.onnx")), bundled(&format!("{model}/input.json")));
    nanozk(dir, &["compile", &network, "--data", &input, "-o", "model.nanozk", "--json"]).json();
    input
}

/// The last layer's outputs are the scores: there the trace is the sum of p (1 - p), known without any disturbance.
#[test]
fn sensitivity_of_scores_is_that_of_their_softmax() {
    let dir = tempfile::tempdir().unwrap();
    let input = compile(dir.path(), "llama-d64-l2");
    let args = ["sensitivity", "model.nanozk", "--data", &input, "-o", "s.json", "--html", "s.html", "--json"];
    let report = nanozk(dir.path(), &args).json();
    assert_eq!(report["outputs"][0]["reading"], "scores");
    let run = nanozk(dir.path(), &["run", "model.nanozk", "--input", &input, "--json"]).json();
    let output = &run["output"][0];
    let width = output["shape"].as_array().unwrap().last().unwrap().as_u64().unwrap() as usize;
    let scores: Vec<f64> = output["values"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    let trace: f64 = scores
        .chunks(width)
        .map(|row| {
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|z| (z - most).exp()).sum();
            row.iter().map(|z| (z - most).exp() / sum).map(|p| p * (1.0 - p)).sum::<f64>()
        })
        .sum();
    let last = report["layers"].as_array().unwrap().last().unwrap();
    let error = number(&last["standard_error"]) / number(&last["sensitivity"]) * trace;
    let found = number(&last["fisher_trace"]);
    assert!((found - trace).abs() < 5.0 * error + 0.02 * trace, "{found} against {trace}");
    let page = std::fs::read_to_string(dir.path().join("s.html")).unwrap();
    assert!(page.contains("<svg") && page.matches("<rect").count() == report["layers"].as_array().unwrap().len());
    // What `--json` prints is what `-o` writes.
    let file: Value = serde_json::from_slice(&std::fs::read(dir.path().join("s.json")).unwrap()).unwrap();
    assert_eq!(file, report);

    let plan = ["audit", "plan", "model.nanozk", "--layers", "2", "--weights", "sensitivity:s.json", "--floor", "0.2"];
    let report = nanozk(dir.path(), &[&plan[..], &["-o", "policy.yaml", "--json"]].concat()).json();
    let (least, uniform) = (number(&report["least_detection"]), number(&report["least_detection_uniform"]));
    assert!((0.2 - 1e-9..uniform).contains(&least), "{report}");
    assert!(number(&report["coverage"]) > number(&report["coverage_uniform"]));
    let sum: f64 = report["layers"].as_array().unwrap().iter().map(|l| number(&l["inclusion"])).sum();
    assert_eq!(sum, 2.0 * f64::from(u32::MAX) + 2.0);
    assert!(std::fs::read_to_string(dir.path().join("policy.yaml")).unwrap().contains("drawn: 2"));

    // Other layers, no report, a floor that is too high, pins that mean nothing or leave nothing.
    let text = std::fs::read_to_string(dir.path().join("s.json")).unwrap();
    std::fs::write(dir.path().join("other.json"), text.replace(r#""name":"layer1""#, r#""name":"layerX""#)).unwrap();
    std::fs::write(dir.path().join("more.json"), text.replacen('{', r#"{"more":1,"#, 1)).unwrap();
    let refused = |args: &[&str], parts: &[&str]| {
        nanozk(dir.path(), &[&["audit", "plan", "model.nanozk"], args].concat()).fails_with(parts);
    };
    refused(&["--layers", "2", "--weights", "sensitivity:other.json"], &["other.json", "not those of this model"]);
    refused(&["--layers", "2", "--weights", "sensitivity:more.json"], &["unknown field", "nanozk sensitivity"]);
    refused(&["--layers", "2", "--weights", "sensitivity:none.json"], &["none.json", "check the path"]);
    refused(&["--layers", "99"], &["99 of"]);
    refused(&["--layers", "2", "--floor", "0.99"], &["floor"]);
    refused(&["--layers", "1", "--pin", "input"], &["draw at least 2"]);
    refused(&["--layers", "2", "--pin", "nowhere"], &["nowhere"]);
    refused(&["--layers", "2", "--pin", "2-99"], &["99"]);
    let argmax =
        ["compile", &bundled("llama-d64-l2/network.onnx"), "--data", &input, "--head", "argmax", "-o", "a.nanozk"];
    assert_eq!(nanozk(dir.path(), &argmax).code, Some(0));
    nanozk(dir.path(), &["sensitivity", "a.nanozk", "--data", &input]).fails_with(&["--head logits"]);
}

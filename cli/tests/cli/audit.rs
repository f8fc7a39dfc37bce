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

/// Commitment, challenge, answer and verdict, with everything that must be refused on the way.
#[test]
fn three_moves() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let run = |args: &[&str]| nanozk(dir, args);
    let json = |args: &[&str]| nanozk(dir, &[args, &["--json"]].concat()).json();
    let input = compile(dir, "bert-d64-l2");
    json(&["setup", "model.nanozk", "-o", "keys"]);
    let verifier = "keys/verifier.nanozk";
    json(&["audit", "plan", "keys", "--layers", "2", "-o", "policy.yaml"]);
    for (out, nonce) in [("a.commit", "aa"), ("b.commit", "bb")] {
        json(&["commit", "keys", "--input", &input, "--nonce", nonce, "-o", out]);
    }
    let challenge = |commitment: &str, out: &str, more: &[&str]| {
        let args = ["challenge", commitment, "--verifier", verifier, "--policy", "policy.yaml", "-o", out];
        nanozk(dir, &[&args[..], more, &["--json"]].concat())
    };
    let drawn = challenge("a.commit", "a.json", &["--nonce", "aa", "--input", &input]).json();
    let total = drawn["total"].as_u64().unwrap();
    assert_eq!((drawn["layers"].as_array().unwrap().len(), total > 2), (2, true), "{drawn}");
    let caught = number(&drawn["least_detection"]);
    assert!((caught - 2.0 / total as f64).abs() < 1e-8);
    challenge("a.commit", "a.json", &[]).fails_with(&["a.json", "is there already"]);
    challenge("a.commit", "x.json", &["--nonce", "bb"]).fails_with(&["nonce"]);
    let mut other: Value = serde_json::from_slice(&std::fs::read(&input).unwrap()).unwrap();
    other["input_data"][0].as_array_mut().unwrap().reverse();
    std::fs::write(dir.join("reversed.json"), other.to_string()).unwrap();
    challenge("a.commit", "x.json", &["--input", "reversed.json"]).fails_with(&["a.commit", "reversed.json"]);
    challenge("keys/verifier.nanozk", "x.json", &[]).fails_with(&["a verifier file, not a commitment"]);
    challenge("a.commit", "x.json", &["--beacon", "0011", "--beacon-source", "short"]).fails_with(&["2 bytes"]);

    let answer = |challenge: &str, commitment: &str, out: &str| {
        nanozk(dir, &["prove", "keys", "--challenge", challenge, "--commitment", commitment, "-o", out, "--json"])
    };
    let proven = answer("a.json", "a.commit", "a.nanozk").json();
    assert_eq!(proven["layers"], drawn["layers"]);
    answer("a.json", "b.commit", "x.nanozk").fails_with(&["a.json", "--commitment"]);

    // Some layers are a partial proof, and with the challenge an audited one.
    run(&["verify", verifier, "a.nanozk"]).fails_with(&["partial", "--challenge"]);
    let verify = |challenge: &str, proof: &str| {
        nanozk(dir, &["verify", verifier, proof, "--challenge", challenge, "--input", &input, "--json"])
    };
    let verdict = verify("a.json", "a.nanozk").json();
    assert_eq!((&verdict["verified"], &verdict["full"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!(number(&verdict["audited"]["caught"]), caught);
    assert_eq!(verdict["audited"]["commitment"], drawn["commitment"]);
    assert!(verdict["audited"].get("first_verified").is_none() && verdict["input_checked"] == true);
    let again = verify("a.json", "a.nanozk").json();
    assert!(again["audited"]["first_verified"].is_string(), "{again}");
    let text = run(&["verify", verifier, "a.nanozk", "--challenge", "a.json"]).stdout;
    let stated =
        format!("AUDITED 2 of {total} layers: one wrong layer is caught with probability {caught:.4}; full only");
    assert!(text.starts_with(&stated) && !text.contains("VERIFIED"), "{text}");

    // Layers of another draw, of another commitment, and a challenge that another proof has answered.
    let other = (0..).find(|value| {
        let (out, value) = (format!("c{value}.json"), format!("{value:064x}"));
        let beacon = challenge("a.commit", &out, &["--beacon", &value, "--beacon-source", "test beacon"]).json();
        beacon["layers"] != drawn["layers"]
    });
    let other = format!("c{}.json", other.unwrap());
    answer(&other, "a.commit", "c.nanozk").json();
    verify("a.json", "c.nanozk").fails_with(&["drawn were"]);
    verify(&other, "a.nanozk").fails_with(&["drawn were"]);
    let verdict = verify(&other, "c.nanozk").json();
    assert!(verdict["audited"]["source"].as_str().unwrap().contains("test beacon"), "{verdict}");
    challenge("b.commit", "b.json", &[]).json();
    answer("b.json", "b.commit", "b.nanozk").json();
    verify("a.json", "b.nanozk").fails_with(&["the challenge was drawn for"]);
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let used: Value = serde_json::from_str(&read("a.json")).unwrap();
    let taken = read("a.json").replace(used["used"]["proof"].as_str().unwrap(), &"0".repeat(64));
    std::fs::write(dir.join("taken.json"), taken).unwrap();
    verify("taken.json", "a.nanozk").fails_with(&["another proof answered"]);
    // Other layers than drawn, other fields, no file.
    for (name, text) in [
        ("more.json", read("a.json").replacen('{', r#"{"more": 1,"#, 1)),
        ("layers.json", read("a.json").replacen(r#""layers": ["#, r#""layers": [ 9,"#, 1)),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    verify("more.json", "a.nanozk").fails_with(&["more.json", "unknown field"]);
    verify("layers.json", "a.nanozk").fails_with(&["layers.json", "not those drawn"]);
    verify("none.json", "a.nanozk").fails_with(&["none.json", "check the path"]);
    answer("layers.json", "a.commit", "x.nanozk").fails_with(&["not those drawn"]);

    // All layers drawn: that is a proof of the model.
    json(&["audit", "plan", verifier, "--layers", &total.to_string(), "-o", "all.yaml"]);
    json(&["challenge", "a.commit", "--verifier", verifier, "--policy", "all.yaml", "-o", "all.json"]);
    answer("all.json", "a.commit", "all.nanozk").json();
    let verdict = verify("all.json", "all.nanozk").json();
    assert_eq!((&verdict["full"], number(&verdict["audited"]["caught"])), (&Value::Bool(true), 1.0));
    assert_eq!(run(&["verify", verifier, "all.nanozk"]).code, Some(0));

    // Another model's policy, verifier file and keys.
    let network = bundled("mlp-digits/network.onnx");
    let data = bundled("mlp-digits/input.json");
    json(&["compile", &network, "--data", &data, "-o", "mlp.nanozk"]);
    json(&["setup", "mlp.nanozk", "-o", "mlp"]);
    json(&["audit", "plan", "mlp", "--layers", "1", "-o", "mlp.yaml"]);
    let args = ["challenge", "a.commit", "--verifier", verifier, "--policy", "mlp.yaml", "-o", "x.json"];
    run(&args).fails_with(&["mlp.yaml"]);
    let args =
        ["challenge", "a.commit", "--verifier", "mlp/verifier.nanozk", "--policy", "policy.yaml", "-o", "x.json"];
    run(&args).fails_with(&["the commitment is to model"]);
    run(&["verify", "mlp/verifier.nanozk", "a.nanozk", "--challenge", "a.json"])
        .fails_with(&["challenge was drawn for model"]);
    run(&["prove", "mlp", "--challenge", "a.json", "--commitment", "a.commit", "-o", "x.nanozk"]).fails_with(&["keys"]);
    assert!(!dir.join("x.json").exists() && !dir.join("x.nanozk").exists(), "nothing is written in refusing");
    std::fs::remove_dir_all(dir.join("b.commit.secret")).unwrap();
    answer("b.json", "b.commit", "x.nanozk").fails_with(&["b.commit.secret"]);
}

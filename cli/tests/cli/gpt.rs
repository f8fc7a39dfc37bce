//! The bundled GPT: interrupted proofs, short prompts, the demo.

use crate::common::{bundled, listing, nanozk};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Compiles the GPT and makes its keys in `dir`.
fn set_up(dir: &Path) {
    let (model, data) = (bundled("kjvgpt-d64-l4/network.onnx"), bundled("kjvgpt-d64-l4/input.json"));
    nanozk(dir, &["compile", &model, "--data", &data, "-o", "m.nanozk", "--json"]).json();
    let setup = nanozk(dir, &["setup", "m.nanozk", "-o", "keys", "--json"]).json();
    for key in ["setup_seconds", "key_bytes"] {
        assert!(setup[key].is_number(), "{key} in {setup}");
    }
    assert!(setup["shapes"].as_u64() < setup["layers"].as_u64(), "equal layers share a shape: {setup}");
}

#[test]
fn an_interrupted_proof_goes_on_and_a_short_prompt_is_bound() {
    let dir = tempfile::tempdir().expect("temporary directory");
    set_up(dir.path());
    let prompt = ["7"; 10].join(",");
    fs::write(dir.path().join("i.json"), format!("{{\"input_data\": [[{prompt}]]}}")).expect("writes");
    let args = ["prove", "keys", "--input", "i.json", "-o", "p.nanozk", "--json"];

    let mut child = Command::new(env!("CARGO_BIN_EXE_nanozk"))
        .args(args)
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let finished = |n: &str| n.starts_with("layer-");
    let work = dir.path().join("p.nanozk.work");
    let start = Instant::now();
    while !(work.exists() && listing(&work).iter().any(|n| finished(n))) {
        assert!(start.elapsed() < Duration::from_secs(600), "no layer was finished");
        assert!(child.try_wait().expect("waits").is_none(), "the proof was not interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("kills");
    child.wait().expect("waits");
    assert!(!dir.path().join("p.nanozk").exists(), "nothing half-written");
    let seed = fs::read(work.join("state")).expect("reads");

    // Another input must not use the same seed; it starts over.
    fs::write(dir.path().join("j.json"), "{\"input_data\": [[1, 2]]}").expect("writes");
    let copy = dir.path().join("q.nanozk.work");
    fs::create_dir(&copy).expect("makes");
    for name in listing(&work) {
        fs::copy(work.join(&name), copy.join(&name)).expect("copies");
    }
    let other = ["prove", "keys", "--input", "j.json", "-o", "q.nanozk", "--layers", "0", "--json"];
    assert_eq!(nanozk(dir.path(), &other).json()["resumed"], 0);
    assert_eq!(fs::read(work.join("state")).expect("reads"), seed);

    let report = nanozk(dir.path(), &args).json();
    assert!(report["resumed"].as_u64().is_some_and(|n| n >= 1), "{report}");
    assert!(!work.exists());
    let verdict = nanozk(dir.path(), &["verify", "keys/verifier.nanozk", "p.nanozk", "--json"]).json();
    assert_eq!((&verdict["verified"], &verdict["length"]), (&true.into(), &10.into()));
    for (what, shape, known) in [("input", vec![1, 64], 10), ("output", vec![1, 64, 63], 10 * 63)] {
        let tensor = &verdict[what][0];
        let values = tensor["values"].as_array().expect("values");
        assert_eq!((&tensor["shape"], values.len()), (&shape.clone().into(), shape.iter().product::<usize>()));
        assert!(
            values.iter().enumerate().all(|(i, v)| v.is_null() == (i >= known)),
            "null beyond the prompt: {tensor}"
        );
    }

    // The length counts: ten tokens are not the same ten tokens and a zero.
    let compare = |ids: &[u32]| {
        fs::write(dir.path().join("s.json"), serde_json::json!({ "input_data": [ids] }).to_string()).expect("writes");
        nanozk(dir.path(), &["verify", "keys/verifier.nanozk", "p.nanozk", "--input", "s.json"])
    };
    let same = compare(&[7; 10]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(
        same.stdout.contains("tokens     10 of 64") && same.stdout.contains("7 7 7 7 7 7 7 7 7 7 "),
        "{}",
        same.stdout
    );
    compare(&[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]).fails_with(&["10 tokens", "11", "not of your input"]);
    compare(&[7, 7, 7, 7, 7, 7, 7, 7, 7, 8]).fails_with(&["[0, 9]", "not of your input"]);

    // What may be partial and is not says all.
    let whole = nanozk(dir.path(), &["verify", "keys/verifier.nanozk", "p.nanozk", "--allow-partial", "--json"]).json();
    assert_eq!((&whole["verified"], &whole["full"]), (&true.into(), &true.into()));

    // A proof of the first layer says nothing of the output.
    let part = ["prove", "keys", "--input", "i.json", "--layers", "0", "-o", "part.nanozk", "--json"];
    nanozk(dir.path(), &part).json();
    let verify = ["verify", "keys/verifier.nanozk", "part.nanozk", "--json"];
    let refused = nanozk(dir.path(), &verify);
    refused.fails_with(&["partial", "1 of 6 layers", "--allow-partial"]);
    let verdict: serde_json::Value = serde_json::from_str(&refused.stdout).expect("JSON");
    assert_eq!((&verdict["verified"], &verdict["full"]), (&false.into(), &false.into()));
    let verdict = nanozk(dir.path(), &[&verify[..], &["--allow-partial"]].concat()).json();
    assert_eq!((&verdict["full"], &verdict["layers"]), (&false.into(), &serde_json::json!([0])));
    assert!(verdict["input"][0]["values"].is_array(), "layer 0 reads it: {verdict}");
    assert!(verdict["output"][0].get("values").is_none(), "{verdict}");
    assert_eq!(verdict["output"][0]["reason"], "no proven layer writes it");
    let last = ["prove", "keys", "--input", "i.json", "--layers", "5", "-o", "last.nanozk", "--json"];
    nanozk(dir.path(), &last).json();
    let unread = ["verify", "keys/verifier.nanozk", "last.nanozk", "--allow-partial", "--input", "i.json"];
    nanozk(dir.path(), &unread).fails_with(&["no proven layer reads it", "without --input"]);
    let text = nanozk(dir.path(), &["verify", verify[1], verify[2], "--allow-partial"]).stdout;
    assert!(text.starts_with("PARTIAL") && !text.contains("\nVERIFIED"), "{text}");
    let beyond = ["prove", "keys", "--input", "i.json", "--layers", "0-6", "-o", "x.nanozk"];
    nanozk(dir.path(), &beyond).fails_with(&["--layers"]);
}

#[test]
fn the_demo_runs_anywhere_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let report = nanozk(dir.path(), &["demo", "--json"]).json();
    let verdict = &report["verify"];
    assert_eq!((&verdict["verified"], &verdict["unsafe_srs"]), (&true.into(), &false.into()));
    assert!(verdict["soundness_bits"].as_f64().is_some_and(|bits| bits >= 114.0), "{verdict}");
    assert_eq!(report["verify"]["layers_covered"], report["verify"]["layers_total"]);
    assert!(report["prompt"].as_str().is_some_and(|p| p.contains("Giving thanks")), "{}", report["prompt"]);
    assert!(listing(dir.path()).is_empty());
}

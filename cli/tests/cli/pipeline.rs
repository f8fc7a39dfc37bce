//! All commands, one after the other, on the smallest bundled transformer block.

use crate::common::{bundled, listing, nanozk};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Model, keys and proof of the block, made once for all tests of this file.
fn made() -> &'static Path {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = tempfile::tempdir().expect("temporary directory");
        let input = bundled("block-d16-t16/input.json");
        let model = bundled("block-d16-t16/network.onnx");
        let run = |args: &[&str]| nanozk(dir.path(), args).json();
        run(&["compile", &model, "--data", &input, "-o", "m.nanozk", "--json"]);
        run(&["setup", "m.nanozk", "-o", "keys", "--json"]);
        run(&["prove", "keys", "--input", &input, "--nonce", "c0ffee", "-o", "p.nanozk", "--json"]);
        dir
    })
    .path()
}

fn verify(args: &[&str]) -> crate::common::Run {
    nanozk(made(), &[&["verify", "keys/verifier.nanozk"], args].concat())
}

#[test]
fn plan_names_every_cost() {
    let plan = nanozk(made(), &["plan", "m.nanozk", "--json"]).json();
    let layers = plan["layers"].as_array().expect("layers");
    assert!(!layers.is_empty() && plan["shapes"].as_u64().is_some_and(|n| n >= 1));
    for layer in layers {
        for key in ["index", "shape", "k", "lookups", "dense_columns", "proof_bytes", "prove_seconds", "memory_mb"] {
            assert!(layer[key].is_number(), "{key} in {layer}");
        }
    }
    let text = nanozk(made(), &["plan", "m.nanozk", "--layer", "0"]).stdout;
    assert!(text.contains("lookups (") && text.contains("relations: "), "{text}");
    nanozk(made(), &["plan", "m.nanozk", "--layer", "99"]).fails_with(&["no layer 99"]);
}

#[test]
fn inspect_shows_graph_and_tensors() {
    let report = nanozk(made(), &["inspect", "m.nanozk", "--json"]).json();
    assert_eq!(report["tokens"], 16);
    assert!(report["tensors"].as_array().is_some_and(|t| t.len() >= 2));
    let dot = nanozk(made(), &["inspect", "m.nanozk", "--dot"]).stdout;
    assert!(dot.starts_with("digraph") && dot.contains("1 Attend") && dot.trim_end().ends_with('}'), "{dot}");
}

#[test]
fn run_reports_the_gap() {
    let input = bundled("block-d16-t16/input.json");
    let report = nanozk(made(), &["run", "m.nanozk", "--input", &input, "--json"]).json();
    let gap = report["max_abs_error"].as_f64().expect("a number");
    assert!(gap > 0.0 && gap < 1e-2, "{gap}");
    assert!(report["top1_agreement"].as_f64().is_some_and(|a| a >= 0.9), "{report}");
}

/// The float side is the ONNX file itself, found again by its path or named by the user, and no other file.
#[test]
fn run_reads_the_source_model_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let input = bundled("block-d16-t16/input.json");
    fs::copy(bundled("block-d16-t16/network.onnx"), dir.path().join("n.onnx")).expect("copies");
    nanozk(dir.path(), &["compile", "n.onnx", "--data", &input, "-o", "m.nanozk", "--json"]).json();
    let run =
        |source: &[&str]| nanozk(dir.path(), &[&["run", "m.nanozk", "--input", &input, "--json"], source].concat());
    let report = run(&[]).json();
    let (values, float) = (&report["output"][0]["values"], &report["output"][0]["float"]);
    assert_eq!((values.as_array().map(Vec::len), float.as_array().map(Vec::len)), (Some(256), Some(256)));
    assert_eq!(report["output"][0]["shape"], serde_json::json!([1, 16, 16]));
    fs::rename(dir.path().join("n.onnx"), dir.path().join("moved.onnx")).expect("renames");
    run(&[]).fails_with(&["n.onnx", "--source FILE"]);
    assert_eq!(run(&["--source", "moved.onnx"]).json(), report);
    let other = bundled("block-d32-t16/network.onnx");
    run(&["--source", &other]).fails_with(&["not the file that the model was compiled from", "--source FILE"]);
}

/// Files of the block under an SRS that was made on this machine.
#[test]
fn an_unsafe_srs_is_refused_unless_asked_for() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let run = |args: &[&str]| nanozk(dir.path(), args);
    let (model, input) = (made().join("m.nanozk").display().to_string(), bundled("block-d16-t16/input.json"));
    run(&["srs", "generate", "--k", "12", "-o", "local.bin", "--json"]).json();
    let setup = run(&["setup", &model, "--srs", "local.bin", "-o", "keys", "--json"]).json();
    assert_eq!((&setup["srs_source"], &setup["unsafe_srs"]), (&"file".into(), &true.into()));
    run(&["prove", "keys", "--input", &input, "-o", "p.nanozk", "--json"]).json();
    for args in [&["verify", "keys/verifier.nanozk", "p.nanozk"][..], &["check", "keys/verifier.nanozk"]] {
        run(args).fails_with(&["no known ceremony", "--allow-unsafe-srs"]);
        let verdict = run(&[args, &["--allow-unsafe-srs", "--json"]].concat()).json();
        assert_eq!(verdict["unsafe_srs"], true);
        assert!(verdict["soundness_bits"].as_f64().is_none_or(|b| b < 120.0), "{verdict}");
    }
    // A directory with a local SRS is made anew under that of the program.
    let setup = run(&["setup", &model, "-o", "keys", "--json"]).json();
    assert_eq!((&setup["srs_source"], &setup["unsafe_srs"]), (&"embedded".into(), &false.into()));
}

#[test]
fn the_srs_of_the_program_needs_no_permission() {
    let verdict = verify(&["p.nanozk", "--json"]).json();
    assert_eq!((&verdict["verified"], &verdict["unsafe_srs"]), (&true.into(), &false.into()));
    assert!(verdict["ceremony"].as_str().is_some_and(|name| name.contains("Ethereum")), "{verdict}");
    assert!(verdict["soundness_bits"].as_f64().is_some_and(|bits| bits >= 120.0), "{verdict}");
    let check = nanozk(made(), &["check", "keys/verifier.nanozk", "--json"]).json();
    assert_eq!((&check["checked"], &check["unsafe_srs"]), (&true.into(), &false.into()));
    let plan = nanozk(made(), &["plan", "m.nanozk", "--json"]).json();
    assert_eq!(plan["soundness_bits"], verdict["soundness_bits"]);
}

#[test]
fn a_verdict_tells_what_it_covers() {
    let verdict = verify(&["p.nanozk", "--json"]).json();
    assert_eq!(verdict["verified"], true);
    assert_eq!(verdict["layers_covered"], verdict["layers_total"]);
    assert_eq!(verdict["nonce"], "c0ffee");
    assert!(verdict["statistical_bits"].as_f64().is_some_and(|b| b > 200.0), "{verdict}");
    assert_eq!(verdict["soundness_bits"], verdict["computational_bits"]);
    assert!(verdict["verify_seconds"].as_f64().is_some_and(|s| s > 0.0));
    for tensor in ["input", "output"] {
        assert_eq!(verdict[tensor][0]["values"].as_array().map(Vec::len), Some(16 * 16), "{tensor}");
    }
}

#[test]
fn a_verifier_file_is_checked_once() {
    let check = |args: &[&str]| nanozk(made(), &[&["check", "keys/verifier.nanozk"], args].concat());
    let report = check(&["--json"]).json();
    assert_eq!(report["checked"], true);
    assert!(report["weights"].as_u64().is_some_and(|n| n > 1000), "{report}");
    assert!(report["weight_bits"].as_u64().is_some_and(|n| (1..=66).contains(&n)), "{report}");
    assert!(report["tables"].as_u64().is_some_and(|n| n > 0), "{report}");
    assert!(report["table_bits"].as_u64().is_some_and(|n| (2..=48).contains(&n)), "{report}");
    assert!(report["statistical_bits"].as_f64().is_some_and(|b| b > 200.0), "{report}");
    check(&["--model-id", &"0".repeat(64)]).fails_with(&["another model"]);

    let alone = verify(&["p.nanozk", "--json"]).json();
    let both = verify(&["p.nanozk", "--check-weights", "--json"]).json();
    assert_eq!((&alone["weights_checked"], &both["weights_checked"]), (&false.into(), &true.into()));
}

#[test]
fn the_expected_model_and_nonce_are_checked() {
    let id = verify(&["p.nanozk", "--json"]).json()["model_id"].as_str().expect("id").to_string();
    let good = ["p.nanozk", "--model-id", &id, "--nonce", "c0ffee", "--json"];
    assert_eq!(verify(&good).json()["model_id_checked"], true);
    let other = id.replace(|_| true, "0");
    verify(&["p.nanozk", "--model-id", &other]).fails_with(&["model"]);
    verify(&["p.nanozk", "--nonce", "00"]).fails_with(&["nonce"]);
    let run = verify(&["p.nanozk", "--nonce", "00", "--json"]);
    let verdict: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((run.code, &verdict["verified"]), (Some(1), &false.into()));
    assert_eq!((&verdict["full"], &verdict["layers_covered"]), (&false.into(), &0.into()));
    assert_eq!((&verdict["input"], &verdict["output"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn proofs_are_small_and_written_whole() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let keys = made().join("keys").display().to_string();
    let input = bundled("block-d16-t16/input.json");
    let report = nanozk(dir.path(), &["prove", &keys, "--input", &input, "-o", "q.nanozk", "--json"]).json();
    assert_eq!(listing(dir.path()), ["q.nanozk"], "no work directory stays");
    for layer in report["layers"].as_array().expect("layers") {
        for key in ["index", "shape", "proof_bytes", "prove_seconds"] {
            assert!(layer[key].is_number(), "{key} in {layer}");
        }
    }
    let bytes = report["proof_bytes"].as_u64().expect("a number");
    assert!(bytes > 1000 && bytes < 40_000, "{bytes}");
    assert!(report["prove_seconds"].is_number() && report["peak_memory_mb"].is_number());
    let first = fs::read(made().join("p.nanozk")).expect("reads");
    assert_ne!(fs::read(dir.path().join("q.nanozk")).expect("reads"), first, "fresh masks");
}

/// What was sent and received is compared with the statement.
#[test]
fn inputs_and_outputs_are_compared() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let input = bundled("block-d16-t16/input.json");
    let file = |name: &str, value: &serde_json::Value| {
        let path = dir.path().join(name);
        fs::write(&path, value.to_string()).expect("writes");
        path.display().to_string()
    };
    let run = nanozk(made(), &["run", "m.nanozk", "--input", &input, "--json"]).json();
    let answer = file("answer.json", &run);
    let compare = |args: &[&str]| verify(&[&["p.nanozk", "--json"], args].concat());
    let verdict = compare(&["--input", &input, "--output", &answer]).json();
    assert_eq!((&verdict["input_checked"], &verdict["output_checked"]), (&true.into(), &true.into()));

    let scale = verdict["output"][0]["scale"].as_f64().expect("scale");
    let mut values = verdict["output"][0]["values"].clone();
    let bare = file("bare.json", &serde_json::json!([values.clone()]));
    assert_eq!(compare(&["--output", &bare]).json()["verified"], true);
    let stated = values[17].as_f64().expect("a number");
    values[17] = (stated + 0.6 / scale).into();
    let digits = format!("is {stated} in the proof and {} in ", values[17]);
    let other = file("other.json", &serde_json::json!([values]));
    let run = compare(&["--output", &other]);
    run.fails_with(&["[0, 1, 1]", &digits, "other.json", "not of your output"]);
    let verdict: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&verdict["verified"], &verdict["output"]), (&false.into(), &serde_json::json!([])));

    let mut data: serde_json::Value = serde_json::from_slice(&fs::read(&input).expect("reads")).expect("JSON");
    data["input_data"][0].as_array_mut().expect("values").swap(3, 40);
    compare(&["--input", &file("in.json", &data)]).fails_with(&["in.json", "not of your input"]);
    compare(&["--output", &file("few.json", &serde_json::json!([[1, 2]]))]).fails_with(&["few.json", "2 values"]);
    compare(&["--output", &input]).fails_with(&["no list of outputs"]);
}

#[test]
fn damaged_and_foreign_proofs() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let good = fs::read(made().join("p.nanozk")).expect("reads");
    let bad = dir.path().join("bad.nanozk").display().to_string();
    let refuse = |bytes: &[u8], parts: &[&str]| {
        fs::write(&bad, bytes).expect("writes");
        verify(&[&bad]).fails_with(parts);
    };
    refuse(&[], &["bad.nanozk", "not a nanozk file"]);
    refuse(&good[..good.len() - 1], &["damaged"]);
    refuse(&fs::read(made().join("m.nanozk")).expect("reads"), &["a compiled model, not a proof"]);
    // A forger fixes the checksum: then the proof itself must fail, whatever byte was changed.
    use nanozk_plan::format::{HEADER_LEN, Kind, seal};
    let payload = &good[HEADER_LEN..];
    for at in [0, payload.len() / 4, payload.len() / 2, payload.len() - 100, payload.len() - 1] {
        let mut forged = payload.to_vec();
        forged[at] ^= 1;
        refuse(&seal(Kind::Proof, &forged), &["error"]);
    }
    refuse(&seal(Kind::Proof, &[payload, &[0]].concat()), &["malformed"]);
}

#[test]
fn damaged_and_foreign_keys() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let keys = dir.path().join("keys");
    fs::create_dir(&keys).expect("makes");
    let input = bundled("block-d16-t16/input.json");
    let fresh = || {
        for name in ["prover.nanozk", "verifier.nanozk", "srs.bin"] {
            fs::copy(made().join("keys").join(name), keys.join(name)).expect("copies");
        }
    };
    let refuse = |parts: &[&str]| {
        nanozk(dir.path(), &["prove", "keys", "--input", &input, "-o", "p.nanozk"]).fails_with(parts);
        assert_eq!(listing(dir.path()), ["keys"]);
    };
    refuse(&["prover.nanozk", "check the path"]);
    for name in ["prover.nanozk", "verifier.nanozk", "srs.bin"] {
        fresh();
        let good = fs::read(keys.join(name)).expect("reads");
        for bad in [&good[..good.len() / 2], &[good.as_slice(), &[0]].concat(), b"junk"] {
            fs::write(keys.join(name), bad).expect("writes");
            refuse(&[name]);
        }
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        fs::write(keys.join(name), flipped).expect("writes");
        refuse(&[name]);
    }
    // Files of another setup of the same model do not mix.
    nanozk(dir.path(), &["setup", &made().join("m.nanozk").display().to_string(), "-o", "other", "--json"]).json();
    fresh();
    fs::copy(dir.path().join("other/verifier.nanozk"), keys.join("verifier.nanozk")).expect("copies");
    let other = dir.path().join("other");
    let verifier = other.join("verifier.nanozk").display().to_string();
    let proof = made().join("p.nanozk").display().to_string();
    nanozk(dir.path(), &["verify", &verifier, &proof]).fails_with(&["model"]);
    fs::remove_dir_all(other).expect("removes");
    refuse(&["different setups", "nanozk setup"]);
}

#[test]
fn an_srs_that_is_too_small_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let srs = nanozk(dir.path(), &["srs", "generate", "--k", "6", "-o", "small.bin", "--json"]).json();
    assert_eq!((&srs["k"], &srs["unsafe_srs"]), (&6.into(), &true.into()));
    let seen = nanozk(dir.path(), &["srs", "inspect", "small.bin", "--json"]).json();
    assert_eq!(seen["id"], srs["id"]);
    let model = made().join("m.nanozk").display().to_string();
    nanozk(dir.path(), &["setup", &model, "--srs", "small.bin", "-o", "keys"]).fails_with(&["small.bin", "2^6"]);
    assert!(!dir.path().join("keys/verifier.nanozk").exists());
    nanozk(dir.path(), &["srs", "inspect", &model]).fails_with(&["m.nanozk", "SRS"]);
    nanozk(dir.path(), &["srs", "import", "small.bin", "-o", "x.bin"]).fails_with(&["small.bin"]);
    assert!(!dir.path().join("x.bin").exists());
}

#[test]
fn open_weights_give_everyone_the_same_model_id() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let model = made().join("m.nanozk").display().to_string();
    let srs = made().join("keys/srs.bin").display().to_string();
    let id = |model: &str, out: &str, open: bool| {
        let mut args = vec!["setup", model, "--srs", &srs, "-o", out, "--json"];
        args.extend(open.then_some("--open-weights"));
        nanozk(dir.path(), &args).json()["model_id"].as_str().expect("id").to_string()
    };
    assert_eq!(id(&model, "a", true), id(&model, "b", true));
    assert_ne!(id(&model, "c", false), id(&model, "d", false));
    // The same integers, from a file and sample data of other names.
    let [network, sample] = ["network.onnx", "input.json"].map(|name| bundled(&format!("block-d16-t16/{name}")));
    fs::copy(network, dir.path().join("other.onnx")).expect("copies");
    fs::copy(sample, dir.path().join("other.json")).expect("copies");
    nanozk(dir.path(), &["compile", "other.onnx", "--data", "other.json", "-o", "other.nanozk", "--json"]).json();
    assert_eq!(id("other.nanozk", "e", true), id(&model, "f", true));
}

#[test]
fn compiling_twice_gives_the_same_file() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let input = bundled("block-d16-t16/input.json");
    let model = bundled("block-d16-t16/network.onnx");
    nanozk(dir.path(), &["compile", &model, "--data", &input, "-o", "again.nanozk", "--json"]).json();
    let again = fs::read(dir.path().join("again.nanozk")).expect("reads");
    assert!(again == fs::read(made().join("m.nanozk")).expect("reads"));
    let here = dir.path().display().to_string();
    assert!(!again.windows(here.len()).any(|w| w == here.as_bytes()), "no path of this machine");
}

/// Files with one flipped bit and a right checksum, at many places.
fn forged(name: &str, kind: nanozk_plan::format::Kind) -> impl Iterator<Item = Vec<u8>> {
    let good = fs::read(made().join(name)).expect("reads");
    let payload = good[nanozk_plan::format::HEADER_LEN..].to_vec();
    let n = payload.len();
    (0..400.min(n * 8)).map(move |i| {
        let mut bad = payload.clone();
        let bit = i * (n * 8) / 400.min(n * 8);
        bad[bit / 8] ^= 1 << (bit % 8);
        nanozk_plan::format::seal(kind, &bad)
    })
}

#[test]
fn forged_models_never_panic() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (file, input) = (dir.path().join("f.nanozk"), bundled("block-d16-t16/input.json"));
    let mut refused = 0;
    for bytes in forged("m.nanozk", nanozk_plan::format::Kind::Model) {
        fs::write(&file, bytes).expect("writes");
        refused += usize::from(nanozk_runtime::plan::plan(&file).is_err());
        let _ = nanozk_runtime::inspect::inspect(&file);
        let source = Some(bundled("block-d16-t16/network.onnx").into());
        let request =
            nanozk_runtime::run::Request { model: file.clone(), input: input.clone().into(), eval: None, source };
        let _ = nanozk_runtime::run::run(&request, &nanozk_runtime::Silent);
    }
    assert!(refused > 0);
}

#[test]
fn forged_verifier_files_and_proofs_never_panic_nor_pass() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (file, proof) = (dir.path().join("f.nanozk"), made().join("p.nanozk"));
    let verifier = made().join("keys/verifier.nanozk");
    let options = nanozk_runtime::verify::VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
    let passes = |key: &Path, proof: &Path| {
        let (verifier, proof, options) = (key.into(), proof.into(), options.clone());
        let request =
            nanozk_runtime::verify::Request { verifier, proof, options, allow_partial: true, ..Default::default() };
        nanozk_runtime::verify::verify(&request).is_ok_and(|report| report.verified)
    };
    assert!(passes(&verifier, &proof));
    for bytes in forged("keys/verifier.nanozk", nanozk_plan::format::Kind::Verifier) {
        fs::write(&file, bytes).expect("writes");
        assert!(!passes(&file, &proof), "the model id covers every bit");
    }
    for bytes in forged("p.nanozk", nanozk_plan::format::Kind::Proof) {
        fs::write(&file, bytes).expect("writes");
        assert!(!passes(&verifier, &file), "every bit of a proof counts");
    }
}

/// Inputs beyond the sample data saturate values: told by `run` and `prove`, with the nodes, and refused by `--strict`.
#[test]
fn saturated_values_are_told() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let run = |args: &[&str]| nanozk(dir.path(), args);
    let (model, input) = (bundled("mlp-digits/network.onnx"), bundled("mlp-digits/input.json"));
    // Without tables of functions it would not saturate.
    fs::write(dir.path().join("nanozk.yaml"), "quantise: {limb_bits: 12}").expect("writes");
    let compile = ["compile", &model, "--data", &input, "--config", "nanozk.yaml", "-o", "m.nanozk"];
    let report = run(&[&compile[..], &["--json"]].concat()).json();
    let gap = report["gaps"][0]["relative"].as_f64().expect("a number");
    assert!(gap > 0.0 && gap <= 0.02, "{gap}");
    assert!(report["clamps"][0]["headroom"].as_f64().is_some_and(|h| h > 1.0), "{report}");
    assert!(run(&compile).stdout.contains("\nheadroom "));

    let sample: serde_json::Value = serde_json::from_slice(&fs::read(&input).expect("reads")).expect("JSON");
    let values = sample["input_data"][0].as_array().expect("an array").iter().filter_map(serde_json::Value::as_f64);
    let loud = serde_json::json!({ "input_data": [values.map(|v| 7.0 * v).collect::<Vec<_>>()] });
    fs::write(dir.path().join("loud.json"), loud.to_string()).expect("writes");
    let calm = run(&["run", "m.nanozk", "--input", &input, "--json"]).json();
    assert_eq!(calm["saturated"].as_array().map(Vec::len), Some(0), "{calm}");
    let told = run(&["run", "m.nanozk", "--input", "loud.json", "--json"]).json();
    assert!(told["saturated"][0]["saturated"].as_u64().is_some_and(|n| n > 0), "{told}");
    assert!(run(&["run", "m.nanozk", "--input", "loud.json"]).stdout.contains(" values saturate: "));

    run(&["setup", "m.nanozk", "-o", "keys", "--json"]).json();
    let prove =
        |input: &str, more: &[&str]| run(&[&["prove", "keys", "--input", input, "-o", "p.nanozk"], more].concat());
    prove("loud.json", &["--strict"]).fails_with(&["values saturate: ", "node \"", "leave out --strict"]);
    let proven = prove("loud.json", &["--json"]).json();
    assert!(proven["saturated"][0]["saturated"].as_u64().is_some_and(|n| n > 0), "{proven}");
    fs::remove_file(dir.path().join("p.nanozk")).expect("removes");
    prove(&input, &["--strict", "--json"]).json();
}

/// A tolerance that no width keeps is refused with the node that loses most, unless the gap is accepted.
#[test]
fn a_gap_is_refused_or_accepted() {
    let dir = tempfile::tempdir().expect("temporary directory");
    fs::write(dir.path().join("nanozk.yaml"), "quantise: {tolerance: 0.000001}").expect("writes");
    let (model, input) = (bundled("mlp-digits/network.onnx"), bundled("mlp-digits/input.json"));
    let args = ["compile", &model, "--data", &input, "--config", "nanozk.yaml", "-o", "m.nanozk"];
    nanozk(dir.path(), &args).fails_with(&["output \"logits\"", "node \"", "`quantise.tolerance`", "--accept-gap"]);
    let accepted = nanozk(dir.path(), &[&args[..], &["--accept-gap", "--json"]].concat()).json();
    assert!(accepted["gaps"][0]["relative"].as_f64().is_some_and(|gap| gap > 1e-6), "{accepted}");
}

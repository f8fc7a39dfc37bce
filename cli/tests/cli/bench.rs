//! `nanozk bench`.

use super::common::{bundled, nanozk};

#[test]
fn steps_are_measured_and_a_missing_model_does_not_stop_the_others() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let model = bundled("mlp-digits");
    let args = ["bench", "none<1>", &model, "--warmup", "0", "--repeat", "1", "--json", "--html", "b.html"];
    let run = nanozk(dir.path(), &[&args[..], &["--markdown", "b.md"]].concat());
    run.fails_with(&["1 of 2 models failed: none<1>"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("a JSON object");
    let [missing, measured] = report["models"].as_array().expect("models").as_slice() else { panic!("{report}") };
    assert!(missing["error"].as_str().is_some_and(|e| e.contains("no model; ")), "{missing}");
    let steps = measured["steps"].as_array().expect("steps");
    let names: Vec<_> = steps.iter().filter_map(|s| s["step"].as_str()).collect();
    assert_eq!(names, ["compile", "run", "srs", "setup", "prove", "verify"]);
    for step in steps {
        assert!(step["wall_seconds_min"].as_f64().is_some_and(|s| s > 0.0), "{step}");
    }
    let proof = &measured["proof"];
    assert!(proof["layer_max_bytes"].as_u64() <= proof["proof_bytes"].as_u64(), "{proof}");
    assert!(proof["layer_max_bytes"].as_u64() > Some(0), "{proof}");
    assert!(measured["fidelity"]["perplexity_float"].is_f64(), "eval.json is used: {measured}");

    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("written");
    let (page, table) = (read("b.html"), read("b.md"));
    assert_eq!(page.matches("<rect").count(), 3, "one bar in each of three charts");
    assert!(page.contains("none&lt;1&gt; failed") && !page.contains("src=") && !page.contains("href="), "{page}");
    assert!(table.contains("| mlp-digits | prove | "), "{table}");
}

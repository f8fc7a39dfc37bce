//! Pages that verify themselves, of the files that verifiers in other languages are tested with.

use crate::common::{bundled, nanozk, workspace};

fn corpus(name: &str) -> String {
    workspace("tests/corpus").join(name).canonicalize().expect("a file of the corpus").display().to_string()
}

#[test]
fn a_report_holds_its_files() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (proof, verifier) = (corpus("single.proof.nanozk"), corpus("single.verifier.nanozk"));
    let report = nanozk(dir.path(), &["report", &proof, "--verifier", &verifier, "-o", "r.html", "--json"]).json();
    assert_eq!((&report["full"], &report["embedded"]), (&true.into(), &true.into()));
    let page = std::fs::read_to_string(dir.path().join("r.html")).expect("the page");
    assert_eq!(page.len(), report["bytes"].as_u64().expect("a size") as usize);
    // Both files begin with the magic bytes, as base64.
    for slot in ["verifier", "proof"] {
        let name = format!("data-file=\"{slot}\" data-name=\"single.{slot}.nanozk\">bmFub3pr");
        assert_eq!(page.matches(&name).count(), 1, "{slot}");
    }
    let text = nanozk(dir.path(), &["report", &proof, "--verifier", &verifier]);
    assert!(text.stdout.contains("report.html") && text.stdout.contains("model id"), "{}", text.stdout);
}

#[test]
fn what_does_not_hold_is_not_reported() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let [single, chain, proof] = ["single.verifier.nanozk", "chain.verifier.nanozk", "single.proof.nanozk"].map(corpus);
    let report = |args: &[&str]| nanozk(dir.path(), &[&["report"], args].concat());
    report(&[&proof, "--verifier", &chain]).fails_with(&["single.proof.nanozk", "is of model"]);
    report(&[&single, "--verifier", &single]).fails_with(&["this is a verifier file, not a proof"]);
    let tokenizer = bundled("kjvgpt-d64-l4/tokenizer.json");
    report(&[&proof, "--verifier", &single, "--tokenizer", &tokenizer]).fails_with(&["names no tokenizer"]);
    assert!(!dir.path().join("report.html").exists());
}

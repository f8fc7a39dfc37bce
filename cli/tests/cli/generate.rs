//! An answer of the bundled GPT under proof, as text.

use crate::common::{bundled, nanozk};
use std::fs;

#[test]
fn an_answer_is_written_proven_and_verified() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let at = |args: &[&str]| nanozk(dir.path(), args);
    let (model, data) = (bundled("kjvgpt-d64-l4/network.onnx"), bundled("kjvgpt-d64-l4/input.json"));
    let tokenizer = bundled("kjvgpt-d64-l4/tokenizer.json");
    let compile = ["compile", &model, "--data", &data, "--head", "argmax", "--max-temperature", "1", "-o", "m.nanozk"];
    at(&[&compile[..], &["--end", "."]].concat()).fails_with(&["\".\"", "--tokenizer"]);
    at(&[&compile[..], &["--tokenizer", &tokenizer, "--end", "..."]].concat()).fails_with(&["\"...\"", "give its id"]);
    at(&[&compile[..], &["--tokenizer", &tokenizer, "--end", ".", "--json"]].concat()).json();
    at(&["setup", "m.nanozk", "-o", "keys", "--json"]).json();

    let generate = ["generate", "keys", "-o", "p.nanozk", "--max-new", "12"];
    let ask = |args: &[&str]| at(&[&generate[..], args].concat());
    ask(&[]).fails_with(&["prompt is empty"]);
    ask(&["--prompt", "In the"]).fails_with(&["tokenizer"]);
    ask(&["--tokens", "1,63"]).fails_with(&["token 63", "0..=62"]);
    ask(&["--tokens", &["1"; 65].join(",")]).fails_with(&["65 tokens", "takes 64"]);
    let said = ask(&["--prompt", "In the", "--tokenizer", &tokenizer, "--json"]).json();
    let answer = said["answer"]["text"].as_str().expect("a text").to_string();
    assert_eq!((said["answer"]["prompt_text"].as_str(), answer.is_empty()), (Some("In the"), false));

    let check = ["verify", "keys/verifier.nanozk", "p.nanozk", "--tokenizer", &tokenizer];
    let verify = |args: &[&str]| at(&[&check[..], args].concat());
    let report = verify(&["--prompt", "In the", "--max-new", "12", "--json"]).json();
    assert_eq!((report["verified"].as_bool(), report["answer"]["text"].as_str()), (Some(true), Some(&answer[..])));
    let lenient = verify(&["--allow-partial", "--json"]).json();
    assert_eq!(lenient["answer"], report["answer"], "what is whole shows its answer");
    let text = verify(&[]).stdout;
    assert!(text.contains(&format!("{answer:?}")) && text.contains("the model's greedy choice"), "{text}");
    verify(&["--prompt", "At the"]).fails_with(&["another prompt"]);
    ask(&["--tokens", "1", "--temperature", "1"]).fails_with(&["--nonce"]);
    ask(&["--tokens", "1", "--temperature", "1.5", "--nonce", "5f"]).fails_with(&["--max-temperature"]);
    ask(&["--tokens", "1", "--top-p", "0.9"]).fails_with(&["--top-p", "--temperature"]);
    ask(&["--tokens", "1,2", "--temperature", "1", "--nonce", "5f", "--json"]).json();
    let drawn = verify(&["--tokens", "1,2", "--temperature", "1", "--nonce", "5f"]).stdout;
    assert!(drawn.contains("drawn from the model's scores at temperature 1"), "{drawn}");
    verify(&["--nonce", "5f", "--temperature", "0"]).fails_with(&["temperature 1"]);
    verify(&[]).fails_with(&["name it with `--nonce`"]);

    // The answer is split into jobs.
    let split = ["jobs", "split", "keys", "-o", "run", "--prompt", "In the", "--tokenizer", &tokenizer, "--json"];
    assert!(at(&split).stderr.contains("--input"), "neither an input nor how long the answer may be");
    let jobs = at(&[&split[..], &["--max-new", "12"]].concat()).json();
    assert_eq!((&jobs["answers"][0]["answer"], &jobs["answers"][0]["name"]), (&said["answer"], &"prompt".into()));
    at(&["jobs", "prove", "run", "--all", "--json"]).json();
    at(&["jobs", "join", "run", "-o", "joined.nanozk", "--json"]).json();
    let joined = ["verify", "keys/verifier.nanozk", "joined.nanozk", "--tokenizer", &tokenizer];
    let report = at(&[&joined[..], &["--prompt", "In the", "--max-new", "12", "--json"]].concat()).json();
    assert_eq!((&report["full"], &report["answer"]), (&true.into(), &said["answer"]));
    at(&[&joined[..], &["--prompt", "At the"]].concat()).fails_with(&["another prompt"]);

    // The answer is committed to, and audited.
    let commit = ["commit", "keys", "-o", "a.commit", "--json"];
    let claimed = at(&[&commit[..], &["--tokens", "1,2", "--max-new", "3"]].concat()).json();
    assert_eq!(claimed["answer"]["tokens"].as_array().map(Vec::len), Some(3), "{claimed}");
    at(&["audit", "plan", "keys", "--layers", "2", "-o", "policy.yaml", "--json"]).json();
    let drawn =
        ["challenge", "a.commit", "--verifier", "keys/verifier.nanozk", "--policy", "policy.yaml", "-o", "c.json"];
    at(&[&drawn[..], &["--json"]].concat()).json();
    let answer = ["prove", "keys", "--challenge", "c.json", "--commitment", "a.commit", "-o", "audit.nanozk", "--json"];
    at(&answer).json();
    let audit = ["verify", "keys/verifier.nanozk", "audit.nanozk", "--challenge", "c.json"];
    at(&[&audit[..], &["--tokens", "1,3"]].concat()).fails_with(&["another prompt"]);
    let audited = at(&[&audit[..], &["--tokens", "1,2", "--max-new", "3", "--json"]].concat()).json();
    assert_eq!(audited["answer"]["tokens"], claimed["answer"]["tokens"]);
    assert_eq!((&audited["full"], audited["audited"].is_object()), (&false.into(), true), "{audited}");
    fs::write(dir.path().join("other.json"), fs::read_to_string(&tokenizer).expect("a file").replace('\n', ""))
        .expect("written");
    at(&["verify", "keys/verifier.nanozk", "p.nanozk", "--tokenizer", "other.json"]).fails_with(&["not the one"]);
}

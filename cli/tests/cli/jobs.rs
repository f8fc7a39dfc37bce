//! `nanozk jobs`: many answers, and provers that are killed at random moments.

use crate::common::{bundled, listing, nanozk};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A directory with keys of a bundled model and its sample input as `a.json`.
fn made(model: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (onnx, input) = (bundled(&format!("{model}/network.onnx")), bundled(&format!("{model}/input.json")));
    nanozk(dir.path(), &["compile", &onnx, "--data", &input, "-o", "m.nanozk", "--json"]).json();
    nanozk(dir.path(), &["setup", "m.nanozk", "-o", "keys", "--json"]).json();
    fs::copy(input, dir.path().join("a.json")).expect("copies");
    dir
}

/// The sample input with its first tensor in another order, on one line.
fn turned(dir: &Path, by: usize) -> String {
    let mut json: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("a.json")).expect("reads")).expect("JSON");
    let values = json["input_data"][0].as_array_mut().expect("an array");
    let by = by % values.len();
    values.rotate_left(by);
    json.to_string()
}

#[test]
fn many_answers() {
    let dir = made("block-d16-t16");
    let run = |args: &[&str]| nanozk(dir.path(), args);
    fs::create_dir(dir.path().join("more")).expect("makes");
    fs::write(dir.path().join("more/b.json"), turned(dir.path(), 1)).expect("writes");
    fs::write(dir.path().join("more/README"), "no input").expect("writes");
    let lines = format!("{}\n\n{}\n", turned(dir.path(), 2), turned(dir.path(), 3));
    fs::write(dir.path().join("c.jsonl"), &lines).expect("writes");
    let split = ["jobs", "split", "keys", "--input", "a.json", "--input", "more", "--input", "c.jsonl", "-o", "run"];
    let report = run(&[&split[..], &["--json", "--nonce", "5f"]].concat()).json();
    let names: Vec<&str> =
        report["answers"].as_array().expect("answers").iter().filter_map(|a| a["name"].as_str()).collect();
    assert_eq!(names, ["a", "b", "c-line1", "c-line3"]);
    let (jobs, layers) = (report["jobs"].as_u64().expect("jobs"), report["layers"].as_u64().expect("layers"));
    assert_eq!(jobs, 4 * layers);
    run(&split).fails_with(&["run: exists already; "]);

    // One answer is finished, the others are not.
    let last = (layers - 1).to_string();
    run(&["jobs", "prove", "run", "--job", &format!("0-{last}"), "--json"]).json();
    let joined = run(&["jobs", "join", "run", "-o", "proofs", "--json"]);
    assert_eq!(joined.code, Some(1));
    assert_eq!(listing(&dir.path().join("proofs")), ["a.nanozk"]);
    run(&["jobs", "join", "run", "-o", "proofs"]).fails_with(&["no part of jobs", "jobs prove run --all"]);
    let open = run(&["jobs", "status", "run", "--json"]).json()["open"].as_array().expect("open").len() as u64;
    assert_eq!(open, jobs - layers);

    let report = run(&["jobs", "prove", "run", "--all", "--memory", "2G", "--json"]).json();
    assert_eq!(report["jobs"].as_array().expect("jobs").len() as u64, jobs);
    run(&["jobs", "join", "run", "-o", "proofs", "--json"]).json();
    assert_eq!(listing(&dir.path().join("proofs")), names.iter().map(|n| format!("{n}.nanozk")).collect::<Vec<_>>());
    let verify = |proof: &str, input: &str| {
        let args = ["verify", "keys/verifier.nanozk", proof, "--input", input, "--nonce", "5f"];
        run(&args).code
    };
    assert_eq!(verify("proofs/b.nanozk", "more/b.json"), Some(0));
    assert_eq!(verify("proofs/b.nanozk", "a.json"), Some(1));

    run(&["jobs", "prove", "run"]).fails_with(&["no job is named", "give --job I or --all"]);
    run(&["jobs", "prove", "run", "--job", "999"]).fails_with(&["not within the jobs of run", "choose from 0-"]);
    run(&["jobs", "status", "keys"]).fails_with(&["keys: no run folder; make it with"]);
    run(&["jobs", "split", "keys", "--input", "a.json", "--input", "a.json", "-o", "x"])
        .fails_with(&["the name \"a\""]);
    fs::write(dir.path().join("bad.jsonl"), "{\"input\": 1}\n").expect("writes");
    run(&["jobs", "split", "keys", "--input", "bad.jsonl", "-o", "x"]).fails_with(&["bad-line1.json"]);
    assert!(!dir.path().join("x").exists(), "nothing is left of a split that failed");
    let left: Vec<_> = fs::read_dir(dir.path()).expect("lists").map(|e| e.expect("entry").file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".nanozk-")), "{left:?}");
}

#[test]
fn an_engine_names_the_job() {
    let dir = made("block-d16-t16");
    nanozk(dir.path(), &["jobs", "split", "keys", "--input", "a.json", "-o", "run", "--json"]).json();
    for variable in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "HQ_TASK_ID"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanozk"));
        let output = command.args(["jobs", "prove", "run", "--json"]).current_dir(dir.path()).env(variable, "0");
        let output = output.output().expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["jobs"][0]["job"], 0);
    }
}

/// The parts of a run by name, whole or not.
fn parts(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = listing(&run.join("parts")).into_iter().filter(|name| !name.starts_with('.'));
    names.map(|name| (name.clone(), fs::read(run.join("parts").join(name)).expect("reads"))).collect()
}

/// Kills provers `kills` times at seeded moments, two at work at a time: what was stored stays as it is, what is left
/// unfinished is proven by those that follow, and every proof verifies.
fn killed(kills: usize, seed: u64) {
    let dir = made("block-d16-t16");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let prompts: Vec<String> = (0..6).map(|i| turned(dir.path(), i)).collect();
    fs::write(dir.path().join("p.jsonl"), prompts.join("\n")).expect("writes");
    let (mut left, mut round) = (kills, 0);
    while left > 0 {
        let name = format!("run{round}");
        let run = dir.path().join(&name);
        nanozk(dir.path(), &["jobs", "split", "keys", "--input", "p.jsonl", "-o", &name, "--json"]).json();
        let open =
            || nanozk(dir.path(), &["jobs", "status", &name, "--json"]).json()["open"].as_array().map_or(0, Vec::len);
        let mut stored = parts(&run);
        while left > 0 && open() > 0 {
            let mut provers: Vec<_> = (0..2)
                .map(|_| {
                    let mut command = Command::new(env!("CARGO_BIN_EXE_nanozk"));
                    command.args(["jobs", "prove", &name, "--all"]).current_dir(dir.path());
                    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
                })
                .collect();
            for prover in &mut provers {
                std::thread::sleep(rng.gen_range(Duration::ZERO..Duration::from_millis(400)));
                // SIGKILL, unless it has ended already.
                let killed = prover.try_wait().expect("waits").is_none();
                prover.kill().expect("kills");
                prover.wait().expect("waits");
                left = left.saturating_sub(usize::from(killed));
            }
            let now = parts(&run);
            assert!(stored.iter().all(|(name, bytes)| now.get(name) == Some(bytes)), "a stored part changed");
            stored = now;
        }
        nanozk(dir.path(), &["jobs", "prove", &name, "--all", "--json"]).json();
        let now = parts(&run);
        assert!(stored.iter().all(|(name, bytes)| now.get(name) == Some(bytes)), "a stored part changed");
        let out = format!("proofs{round}");
        let joined = nanozk(dir.path(), &["jobs", "join", &name, "-o", &out, "--json"]).json();
        assert_eq!(joined["proofs"].as_array().map(Vec::len), Some(prompts.len()));
        assert!(joined["foreign"].as_array().is_some_and(Vec::is_empty), "{joined}");
        for proof in listing(&dir.path().join(&out)) {
            let proof = format!("{out}/{proof}");
            assert_eq!(nanozk(dir.path(), &["verify", "keys/verifier.nanozk", &proof]).code, Some(0), "{proof}");
        }
        let files = fs::read_dir(run.join("parts")).expect("lists").count();
        assert_eq!(files, now.len(), "no unfinished file is left");
        round += 1;
    }
    println!("{kills} provers killed in {round} runs (seed {seed})");
}

#[test]
fn killed_provers_lose_nothing() {
    killed(6, 1);
}

#[test]
#[ignore = "takes minutes"]
fn a_hundred_killed_provers_lose_nothing() {
    killed(100, 2);
}

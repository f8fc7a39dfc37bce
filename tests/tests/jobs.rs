//! Proving as jobs: whatever workers do, in whatever order, a proof comes out or the culprit is named.

use nanozk_plan::format::{self, Kind};
use nanozk_proof::bundle::{Bundle, LayerProof};
use nanozk_proof::verify::{VerifyOptions, verify};
use nanozk_runtime::decoding::Asked;
use nanozk_runtime::jobs::join::{JoinReport, join};
use nanozk_runtime::jobs::prove::{JobsReport, Outcome, Request, Which, prove};
use nanozk_runtime::jobs::split::{self, split};
use nanozk_runtime::jobs::status::status;
use nanozk_runtime::{Silent, hex};
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, NONCE, asked, lenient};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

struct Run {
    fixture: Fixture,
    model: &'static str,
    dir: PathBuf,
}

/// A part as it is written: its job, and the proof.
type Part = ([u8; 32], LayerProof);

impl Run {
    fn new(model: &'static str) -> Self {
        let fixture = Fixture::new(model);
        let run = Run { dir: fixture.dir.path().join("run"), model, fixture };
        run.split("run");
        run
    }

    /// Splits the sample input into the folder `name`, which is the nonce too.
    fn split(&self, name: &str) -> PathBuf {
        let dir = self.fixture.dir.path();
        let request = split::Request {
            keys: dir.join("keys"),
            inputs: vec![model_dir(self.model).join("input.json")],
            prompt: None,
            out: dir.join(name),
            nonce: Some(name.into()),
            strict: false,
        };
        assert_eq!(split(&request, &Silent).unwrap().jobs, self.layers());
        request.out
    }

    fn layers(&self) -> usize {
        self.fixture.key.layers.len()
    }

    fn prove(&self, first: usize, last: usize) -> Result<JobsReport, String> {
        let request = Request { run: self.dir.clone(), which: Which::These(first, last), memory: None };
        prove(&request, &Silent).map_err(|e| e.to_string())
    }

    fn outcome(&self, job: usize) -> Outcome {
        self.prove(job, job).unwrap().jobs[0].outcome
    }

    fn proof(&self) -> PathBuf {
        self.fixture.dir.path().join("proof.nanozk")
    }

    fn join(&self) -> Result<JoinReport, String> {
        join(&self.dir, &self.proof(), &Silent).map_err(|e| e.to_string())
    }
}

fn prove_open(run: &Path) -> JobsReport {
    prove(&Request { run: run.into(), which: Which::Open, memory: None }, &Silent).unwrap()
}

/// A prompt beside an input: its answer, drawn, is the first of the run.
#[test]
fn an_answer_to_a_prompt_is_proven_as_jobs() {
    let fixture = Fixture::language(Some(2.0));
    let (run, proofs) = (fixture.path("run"), fixture.path("proofs"));
    let request = split::Request {
        keys: fixture.path("keys"),
        inputs: vec![model_dir("llama-d64-l2").join("input.json")],
        prompt: Some(Asked { temperature: Some(1.5), ..asked(&[20, 37, 41], 4) }),
        out: run.clone(),
        nonce: Some(NONCE.into()),
        strict: false,
    };
    let report = split(&request, &Silent).unwrap();
    assert_eq!(report.jobs, 2 * fixture.key.layers.len());
    assert_eq!(report.answers.iter().map(|a| &a.name[..]).collect::<Vec<_>>(), [split::PROMPT, "input"]);
    assert!(prove_open(&run).jobs.iter().all(|job| job.outcome == Outcome::Proven));
    assert_eq!(join(&run, &proofs, &Silent).unwrap().error, None);
    let options = VerifyOptions { nonce: Some(NONCE.into()), allow_unsafe_srs: true, ..Default::default() };
    let verdict = |name: &str| verify(&fixture.key, &fixture.bundle(&format!("proofs/{name}.nanozk")), &options);
    let transcript = verdict(split::PROMPT).unwrap().transcript.unwrap();
    assert_eq!((transcript.prompt, transcript.answer.len(), transcript.temperature), (vec![20, 37, 41], 4, 1500));
    assert_eq!(report.answers[0].answer.as_ref().unwrap().tokens, transcript.answer);
    assert!(verdict("input").unwrap().transcript.is_none() && report.answers[1].answer.is_none());

    std::fs::copy(&request.inputs[0], fixture.path("prompt.json")).unwrap();
    let taken = split::Request { inputs: vec![fixture.path("prompt.json")], out: fixture.path("other"), ..request };
    let error = split(&taken, &Silent).unwrap_err().to_string();
    assert!(error.contains("the name \"prompt\" exists already") && error.contains("; give"), "{error}");
}

/// The files of a folder by name.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// The part of each layer, all of which must be proven.
fn parts(run: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<(u32, PathBuf)> = Vec::new();
    for path in files(&run.join("parts")) {
        let (job, proof) = read(&path);
        assert_eq!(path.file_name().unwrap().to_string_lossy(), hex(&job));
        parts.push((proof.index, path));
    }
    parts.sort();
    parts.into_iter().map(|(_, path)| path).collect()
}

fn read(path: &Path) -> Part {
    format::decode(Kind::Part, &std::fs::read(path).unwrap()).unwrap()
}

fn write(path: &Path, part: &Part) {
    std::fs::write(path, format::encode(Kind::Part, part).unwrap()).unwrap();
}

#[test]
fn jobs_in_any_order_make_the_proof() {
    let run = Run::new("llama-d64-l2");
    let last = run.layers() - 1;
    assert_eq!(run.outcome(last), Outcome::Proven);
    assert_eq!(run.outcome(last), Outcome::Done, "a second time");
    let found = run.join().unwrap();
    assert_eq!(found.missing, (0..last).collect::<Vec<_>>());
    assert!(
        found.error.unwrap().cause.contains("no part of jobs 0-") && found.proofs.is_empty() && !run.proof().exists()
    );
    assert_eq!(status(&run.dir).unwrap().open, found.missing);

    let report = prove_open(&run.dir);
    assert_eq!(report.jobs.iter().filter(|job| job.outcome == Outcome::Proven).count(), last);
    assert!(status(&run.dir).unwrap().open.is_empty());
    let found = run.join().unwrap();
    assert!(found.error.is_none() && found.missing.is_empty() && found.wrong.is_empty() && found.foreign.is_empty());
    let bytes = std::fs::read(run.proof()).unwrap();
    let bundle = Bundle::from_bytes(&bytes).unwrap();
    assert_eq!(bundle.nonce, b"run");
    lenient(&run.fixture.key, &bundle).unwrap();
    run.join().unwrap();
    assert_eq!(std::fs::read(run.proof()).unwrap(), bytes, "joined again");

    let error = run.prove(0, last + 1).unwrap_err();
    assert!(error.contains("is not within the jobs") && error.contains("; choose from 0-"), "{error}");
    // Once a proof is out, no other may follow it, whoever loses parts.
    let part = &parts(&run.dir)[0];
    std::fs::remove_file(part).unwrap();
    assert_eq!(run.outcome(0), Outcome::Proven);
    let error = run.join().unwrap_err();
    assert!(error.contains("another proof of answer input was joined before; "), "{error}");
    assert_eq!(std::fs::read(run.proof()).unwrap(), bytes);
}

#[test]
fn the_first_part_stays() {
    let run = Run::new("block-d16-t16");
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| run.outcome(0))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Proven).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|o| *o != Outcome::Busy), "{outcomes:?}");
    assert_eq!(files(&run.dir.join("parts")).len(), 1);
    assert!(run.join().unwrap().error.is_none());
}

#[test]
fn wrong_and_foreign_parts_are_named() {
    let run = Run::new("llama-d64-l2");
    prove_open(&run.dir);
    let stored = parts(&run.dir);
    let honest: Vec<Part> = stored.iter().map(|path| read(path)).collect();
    let other = run.split("other");
    prove_open(&other);
    let stranger = read(&parts(&other)[0]);

    let mut flipped = honest[0].clone();
    let middle = flipped.1.bytes.len() / 2;
    flipped.1.bytes[middle] ^= 1;
    let swapped = (honest[0].0, LayerProof { index: 0, ..honest[1].1.clone() });
    let of_another_run = (honest[0].0, stranger.1.clone());
    for (part, reason) in [
        (flipped, "layer 0: "),
        (swapped, "layer 0: "),
        (of_another_run, "layer 0: "),
        (honest[1].clone(), "foreign"),
        (stranger, "foreign"),
    ] {
        write(&stored[0], &part);
        let found = run.join().unwrap();
        assert_eq!((found.wrong.len(), found.wrong[0].job), (1, 0), "{found:?}");
        assert!(found.wrong[0].reason.contains(reason), "{reason}: {found:?}");
        assert!(found.error.unwrap().cause.starts_with("the part of job 0 is wrong") && !run.proof().exists());
        // It was set aside, so the job is open, and a later join names it as missing.
        assert_eq!(run.join().unwrap().missing, [0]);
    }
    std::fs::write(&stored[0], "rubbish").unwrap();
    std::fs::write(run.dir.join("parts/notes.txt"), "x").unwrap();
    let found = run.join().unwrap();
    assert_eq!((found.wrong.len(), &found.foreign[..]), (1, &["notes.txt".to_string()][..]));
    prove_open(&run.dir);
    let found = run.join().unwrap();
    assert!(found.error.is_none(), "{found:?}");
    assert!(run.dir.join("parts/notes.txt").exists());
}

#[test]
fn files_of_other_runs_are_refused() {
    let run = Run::new("block-d16-t16");
    let other = run.split("other");
    let refused = |path: &Path, content: &[u8], words: &str| {
        let honest = std::fs::read(path).unwrap();
        std::fs::write(path, content).unwrap();
        // What is done is not read again.
        files(&run.dir.join("parts")).iter().for_each(|part| std::fs::remove_file(part).unwrap());
        let error = run.prove(0, run.layers() - 1).unwrap_err();
        assert!(error.contains(words) && error.contains("; "), "{words}: {error}");
        std::fs::write(path, honest).unwrap();
    };
    let job = files(&run.dir.join("jobs")).remove(0);
    let theirs = std::fs::read(&files(&other.join("jobs"))[0]).unwrap();
    refused(&job, &theirs, "changed, or of another run");
    for key in files(&run.dir.join("keys")) {
        let mut changed = std::fs::read(&key).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        refused(&key, &changed, "changed, or of another run");
    }
    let manifest = run.dir.join("run");
    let mut old = std::fs::read(&manifest).unwrap();
    old[8] = 3;
    refused(&manifest, &old, "made by another version (format 3");
    let fixture = Fixture::new("block-d16-t16");
    let foreign = std::fs::read(fixture.dir.path().join("keys/verifier.nanozk")).unwrap();
    prove_open(&run.dir);
    let commitment = run.dir.join("answers/0.commit");
    let honest = std::fs::read(&commitment).unwrap();
    std::fs::write(&commitment, std::fs::read(other.join("answers/0.commit")).unwrap()).unwrap();
    let error = run.join().unwrap_err();
    assert!(error.contains("not the commitment of this run") && error.contains("; copy it again"), "{error}");
    std::fs::write(&commitment, honest).unwrap();
    assert_eq!(files(&run.dir.join("parts")).len(), 1, "no part is blamed");
    std::fs::remove_file(run.dir.join("verifier.nanozk")).unwrap();
    std::fs::write(run.dir.join("verifier.nanozk"), foreign).unwrap();
    let error = run.join().unwrap_err();
    assert!(error.contains("of model") && error.contains("the run is of") && error.contains("; copy"), "{error}");
    let small = Request { run: other, which: Which::Open, memory: Some(1_000_000) };
    let error = prove(&small, &Silent).unwrap_err().to_string();
    assert!(error.contains("--memory allows 1 MB; allow more"), "{error}");
    let empty = Request { run: fixture.dir.path().into(), which: Which::Open, memory: None };
    let error = prove(&empty, &Silent).unwrap_err().to_string();
    assert!(error.contains("no run folder; make it with `nanozk jobs split"), "{error}");
}

/// A copy of a run folder with one job, without the key files that `leave_out` names.
fn worker(run: &Run, to: &Path, job: &Path, leave_out: &[PathBuf]) {
    for sub in ["jobs", "keys", "parts"] {
        std::fs::create_dir_all(to.join(sub)).unwrap();
    }
    let place = |path: &Path| to.join(path.strip_prefix(&run.dir).unwrap());
    let keys = files(&run.dir.join("keys")).into_iter().filter(|key| !leave_out.contains(key));
    for file in keys.chain([job.to_path_buf(), run.dir.join("run"), run.dir.join("srs.bin")]) {
        std::fs::copy(&file, place(&file)).unwrap();
    }
}

#[test]
fn a_job_needs_its_own_files_only() {
    let run = Run::new("llama-d64-l2");
    prove_open(&run.dir);
    let part = parts(&run.dir).remove(1);
    let job = run.dir.join("jobs").join(part.file_name().unwrap());
    std::fs::remove_file(&part).unwrap();
    let dir = run.fixture.dir.path();
    let proven = |to: &Path, leave_out: &[PathBuf]| {
        worker(&run, to, &job, leave_out);
        prove(&Request { run: to.into(), which: Which::These(1, 1), memory: None }, &Silent).is_ok()
    };
    let keys = files(&run.dir.join("keys"));
    let one = |i: usize| proven(&dir.join(format!("without-{i}")), &keys[i..=i]);
    let (needless, needed): (Vec<usize>, Vec<usize>) = (0..keys.len()).partition(|i| one(*i));
    assert_eq!(needed.len(), 2, "its shape and its layer");
    let needless: Vec<PathBuf> = needless.into_iter().map(|i| keys[i].clone()).collect();
    let to = dir.join("with-two");
    assert!(proven(&to, &needless));
    std::fs::copy(&files(&to.join("parts"))[0], &part).unwrap();
    assert!(run.join().unwrap().error.is_none());
}

/// A worker learns the masks of the tensors that its layer reads or writes, and nothing that shows those of others.
#[test]
fn jobs_share_what_their_layers_share() {
    let run = Run::new("llama-d64-l2");
    prove_open(&run.dir);
    let stored = parts(&run.dir);
    // Parts are named after jobs.
    let jobs: Vec<Vec<u8>> =
        stored.iter().map(|p| std::fs::read(run.dir.join("jobs").join(p.file_name().unwrap())).unwrap()).collect();
    let varied = |window: &&[u8]| window.iter().collect::<HashSet<_>>().len() > 20;
    let windows: Vec<HashSet<&[u8]>> = jobs.iter().map(|job| job.windows(32).filter(varied).collect()).collect();
    let hidden = |layer: usize| {
        let key = &run.fixture.key;
        let ids = key.layers[layer].inputs.iter().chain(&key.layers[layer].outputs);
        ids.filter(|id| !key.tensors[**id as usize].visibility.public()).copied().collect::<BTreeSet<u32>>()
    };
    let (mut apart, mut together) = (0, 0);
    for a in 0..jobs.len() {
        for b in 0..a {
            let shared = windows[a].intersection(&windows[b]).count();
            if hidden(a).is_disjoint(&hidden(b)) {
                apart += 1;
                // The prefix, the ids of the shape and the SRS, and what lies around them; no lane's mask of 8 x 32 bytes.
                assert!(shared < 120, "jobs {a} and {b} share {shared} windows");
            } else {
                together += 1;
                assert!(shared > 8 * 32, "jobs {a} and {b} share {shared} windows");
            }
        }
    }
    assert!(apart > 0 && together > 0, "{apart}, {together}");
}

#[cfg(unix)]
#[test]
fn jobs_are_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let run = Run::new("block-d16-t16");
    prove_open(&run.dir);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&run.dir), 0o700);
    for sub in ["jobs", "keys", "parts"] {
        for file in files(&run.dir.join(sub)) {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}

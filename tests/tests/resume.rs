//! Interrupted runs: no mask serves two statements, and a layer that is proven again shares nothing with its first proof.

use nanozk_proof::bundle::{Answer, Bundle};
use nanozk_runtime::commit::Statement;
use nanozk_runtime::keys::ProverKeys;
use nanozk_runtime::prove::{self, Job, ProveReport, Request};
use nanozk_runtime::{Progress, Silent, input};
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, NONCE, lenient};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

/// Crashes when the first layer is proven.
#[derive(Default)]
struct Crash(Mutex<String>);

impl Progress for Crash {
    fn stage(&self, what: &str, _: u64) {
        *self.0.lock().unwrap() = what.into();
    }
    fn step(&self) {
        let proving = *self.0.lock().unwrap() == "proving layers";
        assert!(!proving, "crash");
    }
    fn finish(&self) {}
}

struct Run {
    fixture: Fixture,
    request: Request,
}

impl Run {
    fn new() -> Self {
        let fixture = Fixture::new("llama-d64-l2");
        let request = Request {
            keys: fixture.dir.path().join("keys"),
            input: model_dir("llama-d64-l2").join("input.json"),
            out: fixture.dir.path().join("p.nanozk"),
            nonce: Some(NONCE.to_vec()),
            ..Default::default()
        };
        Run { fixture, request }
    }

    fn work(&self) -> PathBuf {
        self.fixture.dir.path().join("p.nanozk.work")
    }

    fn state(&self) -> Vec<u8> {
        std::fs::read(self.work().join("state")).unwrap()
    }

    /// Layers that are finished, with their files.
    fn finished(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.work()).unwrap().map(|e| e.unwrap());
        let layers = files.filter(|e| e.file_name().to_string_lossy().starts_with("layer-"));
        layers.map(|e| (e.file_name().to_string_lossy().into(), std::fs::read(e.path()).unwrap())).collect()
    }

    /// Runs until some layers are finished.
    fn crash(&self, request: &Request) -> Vec<(String, Vec<u8>)> {
        self.interrupt(|progress| prove::prove(request, progress).is_ok())
    }

    /// The same for any way to prove.
    fn interrupt<T: std::fmt::Debug>(&self, prove: impl FnOnce(&Crash) -> T) -> Vec<(String, Vec<u8>)> {
        catch_unwind(AssertUnwindSafe(|| prove(&Crash::default()))).expect_err("crashes");
        let finished = self.finished();
        assert!(!finished.is_empty() && finished.len() < self.fixture.key.layers.len());
        finished
    }

    fn prove(&self, request: &Request) -> (ProveReport, Bundle) {
        let report = prove::prove(request, &Silent).unwrap();
        let bundle = Bundle::from_bytes(&std::fs::read(&request.out).unwrap()).unwrap();
        lenient(&self.fixture.key, &bundle).unwrap();
        assert!(!self.work().exists());
        (report, bundle)
    }
}

fn windows<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> HashSet<&'a [u8]> {
    parts.into_iter().flat_map(|bytes| bytes.windows(32)).collect()
}

/// Bytes of all layer proofs.
fn layers(bundle: &Bundle) -> HashSet<&[u8]> {
    windows(bundle.layers.iter().map(|l| l.bytes.as_slice()))
}

/// The proofs in files of finished layers, without what any two begin with.
fn proofs(files: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    files.iter().map(|(_, file)| file[60..].to_vec()).collect()
}

#[test]
fn interrupted_runs() {
    let run = Run::new();

    // The same statement goes on, also when the first run was to prove some layers only.
    let some = Request { layers: Some((0, run.fixture.key.layers.len() - 2)), ..run.request.clone() };
    let first = run.crash(&some);
    let (report, bundle) = run.prove(&run.request);
    assert_eq!(report.resumed, first.len());
    let kept = layers(&bundle);
    assert!(first.iter().all(|(_, file)| windows([file.as_slice()]).intersection(&kept).count() > file.len() / 2));

    // A lost layer is proven again under the tensors' masks, with all other randomness fresh.
    let first = run.crash(&run.request);
    let seed = run.state();
    first.iter().for_each(|(name, _)| std::fs::remove_file(run.work().join(name)).unwrap());
    let second = run.crash(&run.request);
    assert_eq!(run.state(), seed, "the same masks of tensors");
    let both: Vec<&String> = first.iter().map(|f| &f.0).filter(|name| second.iter().any(|s| s.0 == **name)).collect();
    assert!(!both.is_empty(), "no layer was proven twice");
    let (first, second) = (proofs(&first), proofs(&second));
    let shared =
        windows(first.iter().map(Vec::as_slice)).intersection(&windows(second.iter().map(Vec::as_slice))).count();
    assert_eq!(shared, 0, "elements that both attempts hold");
}

/// Nothing of an unfinished proof appears in that of another statement.
#[test]
fn another_statement_begins_anew() {
    let run = Run::new();
    let keys = run.fixture.prover();
    let length = keys.artifact.model.tokens;
    let mut input = input::read(&keys.artifact, &run.request.input).unwrap().int;
    // A token as good as padding.
    *input[0].last_mut().unwrap() = 0;
    let mut reversed = input.clone();
    reversed[0].reverse();
    let statement = Statement { input: &input, length, answer: None, nonce: NONCE };
    let answer = Some(Answer { prompt: 1, limit: 1, temperature: 0 });

    let prove = |keys: &ProverKeys, statement, progress: &dyn Progress| {
        let (out, start) = (&run.request.out, Instant::now());
        prove::run(&Job { keys, statement, layers: None, strict: false, memory: None, out, start }, progress).unwrap()
    };
    let another = Fixture::of(run.fixture.artifact.clone()).prover();
    let others = [
        ("model", &another, statement),
        ("nonce", &keys, Statement { nonce: b"another", ..statement }),
        ("input", &keys, Statement { input: &reversed, ..statement }),
        ("length", &keys, Statement { length: length - 1, ..statement }),
        ("answer", &keys, Statement { answer, ..statement }),
    ];
    for (what, other, changed) in others {
        let unfinished = proofs(&run.interrupt(|progress| prove(&keys, statement, progress).resumed));
        assert_eq!(prove(other, changed, &Silent).resumed, 0, "another {what}");
        let bundle = run.fixture.bundle("p.nanozk");
        let shared = windows(unfinished.iter().map(Vec::as_slice)).intersection(&layers(&bundle)).count();
        assert_eq!(shared, 0, "elements of a proof of another {what}");
    }
}

/// A finished layer that is none of the statement's is noticed at the end, and is not tried again.
#[test]
fn layers_that_do_not_verify_are_left() {
    let run = Run::new();
    let first = run.crash(&run.request);
    let other = Request { nonce: Some(b"another".to_vec()), ..run.request.clone() };
    let kept: Vec<String> = run.crash(&other).into_iter().map(|(name, _)| name).collect();
    let moved: Vec<_> = first.iter().filter(|(name, _)| kept.contains(name)).collect();
    assert!(!moved.is_empty(), "no layer was proven twice");
    moved.into_iter().for_each(|(name, file)| std::fs::write(run.work().join(name), file).unwrap());
    let error = prove::prove(&other, &Silent).unwrap_err().to_string();
    assert!(error.contains("does not verify") && !other.out.exists(), "{error}");
    assert_eq!(run.prove(&other).0.resumed, 0);
}

//! Writes `tests/corpus`: the attacks of these tests with the verdicts on them.

use super::common::corpus::{Corpus, Outcome, verdict};
use super::common::{Fixture, compiled, lenient, model_dir};
use super::{CHAIN, Chain, SINGLE};
use nanozk_compiler::config::Head;
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_plan::format::{Kind, seal};
use nanozk_proof::answer::{Answer, Writer};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::srs::{EMBEDDED_K, Srs};
use nanozk_runtime::answer::Prompt;
use nanozk_runtime::prove::{self, Job, Statement};
use nanozk_runtime::storage::KeyDir;
use nanozk_runtime::{Silent, generate, keys};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::sync::Mutex;
use std::time::Instant;

/// Bits of a proof that are flipped.
const FLIPS: u64 = 2000;

/// Tokens of the prompt, and of the answer to it.
const PROMPT: [u32; 5] = [20, 37, 41, 50, 9];
const LIMIT: u32 = 6;

/// The corpus while it is written.
static CORPUS: Mutex<Option<Corpus>> = Mutex::new(None);

/// Notes a verdict, if the corpus is being written.
pub fn note(name: &str, key: &VerifierKey, bundle: &Bundle, outcome: impl Into<Outcome>) {
    if let Some(corpus) = &mut *CORPUS.lock().unwrap() {
        corpus.note(name, &key.to_bytes().unwrap(), &bundle.to_bytes().unwrap(), outcome.into());
    }
}

/// A model under an SRS whose secret somebody may know, with a proof.
fn under_unsafe_srs() -> (Fixture, Bundle) {
    let srs = Srs::generate_unsafe(EMBEDDED_K, &mut ChaCha20Rng::seed_from_u64(6)).unwrap();
    let fixture = Fixture::under(compiled("block-d16-t16"), Some(&srs));
    let bundle = fixture.prove(&model_dir("block-d16-t16").join("input.json"));
    (fixture, bundle)
}

/// A language model with an answer, and with a proof of the same run that claims too short an answer.
fn answered() -> (Fixture, Bundle, Bundle) {
    let source = model_dir("llama-d64-l2");
    let options =
        CompileOptions { data: vec![source.join("input.json")], head: Some(Head::Argmax), ..Default::default() };
    let fixture = Fixture::of(compile(&source.join("network.onnx"), &options, &|_| {}).unwrap());
    let out = fixture.dir.path().join("answer.nanozk");
    let request = generate::Request {
        keys: fixture.dir.path().join("keys"),
        prompt: Prompt::Tokens(PROMPT.to_vec()),
        max_new: LIMIT,
        tokenizer: None,
        out: out.clone(),
        nonce: None,
        strict: false,
    };
    generate::generate(&request, &Silent).unwrap();
    let read = || Bundle::from_bytes(&std::fs::read(&out).unwrap()).unwrap();
    let honest = read();
    let prover = keys::read(&KeyDir::new(fixture.dir.path().join("keys"))).unwrap();
    let tokens = honest.public(Writer::of(&fixture.key).unwrap().input).unwrap().to_vec();
    let answer = Answer { prompt: PROMPT.len() as u32, limit: LIMIT + 1 };
    let statement = Statement { input: &[tokens], length: honest.length, answer: Some(answer) };
    let start = Instant::now();
    let job = Job { keys: &prover, statement, layers: None, nonce: None, strict: false, out: &out, start };
    prove::run(&job, &Silent).unwrap();
    (fixture, honest, read())
}

#[test]
#[ignore = "writes tests/corpus"]
fn write_the_corpus() {
    let mut corpus = Corpus::default();
    let (single, honest) = &*SINGLE;
    let Chain { fixture, first, again, other } = &*CHAIN;
    let (untrusted, forgeable) = under_unsafe_srs();
    let (writer, answer, unfinished) = answered();
    let kept: [(&str, &VerifierKey, &Bundle); 4] = [
        ("single", &single.key, honest),
        ("chain", &fixture.key, first),
        ("unsafe", &untrusted.key, &forgeable),
        ("answer", &writer.key, &answer),
    ];
    for (name, key, bundle) in kept {
        corpus.keep(&format!("{name}.verifier"), &key.to_bytes().unwrap());
        corpus.keep(&format!("{name}.proof"), &bundle.to_bytes().unwrap());
    }
    corpus.keep("chain-again.proof", &again.to_bytes().unwrap());
    corpus.keep("chain-other.proof", &other.to_bytes().unwrap());
    *CORPUS.lock().unwrap() = Some(corpus);

    for (name, key, bundle) in kept.into_iter().chain([("again", &fixture.key, again), ("other", &fixture.key, other)])
    {
        lenient(key, bundle).unwrap();
        note(&format!("honest {name}"), key, bundle, Outcome::default());
    }
    for claim in [None, Some(Answer { prompt: 4, limit: LIMIT + 1 }), Some(Answer { prompt: 5, limit: LIMIT + 1 })] {
        let bundle = Bundle { answer: claim, ..answer.clone() };
        note("answers: another claim", &writer.key, &bundle, writer.verdict(&bundle).unwrap_err());
    }
    note("answers: unfinished", &writer.key, &unfinished, writer.verdict(&unfinished).unwrap_err());
    super::public_fields();
    super::public_values_out_of_range();
    super::commitments();
    super::layers();
    super::a_dropped_layer_is_never_full();
    super::some_bytes_flipped();
    super::truncated_and_extended();
    super::invalid_elements();
    super::verifier_files();

    let mut corpus = CORPUS.lock().unwrap().take().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let payload = corpus.payload("single.proof").to_vec();
    for _ in 0..FLIPS {
        let (at, bit) = ((rng.next_u64() % payload.len() as u64) as usize, (rng.next_u32() % 8) as u8);
        let mut forged = payload.clone();
        forged[at] ^= 1 << bit;
        corpus.flips.note(at, bit, verdict(&single.key, &seal(Kind::Proof, &forged)));
    }
    corpus.write();
}

//! An answer is the model's: of the tokens that a proof shows, those behind the prompt are its choices, all of them.

mod common;

use common::{Fixture, compiled, model_dir, partial};
use nanozk_compiler::config::Head;
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_proof::answer::{Answer, AnswerError, Ended, Transcript, Writer};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::verify::VerifyError;
use nanozk_runtime::answer::Prompt;
use nanozk_runtime::commit::Statement;
use nanozk_runtime::keys::{self, ProverKeys};
use nanozk_runtime::prove::{self, Job};
use nanozk_runtime::storage::KeyDir;
use nanozk_runtime::{Silent, generate, verify};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

/// Tokens of the prompt.
const PROMPT: [u32; 5] = [20, 37, 41, 50, 9];
/// Tokens of the answer.
const LIMIT: u32 = 6;

/// A language model with its keys and an honest answer.
struct Answered {
    fixture: Fixture,
    keys: ProverKeys,
    bundle: Bundle,
    transcript: Transcript,
}

static HONEST: LazyLock<Answered> = LazyLock::new(|| {
    let source = model_dir("llama-d64-l2");
    let options =
        CompileOptions { data: vec![source.join("input.json")], head: Some(Head::Argmax), ..Default::default() };
    let fixture = Fixture::of(compile(&source.join("network.onnx"), &options, &|_| {}).unwrap());
    let keys = keys::read(&KeyDir::new(fixture.dir.path().join("keys"))).unwrap();
    let out = fixture.dir.path().join("answer.nanozk");
    let request = generate::Request {
        keys: fixture.dir.path().join("keys"),
        prompt: Prompt::Tokens(PROMPT.to_vec()),
        max_new: LIMIT,
        temperature: None,
        tokenizer: None,
        out: out.clone(),
        nonce: None,
        strict: false,
        memory: None,
    };
    let report = generate::generate(&request, &Silent).unwrap();
    let bundle = Bundle::from_bytes(&std::fs::read(out).unwrap()).unwrap();
    let transcript = fixture.verdict(&bundle).unwrap().transcript.unwrap();
    assert_eq!(report.answer.tokens, transcript.answer);
    Answered { fixture, keys, bundle, transcript }
});

impl Answered {
    /// What the model read.
    fn read(&self) -> Vec<i64> {
        let input = Writer::of(&self.fixture.key).unwrap().input;
        self.bundle.public(input).unwrap().to_vec()
    }

    /// A proof by a provider who lets the model read `tokens`, of which `length` are true, and claims `answer`.
    fn claimed(&self, name: &str, tokens: Vec<i64>, length: u32, answer: Answer) -> (PathBuf, Bundle) {
        let out = self.fixture.dir.path().join(name);
        let statement = Statement { input: &[tokens], length, answer: Some(answer), nonce: &[] };
        let (keys, start) = (&self.keys, Instant::now());
        let job = Job { keys, statement, layers: None, strict: false, memory: None, out: &out, start };
        prove::run(&job, &Silent).unwrap();
        let bundle = Bundle::from_bytes(&std::fs::read(&out).unwrap()).unwrap();
        partial(&self.fixture.key, &bundle).expect("all layers are proven honestly");
        (out, bundle)
    }

    fn refused(&self, bundle: &Bundle) -> AnswerError {
        match self.fixture.verdict(bundle) {
            Err(VerifyError::Answer(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    /// The transcript that a claim about the honest run has.
    fn read_as(
        &self,
        prompt: u32,
        limit: u32,
        change: impl FnOnce(&mut VerifierKey),
    ) -> Result<Transcript, AnswerError> {
        let mut key = self.fixture.key.clone();
        change(&mut key);
        Answer { prompt, limit, temperature: 0 }.transcript(&key, &self.bundle)
    }
}

#[test]
fn an_honest_answer_is_shown() {
    let honest = &*HONEST;
    let Transcript { prompt, answer, ended, .. } = &honest.transcript;
    assert_eq!((&prompt[..], answer.len(), *ended), (&PROMPT[..], LIMIT as usize, Ended::Limit));
    let read = honest.read();
    let written: Vec<u32> = read[PROMPT.len()..honest.bundle.length as usize].iter().map(|t| *t as u32).collect();
    assert_eq!(written, answer[..answer.len() - 1]);
}

/// Cheats that go through the prover: it proves what the model did, and the answer is another one.
#[test]
fn a_changed_token_is_noticed() {
    let honest = &*HONEST;
    let mut tokens = honest.read();
    let at = PROMPT.len() + 1;
    tokens[at] = (tokens[at] + 1) % 60;
    let (_, bundle) =
        honest.claimed("changed", tokens, honest.bundle.length, Answer { prompt: 5, limit: LIMIT, temperature: 0 });
    assert!(matches!(honest.refused(&bundle), AnswerError::Choice { at: found, .. } if found == at));
}

#[test]
fn a_dropped_token_is_noticed() {
    let honest = &*HONEST;
    let (mut tokens, length) = (honest.read(), honest.bundle.length - 1);
    tokens[length as usize] = 0;
    let (_, bundle) = honest.claimed("dropped", tokens, length, Answer { prompt: 5, limit: LIMIT, temperature: 0 });
    assert_eq!(honest.refused(&bundle), AnswerError::Unfinished { tokens: LIMIT - 1, limit: LIMIT });
}

#[test]
fn another_prompt_is_noticed_by_who_sent_one() {
    let honest = &*HONEST;
    let mut prompt = PROMPT;
    prompt[0] += 1;
    let out = honest.fixture.dir.path().join("other.nanozk");
    let request = generate::Request {
        keys: honest.fixture.dir.path().join("keys"),
        prompt: Prompt::Tokens(prompt.to_vec()),
        max_new: LIMIT,
        temperature: None,
        tokenizer: None,
        out: out.clone(),
        nonce: None,
        strict: false,
        memory: None,
    };
    generate::generate(&request, &Silent).unwrap();
    let verdict = |prompt: &[u32], max_new| {
        let mut request = verify::Request {
            verifier: honest.fixture.dir.path().join("keys/verifier.nanozk"),
            proof: out.clone(),
            prompt: Some(Prompt::Tokens(prompt.to_vec())),
            max_new: Some(max_new),
            ..Default::default()
        };
        request.options.allow_unsafe_srs = true;
        verify::verify(&request).unwrap()
    };
    assert!(verdict(&prompt, LIMIT).verified);
    for (what, report) in [("prompt", verdict(&PROMPT, LIMIT)), ("limit", verdict(&prompt, LIMIT + 1))] {
        assert!(!report.verified && report.answer.is_none(), "{what}");
        assert!(report.error.as_ref().is_some_and(|error| error.contains(what)), "{:?}", report.error);
    }
}

/// The claim is part of what every layer proof is bound to.
#[test]
fn a_claim_is_bound_to_its_proof() {
    let honest = &*HONEST;
    for answer in [
        None,
        Some(Answer { prompt: 4, limit: LIMIT + 1, temperature: 0 }),
        Some(Answer { prompt: 5, limit: LIMIT + 1, temperature: 0 }),
    ] {
        let bundle = Bundle { answer, ..honest.bundle.clone() };
        assert!(matches!(honest.fixture.verdict(&bundle), Err(VerifyError::Layer { .. })), "{answer:?}");
    }
}

#[test]
fn claims_that_do_not_fit_the_run() {
    let honest = &*HONEST;
    let length = honest.bundle.length;
    let same = |_: &mut VerifierKey| ();
    assert_eq!(honest.read_as(5, LIMIT, same).as_ref(), Ok(&honest.transcript));
    assert_eq!(honest.read_as(0, LIMIT, same), Err(AnswerError::Prompt { prompt: 0, length }));
    assert_eq!(honest.read_as(length + 1, 1, same), Err(AnswerError::Prompt { prompt: length + 1, length }));
    assert_eq!(honest.read_as(5, LIMIT - 1, same), Err(AnswerError::TooLong { tokens: LIMIT, limit: LIMIT - 1 }));
    // The prompt was not chosen by the model.
    assert!(matches!(honest.read_as(2, 20, same), Err(AnswerError::Choice { .. })));
}

#[test]
fn a_token_that_ends_an_answer_is_its_last() {
    let honest = &*HONEST;
    let answer = &honest.transcript.answer;
    let ending = |token: u32| move |key: &mut VerifierKey| key.text.end = vec![token];
    assert_eq!(honest.read_as(5, LIMIT, ending(answer[0])), Err(AnswerError::BeyondEnd { at: 5 }));
    let last = answer[answer.len() - 1];
    if !answer[..answer.len() - 1].contains(&last) {
        assert_eq!(honest.read_as(5, LIMIT + 1, ending(last)).unwrap().ended, Ended::EndOfSequence);
    }
    assert!(matches!(honest.read_as(5, LIMIT + 1, |_| ()), Err(AnswerError::Unfinished { .. })));
}

/// Generating stops at that token, and at the model's length.
#[test]
fn answers_end() {
    let honest = &*HONEST;
    let tokens = honest.fixture.key.tokens;
    let end = honest.transcript.answer[0];
    let mut artifact = honest.fixture.artifact.clone();
    artifact.text.end = vec![end];
    let ended = Fixture::of(artifact);
    let ask = |fixture: &Fixture, prompt: Vec<u32>| {
        let request = generate::Request {
            keys: fixture.dir.path().join("keys"),
            prompt: Prompt::Tokens(prompt),
            max_new: 100,
            temperature: None,
            tokenizer: None,
            out: fixture.dir.path().join("ended.nanozk"),
            nonce: None,
            strict: false,
            memory: None,
        };
        let answer = generate::generate(&request, &Silent).unwrap().answer;
        let bundle = Bundle::from_bytes(&std::fs::read(&request.out).unwrap()).unwrap();
        assert_eq!(fixture.verdict(&bundle).unwrap().transcript.unwrap().answer, answer.tokens);
        (answer.tokens, answer.ended)
    };
    assert_eq!(ask(&ended, PROMPT.to_vec()), (vec![end], Ended::EndOfSequence));
    let (answer, why) = ask(&honest.fixture, vec![9; tokens as usize - 1]);
    assert_eq!((answer.len(), why), (2, Ended::Context));
    assert_eq!(ask(&honest.fixture, vec![9; tokens as usize]).0.len(), 1);
}

#[test]
fn models_that_write_no_answers() {
    let logits = Fixture::of(compiled("llama-d64-l2"));
    assert!(Writer::of(&logits.key).unwrap_err().to_string().contains("index of the greatest score"));
    let mut hidden = HONEST.fixture.key.clone();
    hidden.inputs.push(hidden.inputs[0].clone());
    assert!(Writer::of(&hidden).unwrap_err().to_string().contains("one input"));
    let mut full = HONEST.fixture.key.clone();
    full.tensors[full.inputs[0].tensor as usize].rows = nanozk_proof::keys::Rows::Full;
    assert!(Writer::of(&full).unwrap_err().to_string().contains("public tokens"));
}

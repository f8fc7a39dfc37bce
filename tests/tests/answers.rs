//! An answer is the model's: of the tokens that a proof shows, those behind the prompt are its choices, all of them.

use nanozk_compiler::config::Head;
use nanozk_compiler::onnx::Onnx;
use nanozk_compiler::pipeline::{CompileOptions, compile};
use nanozk_ir::int::{Op, ops};
use nanozk_plan::{ElementMap, ElementType, ValueInfo};
use nanozk_proof::answer::{AnswerError, Ended, Fixed, Transcript, Writer};
use nanozk_proof::bundle::{Answer, Bundle};
use nanozk_proof::circuits::Circuits;
use nanozk_proof::keys::{Endpoint, Rows, TensorKey, VerifierKey, Visibility};
use nanozk_proof::verify::VerifyError;
use nanozk_runtime::answer::Prompt;
use nanozk_runtime::commit::Statement;
use nanozk_runtime::keys::ProverKeys;
use nanozk_runtime::verify;
use nanozk_tests::fixture::{Fixture, asked, compiled, partial};
use nanozk_tests::slow;
use std::sync::LazyLock;

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
    let fixture = Fixture::language(None);
    let (report, bundle) = fixture.answer("answer.nanozk", asked(&PROMPT, LIMIT), None).unwrap();
    let transcript = fixture.verdict(&bundle).unwrap().transcript.unwrap();
    assert_eq!(report.tokens, transcript.answer);
    Answered { keys: fixture.prover(), fixture, bundle, transcript }
});

impl Answered {
    /// What the model read.
    fn read(&self) -> Vec<i64> {
        let input = Writer::of(&self.fixture.key).unwrap().input;
        self.bundle.public(input).unwrap().to_vec()
    }

    /// A proof by a provider who lets the model read `tokens`, of which `length` are true, and claims `answer`.
    fn claimed(&self, name: &str, tokens: Vec<i64>, length: u32, answer: Answer) -> Bundle {
        let statement = Statement { input: &[tokens], length, answer: Some(answer), nonce: &[] };
        let bundle = self.fixture.claim(&self.keys, name, statement).unwrap();
        partial(&self.fixture.key, &bundle).expect("all layers are proven honestly");
        bundle
    }

    fn refused(&self, bundle: &Bundle) -> AnswerError {
        assert!(slow::verify(&self.fixture.key, bundle).is_err(), "accepted by the slow verifier");
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
    slow::verify(&honest.fixture.key, &honest.bundle).unwrap();
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
    let bundle =
        honest.claimed("changed", tokens, honest.bundle.length, Answer { prompt: 5, limit: LIMIT, temperature: 0 });
    assert!(matches!(honest.refused(&bundle), AnswerError::Choice { at: found, .. } if found == at));
}

#[test]
fn a_dropped_token_is_noticed() {
    let honest = &*HONEST;
    let (mut tokens, length) = (honest.read(), honest.bundle.length - 1);
    tokens[length as usize] = 0;
    let bundle = honest.claimed("dropped", tokens, length, Answer { prompt: 5, limit: LIMIT, temperature: 0 });
    assert_eq!(honest.refused(&bundle), AnswerError::Unfinished { tokens: LIMIT - 1, limit: LIMIT });
}

#[test]
fn another_prompt_is_noticed_by_who_sent_one() {
    let honest = &*HONEST;
    let mut prompt = PROMPT;
    prompt[0] += 1;
    honest.fixture.answer("other.nanozk", asked(&prompt, LIMIT), None).unwrap();
    let verdict = |prompt: &[u32], max_new| {
        let mut request = verify::Request {
            verifier: honest.fixture.path("keys/verifier.nanozk"),
            proof: honest.fixture.path("other.nanozk"),
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
        assert!(report.error.as_ref().is_some_and(|error| error.to_string().contains(what)), "{:?}", report.error);
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
    let ask = |fixture: &Fixture, prompt: &[u32]| {
        let (report, bundle) = fixture.answer("ended.nanozk", asked(prompt, 100), None).unwrap();
        assert_eq!(fixture.verdict(&bundle).unwrap().transcript.unwrap().answer, report.tokens);
        (report.tokens, report.ended)
    };
    assert_eq!(ask(&ended, &PROMPT), (vec![end], Ended::EndOfSequence));
    let (answer, why) = ask(&honest.fixture, &vec![9; tokens as usize - 1]);
    assert_eq!((answer.len(), why), (2, Ended::Context));
    assert_eq!(ask(&honest.fixture, &vec![9; tokens as usize]).0.len(), 1);
}

/// A model that looks its next token up, by a token and its place.
fn with_positions() -> Fixture {
    const T: usize = 6;
    let random = |n: usize, seed: usize| -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed) * 2_654_435_761 % 1009) as f32 / 504.5 - 1.0).collect()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = Onnx::default()
        .whole_input("input_ids", &[1, T])
        .whole_input("position_ids", &[1, T])
        .constant("table", &[11, 8], &random(11 * 8, 1))
        .constant("of_places", &[T, 8], &random(T * 8, 2))
        .constant("head", &[8, 11], &random(8 * 11, 3))
        .node("Gather", &["table", "input_ids"], "tokens", &[])
        .node("Gather", &["of_places", "position_ids"], "places", &[])
        .node("Add", &["tokens", "places"], "sum", &[])
        .node("MatMul", &["sum", "head"], "logits", &[])
        .output("logits", &[1, T, 11])
        .write(dir.path())
        .unwrap();
    let options = CompileOptions { head: Some(Head::Argmax), ..Default::default() };
    Fixture::of(compile(&path, &options, &|_| {}).unwrap())
}

/// Inputs beside the tokens are what an answer has: a proof of other positions is of no answer.
#[test]
fn positions_count_from_0() {
    let fixture = with_positions();
    let (report, honest) = fixture.answer("honest.nanozk", asked(&[3, 10], 3), None).unwrap();
    assert_eq!(fixture.verdict(&honest).unwrap().transcript.unwrap().answer, report.tokens);

    let writer = Writer::of(&fixture.key).unwrap();
    let [(positions, Fixed::Positions)] = writer.fixed[..] else { panic!("{writer:?}") };
    let order = |tokens: Vec<i64>, places: Vec<i64>| {
        let mut input = [tokens, places];
        if fixture.artifact.model.inputs[0] == positions {
            input.reverse();
        }
        input
    };
    // The same length, tokens that this model gives when every token is at place 0.
    let mut read = vec![3, 10];
    while read.len() < 4 {
        let mut padded = read.clone();
        padded.resize(6, 0);
        let values = nanozk_ir::int::interp::run_model(&fixture.artifact.model, &order(padded, vec![0; 6])).unwrap();
        read.push(values[writer.output as usize][read.len() - 1]);
    }
    read.resize(6, 0);
    let answer = Some(Answer { prompt: 2, limit: 3, temperature: 0 });
    let statement = Statement { input: &order(read, vec![0; 6]), length: 4, answer, nonce: &[] };
    let forged = fixture.claim(&fixture.prover(), "forged.nanozk", statement).unwrap();
    partial(&fixture.key, &forged).expect("all layers are proven honestly");
    let verdict = fixture.verdict(&forged);
    assert!(
        matches!(&verdict, Err(VerifyError::Answer(AnswerError::Input { name })) if name == "position_ids"),
        "{verdict:?}"
    );
}

#[test]
fn a_mask_hides_no_token() {
    let mut key = HONEST.fixture.key.clone();
    let mut mask = key.tensors[key.inputs[0].tensor as usize].clone();
    (mask.rows, mask.features, mask.lo, mask.hi) = (Rows::Equal, key.tokens, 0, 1);
    let id = key.tensors.len() as u32;
    key.inputs.push(Endpoint { tensor: id, ..key.inputs[0].clone() });
    key.tensors.push(mask);
    let mut bundle = HONEST.bundle.clone();
    let mut verdict = |values: Vec<i64>| {
        bundle.public.retain(|tensor| tensor.tensor != id);
        bundle.public.push(nanozk_proof::bundle::PublicTensor { tensor: id, values });
        HONEST.bundle.answer.unwrap().transcript(&key, &bundle)
    };
    let tokens = key.tokens as usize;
    assert_eq!(verdict(vec![1; tokens * tokens]).as_ref(), Ok(&HONEST.transcript));
    let mut hiding = vec![1; tokens * tokens];
    hiding.iter_mut().step_by(tokens).for_each(|hidden| *hidden = 0);
    assert!(matches!(verdict(hiding), Err(AnswerError::Input { .. })));
}

#[test]
fn models_that_write_no_answers() {
    let logits = Fixture::of(compiled("llama-d64-l2"));
    assert!(Writer::of(&logits.key).unwrap_err().to_string().contains("index of the greatest score"));
    let mut hidden = HONEST.fixture.key.clone();
    hidden.inputs.push(hidden.inputs[0].clone());
    assert!(Writer::of(&hidden).unwrap_err().to_string().contains("its inputs must be tokens"));
    let mut full = HONEST.fixture.key.clone();
    full.tensors[full.inputs[0].tensor as usize].rows = Rows::Full;
    assert!(Writer::of(&full).unwrap_err().to_string().contains("its inputs must be tokens"));
}

/// Changes an input.
type Beside<'a> = &'a dyn Fn(&mut TensorKey, &mut Endpoint);

/// What the tokens, the mask, the positions and the chosen indices of a writer must be, one thing changed at a time.
#[test]
fn models_that_nearly_write_answers() {
    let honest = &HONEST.fixture.key;
    let refused = |words: &str, change: &dyn Fn(&mut VerifierKey)| {
        let mut key = honest.clone();
        change(&mut key);
        let error = Writer::of(&key).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    };
    let (inputs, output) = ("its inputs must be", "index of the greatest score");
    let ends = [(inputs, honest.inputs[0].tensor as usize), (output, honest.outputs[0].tensor as usize)];
    for (words, tensor) in ends {
        refused(words, &|key| key.tensors[tensor].scale = 2.0);
        refused(words, &|key| key.tensors[tensor].features = 2);
        refused(words, &|key| key.tensors[tensor].lo = -1);
        refused(words, &|key| key.tensors[tensor].hi = 1 << 32);
        refused(words, &|key| key.tensors[tensor].visibility = Visibility::Internal);
    }
    for at in [inputs, output] {
        let end = |key: &mut VerifierKey, change: &dyn Fn(&mut ValueInfo)| {
            change(&mut if at == inputs { &mut key.inputs } else { &mut key.outputs }[0].value);
        };
        refused(at, &|key| end(key, &|value| value.dtype = ElementType::Float32));
        let reversed = (0..honest.tokens).rev().collect();
        refused(at, &|key| end(key, &|value| value.map = ElementMap::List(Vec::clone(&reversed))));
    }
    // Inputs beside the tokens.
    let beside = |key: &mut VerifierKey, change: Beside| {
        let (mut spec, mut end) = (key.tensors[key.inputs[0].tensor as usize].clone(), key.inputs[0].clone());
        end.tensor = key.tensors.len() as u32;
        change(&mut spec, &mut end);
        key.tensors.push(spec);
        key.inputs.push(end);
    };
    let mask = |spec: &mut TensorKey| {
        (spec.rows, spec.features, spec.lo, spec.hi) = (Rows::Equal, honest.tokens, 0, 1);
    };
    let mut masked = honest.clone();
    beside(&mut masked, &|spec, _| mask(spec));
    beside(&mut masked, &|_, end| end.value.name = "position_ids".into());
    assert_eq!(Writer::of(&masked).unwrap().fixed.len(), 2);
    let wrong: [Beside; 4] = [
        &|spec, _| {
            mask(spec);
            spec.features += 1;
        },
        &|spec, _| {
            mask(spec);
            spec.hi = 2;
        },
        &|spec, end| {
            end.value.name = "position_ids".into();
            spec.scale = 2.0;
        },
        &|spec, _| spec.visibility = Visibility::PrivateInput,
    ];
    wrong.iter().for_each(|change| refused(inputs, &|key| beside(key, change)));
    // Graphs.
    let graphs = |key: &mut VerifierKey, change: &dyn Fn(&mut Op)| {
        let mut circuits = key.circuits.read().unwrap();
        circuits.iter_mut().flat_map(|circuit| &mut circuit.graph.nodes).for_each(|node| change(&mut node.op));
        key.circuits = Circuits::new(&circuits).unwrap();
    };
    refused("see those that follow", &|key| {
        graphs(key, &|op| {
            if let Op::Attend(ops::Attend { causal, .. }) = op {
                *causal = false;
            }
        });
    });
    refused(output, &|key| {
        graphs(key, &|op| {
            if let Op::ArgMax(ops::ArgMax { groups, .. }) = op {
                *groups = 2;
            }
        });
    });
    refused(output, &|key| {
        graphs(key, &|op| {
            if let Op::ArgMax(ops::ArgMax { limbs, .. }) = *op {
                *op = Op::Range(ops::Range { limbs });
            }
        });
    });
    refused("one output", &|key| key.outputs.push(key.outputs[0].clone()));
    refused("an input of tokens", &|key| key.inputs.clear());
}

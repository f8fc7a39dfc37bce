//! An answer that is drawn at a temperature: the noise is the one that model, nonce and prompt lead to, and nobody's choice.

use ff::PrimeField;
use nanozk_audit::{Challenge, Digest, Policy, Randomness, Weights, plan};
use nanozk_ir::int::{Graph, Op, ops};
use nanozk_proof::answer::{AnswerError, Writer};
use nanozk_proof::bundle::{Answer, Bundle, LayerProof};
use nanozk_proof::circuits::{Circuit, Circuits};
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::sampling::{self, Noise};
use nanozk_proof::verify::{VerifyError, VerifyOptions, verify as verify_all, verify_audited};
use nanozk_runtime::answer::Prompt;
use nanozk_runtime::audit::files;
use nanozk_runtime::commit::Statement;
use nanozk_runtime::decoding::Asked;
use nanozk_runtime::keys::ProverKeys;
use nanozk_runtime::verify;
use nanozk_tests::fixture::{Fixture, NONCE, asked};
use nanozk_tests::slow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

const PROMPT: [u32; 3] = [20, 37, 41];
const LIMIT: u32 = 5;
/// In thousandths.
const TEMPERATURE: u32 = 1500;

struct Drawn {
    fixture: Fixture,
    keys: ProverKeys,
    bundle: Bundle,
}

static HONEST: LazyLock<Drawn> = LazyLock::new(|| {
    let fixture = Fixture::language(Some(2.0));
    let bundle = answer(&fixture, Some(1.5), Some(NONCE)).unwrap();
    Drawn { keys: fixture.prover(), fixture, bundle }
});

fn answer(fixture: &Fixture, temperature: Option<f64>, nonce: Option<&[u8]>) -> Result<Bundle, String> {
    let asked = Asked { temperature, ..asked(&PROMPT, LIMIT) };
    Ok(fixture.answer(&format!("{temperature:?} {nonce:?}"), asked, nonce)?.1)
}

fn verdict(key: &VerifierKey, bundle: &Bundle, nonce: Option<&[u8]>) -> Result<(Vec<u32>, u32), VerifyError> {
    let options = VerifyOptions { allow_unsafe_srs: true, nonce: nonce.map(<[u8]>::to_vec), ..Default::default() };
    verify_all(key, bundle, &options)
        .map(|verdict| verdict.transcript.map(|t| (t.answer, t.temperature)).unwrap_or_default())
}

impl Drawn {
    fn verdict(&self, bundle: &Bundle) -> Result<(Vec<u32>, u32), VerifyError> {
        verdict(&self.fixture.key, bundle, Some(NONCE))
    }

    fn noise(&self, nonce: &[u8], prompt: &[u32], temperature: u32) -> Noise {
        let key = &self.fixture.key;
        let tensor = &key.tensors[sampling::tensor(key).unwrap() as usize];
        Noise::new(&key.model_id(), tensor, nonce, prompt, temperature)
    }

    /// The answer that a provider writes with noise of its own, proven and claimed as the honest one is.
    fn forged(&self, name: &str, noise: impl Fn(usize) -> Vec<i64>) -> Result<Bundle, String> {
        let (model, writer) = (&self.keys.artifact.model, Writer::of(&self.fixture.key).unwrap());
        let (tokens, features) = (model.tokens as usize, noise(0).len());
        let (mut read, mut added): (Vec<i64>, _) = (PROMPT.map(i64::from).to_vec(), vec![0; tokens * features]);
        let end = PROMPT.len() + LIMIT as usize - 1;
        loop {
            let at = read.len() - 1;
            added[at * features..(at + 1) * features].copy_from_slice(&noise(at));
            let mut padded = read.clone();
            padded.resize(tokens, 0);
            let input = [padded, added.clone()];
            if read.len() == end {
                return self.proven(name, &input);
            }
            let values = nanozk_ir::int::interp::run_model(model, &input).unwrap();
            read.push(values[writer.output as usize][at]);
        }
    }

    fn proven(&self, name: &str, input: &[Vec<i64>]) -> Result<Bundle, String> {
        let (prompt, length) = (PROMPT.len() as u32, PROMPT.len() as u32 + LIMIT - 1);
        let claim = Answer { prompt, limit: LIMIT, temperature: TEMPERATURE };
        let statement = Statement { input, length, answer: Some(claim), nonce: NONCE };
        self.fixture.claim(&self.keys, name, statement)
    }
}

#[test]
fn an_honest_draw_is_shown() {
    let honest = &*HONEST;
    let (answer, temperature) = honest.verdict(&honest.bundle).unwrap();
    assert_eq!((answer.len(), temperature), (LIMIT as usize, TEMPERATURE));
    slow::verify(&honest.fixture.key, &honest.bundle).unwrap();
    let noise = sampling::tensor(&honest.fixture.key).unwrap();
    assert_eq!(honest.bundle.public(noise), Some(&[][..]), "the file holds no noise");
    let drawn = honest.noise(NONCE, &PROMPT, TEMPERATURE);
    let again = honest.forged("honest noise", |t| drawn.row(t)).expect("noise of the protocol");
    assert_eq!(honest.verdict(&again).unwrap().0, answer);
}

/// Noise of another seed, and none: the provider's own check fails, which is the verifier's.
#[test]
fn nobody_chooses_the_noise() {
    let honest = &*HONEST;
    let width = honest.noise(NONCE, &PROMPT, TEMPERATURE).features();
    let other = |nonce: &[u8], prompt: &[u32], temperature| {
        let noise = honest.noise(nonce, prompt, temperature);
        honest.forged("other noise", |t| noise.row(t))
    };
    let greedy = honest.forged("no noise", |_| vec![0; width]);
    let once_more = other(b"another", &PROMPT, TEMPERATURE);
    for forged in [greedy, once_more, other(NONCE, &[20, 37, 42], TEMPERATURE), other(NONCE, &PROMPT, TEMPERATURE + 1)]
    {
        assert!(forged.unwrap_err().contains("does not verify"));
    }
}

#[test]
fn claims_are_bound_to_the_noise() {
    let honest = &*HONEST;
    let claim = honest.bundle.answer.unwrap();
    for answer in [None, Some(Answer { temperature: 0, ..claim }), Some(Answer { temperature: 1501, ..claim })] {
        let bundle = Bundle { answer, ..honest.bundle.clone() };
        assert!(matches!(honest.verdict(&bundle), Err(VerifyError::Layer { .. })), "{answer:?}");
        assert!(slow::verify(&honest.fixture.key, &bundle).is_err(), "{answer:?}");
    }
    for prompt in [0, honest.bundle.length + 1, u32::MAX] {
        let bundle = Bundle { answer: Some(Answer { prompt, ..claim }), ..honest.bundle.clone() };
        assert!(honest.verdict(&bundle).is_err() && slow::verify(&honest.fixture.key, &bundle).is_err(), "{prompt}");
    }
    let above = Bundle { answer: Some(Answer { temperature: 2001, ..claim }), ..honest.bundle.clone() };
    let refused = AnswerError::Temperature { temperature: 2001, most: 2000 };
    assert_eq!(honest.verdict(&above), Err(VerifyError::Answer(refused)));
    assert!(slow::verify(&honest.fixture.key, &above).is_err());
    let mut bundle = honest.bundle.clone();
    bundle.public.iter_mut().filter(|t| t.values.is_empty()).for_each(|t| t.values = vec![1; 3]);
    assert!(matches!(honest.verdict(&bundle), Err(VerifyError::Mismatch(why)) if why.to_string().contains("noise")));
}

/// A challenge of `count` layers of the honest bundle.
fn challenge(count: u32) -> Challenge {
    let Drawn { fixture, bundle, .. } = &*HONEST;
    let design = plan(&vec![false; fixture.key.layers.len()], count, Weights::Uniform).unwrap();
    let mut prefix = [0; 32];
    prefix.copy_from_slice(bundle.prefix().to_repr().as_ref());
    let randomness = Randomness::System { value: vec![1; 32] };
    let policy = Policy::new(&design, None);
    Challenge::draw(Digest(bundle.model_id), Digest(prefix), policy, randomness, 0).unwrap()
}

/// Whatever the layers are that the verifier drew.
#[test]
fn an_audit_of_a_draw_needs_the_nonce_too() {
    let Drawn { fixture, bundle, .. } = &*HONEST;
    let challenge = challenge(fixture.key.layers.len() as u32);
    let verdict = |nonce: Option<&[u8]>| {
        let options = VerifyOptions { allow_unsafe_srs: true, nonce: nonce.map(<[u8]>::to_vec), ..Default::default() };
        verify_audited(&fixture.key, bundle, &options, &challenge.check().unwrap())
    };
    assert_eq!(verdict(None), Err(VerifyError::DrawnNonce));
    let transcript = verdict(Some(NONCE)).unwrap().transcript.unwrap();
    assert_eq!((transcript.prompt, transcript.temperature), (PROMPT.to_vec(), TEMPERATURE));
}

/// An audit of some layers shows the answer as claimed, and no more.
#[test]
fn an_audited_answer_is_claimed() {
    let Drawn { fixture, bundle, .. } = &*HONEST;
    let total = fixture.key.layers.len() as u32;
    let said = |count: u32| {
        let challenge = challenge(count);
        let drawn = |layer: &LayerProof| challenge.layers.contains(&layer.index);
        let layers = bundle.layers.iter().filter(|layer| drawn(layer)).cloned().collect();
        let [proof, path] = ["nanozk", "json"].map(|kind| fixture.dir.path().join(format!("audit{count}.{kind}")));
        std::fs::write(&proof, Bundle { layers, ..bundle.clone() }.to_bytes().unwrap()).unwrap();
        files::write_challenge(&path, &challenge).unwrap();
        let request = verify::Request {
            verifier: fixture.path("keys/verifier.nanozk"),
            proof,
            options: VerifyOptions { allow_unsafe_srs: true, nonce: Some(NONCE.to_vec()), ..Default::default() },
            challenge: Some(path),
            prompt: Some(Prompt::Tokens(PROMPT.to_vec())),
            ..Default::default()
        };
        verify::verify(&request).unwrap()
    };
    let (some, all) = (said(1), said(total));
    assert!(some.verified && !some.full && some.answer.is_some(), "{some:?}");
    assert!(some.to_string().contains("claimed, not proven: every token"), "{some}");
    assert!(all.full && !all.to_string().contains("not proven"), "{all}");
}

#[test]
fn a_draw_needs_the_verifiers_nonce() {
    let Drawn { fixture, bundle, .. } = &*HONEST;
    assert_eq!(verdict(&fixture.key, bundle, None), Err(VerifyError::DrawnNonce));
    assert_eq!(verdict(&fixture.key, bundle, Some(b"mine")), Err(VerifyError::Nonce));
    assert!(answer(fixture, Some(1.5), None).unwrap_err().contains("--nonce"));
    assert!(answer(fixture, Some(2.5), Some(NONCE)).unwrap_err().contains("--max-temperature"));
    assert!(answer(fixture, Some(-1.0), Some(NONCE)).unwrap_err().contains("thousandths"));
    let unnamed = Bundle { nonce: Vec::new(), ..bundle.clone() };
    let claim = bundle.answer.unwrap();
    assert_eq!(claim.transcript(&fixture.key, &unnamed), Err(AnswerError::NoNonce));
}

/// The same model gives greedy answers too, and other nonces other draws.
#[test]
fn draws_differ_with_the_nonce() {
    let Drawn { fixture, .. } = &*HONEST;
    let greedy = answer(fixture, None, None).unwrap();
    assert_eq!(verdict(&fixture.key, &greedy, None).unwrap().1, 0);
    let drawn = |nonce: &[u8]| verdict(&fixture.key, &answer(fixture, Some(2.0), Some(nonce)).unwrap(), Some(nonce));
    let answers: BTreeSet<Vec<u32>> = [b"a", b"b", b"c"].map(|nonce| drawn(nonce).unwrap().0).into();
    assert!(answers.len() > 1);
}

/// A graph in which the noise does more than to be added to the scores of the choice.
#[test]
fn noise_elsewhere_makes_no_draw() {
    let key = &HONEST.fixture.key;
    let with = |change: &dyn Fn(&mut Graph)| {
        let mut circuits: Vec<Circuit> = key.circuits.read().unwrap();
        let shape = key.layers.last().unwrap().shape as usize;
        change(&mut circuits[shape].graph);
        let mut key = key.clone();
        key.circuits = Circuits::new(&circuits).unwrap();
        Writer::of(&key)
    };
    assert!(with(&|_| ()).unwrap().noise.is_some());
    let choice =
        |graph: &Graph| graph.nodes.iter().position(|node| matches!(node.op, Op::ArgMax(ops::ArgMax { .. }))).unwrap();
    let changes: [&dyn Fn(&mut Graph); 3] = [
        &|graph| {
            let at = choice(graph);
            graph.nodes[at].inputs.truncate(1);
        },
        &|graph| {
            let at = choice(graph);
            graph.nodes[at].inputs.swap(0, 1);
        },
        &|graph| {
            let noise = graph.nodes[choice(graph)].inputs[1];
            let first = graph.nodes.iter().position(|node| !node.inputs.is_empty()).unwrap();
            graph.nodes[first].inputs[0] = noise;
        },
    ];
    for change in changes {
        assert!(with(change).is_err());
    }
    // A second node of the same port, and another layer that reads the noise.
    let twice = |graph: &mut Graph| {
        let noise = graph.nodes[choice(graph)].inputs[1] as usize;
        graph.push(graph.nodes[noise].clone());
    };
    assert!(with(&twice).is_err());
    let mut elsewhere = key.clone();
    elsewhere.layers[0].inputs.push(sampling::tensor(key).unwrap());
    assert!(Writer::of(&elsewhere).is_err());
    // What is added is another tensor.
    let mut other = key.clone();
    other.layers.last_mut().unwrap().inputs.rotate_left(1);
    assert!(Writer::of(&other).is_err());
}

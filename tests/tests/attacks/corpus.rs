//! Writes `tests/corpus`: the attacks of these tests with the verdicts on them.

use crate::{CHAIN, Chain, SINGLE, bytes, keys, layers, statement};
use ff::PrimeField;
use nanozk_audit::{Challenge, Digest, Policy, Randomness, Weights, plan};
use nanozk_plan::format::{Kind, seal};
use nanozk_proof::answer::Writer;
use nanozk_proof::bundle::{Answer, Bundle};
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::srs::{EMBEDDED_K, Srs};
use nanozk_runtime::commit::Statement;
use nanozk_testkit::model_dir;
use nanozk_tests::corpus::{Corpus, Outcome, audited, verdict};
use nanozk_tests::fixture::{Fixture, asked, compiled, lenient};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::sync::Mutex;

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
        corpus.note(name, [&key.to_bytes().unwrap(), &bundle.to_bytes().unwrap()], None, outcome.into());
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
    let fixture = Fixture::language(None);
    let (_, honest) = fixture.answer("answer.nanozk", asked(&PROMPT, LIMIT), None).unwrap();
    let tokens = honest.public(Writer::of(&fixture.key).unwrap().input).unwrap().to_vec();
    let answer = Answer { prompt: PROMPT.len() as u32, limit: LIMIT + 1, temperature: 0 };
    let statement = Statement { input: &[tokens], length: honest.length, answer: Some(answer), nonce: &[] };
    let unfinished = fixture.claim(&fixture.prover(), "unfinished.nanozk", statement).unwrap();
    (fixture, honest, unfinished)
}

/// Challenges of the chain's first proof, each with a proof that answers it or does not.
fn note_audits(corpus: &mut Corpus) {
    let Chain { fixture, first, again, .. } = &*CHAIN;
    let digest = |bundle: &Bundle| Digest(bundle.prefix().to_repr().as_ref().try_into().unwrap());
    let id = Digest(fixture.key.model_id());
    let draw = |model, commitment, value: u8| {
        let weights = Weights::Given { weights: &[1.0, 2.0, 3.0, 4.0], floor: 0.1 };
        let design = plan(&vec![false; first.layers.len()], 2, weights);
        let policy = Policy::new(&design.unwrap(), None);
        Challenge::draw(model, commitment, policy, Randomness::System { value: vec![value; 32] }, 1).unwrap()
    };
    let of = |bundle: &Bundle, layers: &[u32]| {
        let layers = bundle.layers.iter().filter(|l| layers.contains(&l.index)).cloned().collect();
        Bundle { layers, ..bundle.clone() }
    };
    let key = fixture.key.to_bytes().unwrap();
    let mut note = |name: &str, bundle: &Bundle, challenge: &Challenge| {
        let (proof, challenge) = (bundle.to_bytes().unwrap(), serde_json::to_string(challenge).unwrap());
        let outcome = audited(&fixture.key, &proof, &challenge);
        corpus.note(&format!("audits: {name}"), [&key, &proof], Some(challenge), outcome);
    };
    for value in 0..3 {
        let challenge = draw(id, digest(first), value);
        note("honest", &of(first, &challenge.layers), &challenge);
    }
    let challenge = draw(id, digest(first), 3);
    let answer = of(first, &challenge.layers);
    note("all layers", first, &challenge);
    note("a layer less", &of(first, &challenge.layers[1..]), &challenge);
    note("another commitment", &of(again, &challenge.layers), &challenge);
    let mut forged = answer.clone();
    forged.layers[0].bytes[100] ^= 1;
    note("a forged layer", &forged, &challenge);
    note("another model", &answer, &draw(Digest([7; 32]), digest(first), 3));
    let layers = (0..4).filter(|layer| !challenge.layers.contains(layer)).take(2).collect();
    note("layers that were not drawn", &answer, &Challenge { layers, ..challenge.clone() });
    let named = Randomness::Beacon { name: "b".into(), value: vec![3; 32] };
    note("a beacon", &answer, &Challenge { randomness: named, ..challenge });
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
    for claim in [
        None,
        Some(Answer { prompt: 4, limit: LIMIT + 1, temperature: 0 }),
        Some(Answer { prompt: 5, limit: LIMIT + 1, temperature: 0 }),
    ] {
        let bundle = Bundle { answer: claim, ..answer.clone() };
        note("answers: another claim", &writer.key, &bundle, writer.verdict(&bundle).unwrap_err());
    }
    note("answers: unfinished", &writer.key, &unfinished, writer.verdict(&unfinished).unwrap_err());
    statement::public_fields();
    statement::public_values_out_of_range();
    statement::commitments();
    layers::layers();
    layers::a_dropped_layer_is_never_full();
    bytes::some_bytes_flipped();
    bytes::truncated_and_extended();
    bytes::invalid_elements();
    keys::verifier_files();

    let mut corpus = CORPUS.lock().unwrap().take().unwrap();
    note_audits(&mut corpus);
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

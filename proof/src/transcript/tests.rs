//! Every challenge depends on everything before it: each element of a proof and each item of the statement is changed in
//! turn, and the challenges that the verifier draws are compared with those of the honest proof.

#[path = "../../tests/tiny/mod.rs"]
mod tiny;

use super::*;
use crate::bundle::{Answer, Bundle, CommittedTensor, LayerProof, PublicTensor};
use crate::error::LayerError;
use crate::publics::PublicData;
use crate::verifier::{self, LayerClaim, prepare_layer};
use crate::wire::{self, POINT_BYTES};
use ff::{Field, PrimeField};
use group::Group;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

struct Proven {
    fixture: tiny::Fixture,
    boundary: Vec<Option<G1>>,
    bytes: Vec<u8>,
}

fn proven() -> Proven {
    let fixture = tiny::fixture();
    let (bytes, boundary) = tiny::prove(&fixture, tiny::lanes(&fixture), &fixture.weights);
    Proven { fixture, boundary, bytes }
}

impl Proven {
    /// What the verifier reads and draws, and whether it refuses before the pairing.
    fn events(&self, bytes: &[u8], prefix: u64, index: u32, shape: u32) -> (Vec<Event>, Result<(), LayerError>) {
        let mut key = self.fixture.key.clone();
        key.shape = shape;
        let claim = LayerClaim {
            shape: &self.fixture.shape.key,
            key: &key,
            index,
            boundary: &self.boundary,
            public: PublicData { params: &key.params, inputs: &[], outputs: &[None] },
            prefix: Fr::from(prefix),
        };
        EVENTS.take();
        let result = prepare_layer(&claim, bytes).map(drop);
        (EVENTS.take(), result)
    }
}

fn challenges(events: &[Event]) -> Vec<Fr> {
    let challenge = |event: &Event| match event {
        Event::Challenge(value) => Some(*value),
        Event::Read(_) => None,
    };
    events.iter().filter_map(challenge).collect()
}

/// Another valid element of the same kind.
fn changed(element: &[u8]) -> Vec<u8> {
    match element.len() {
        POINT_BYTES => wire::encode(&[wire::decode(element).unwrap()[0] + G1::generator()]),
        _ => (Fr::from_repr(element.try_into().unwrap()).unwrap() + Fr::ONE).to_repr().to_vec(),
    }
}

#[test]
fn challenges_depend_on_every_element_before_them() {
    let proven = proven();
    let (honest, result) = proven.events(&proven.bytes, 7, 0, 0);
    result.unwrap();
    // x is drawn once more, on a copy of the transcript, so elements before it are read twice.
    let mut elements: Vec<(usize, Range<usize>)> = Vec::new();
    for (at, event) in honest.iter().enumerate() {
        if let Event::Read(range) = event
            && !elements.iter().any(|(_, known)| known == range)
        {
            elements.push((at, range.clone()));
        }
    }
    let end = elements.iter().fold(0, |end, (_, range)| {
        assert_eq!(range.start, end, "every byte belongs to an element");
        range.end
    });
    assert_eq!(end, proven.bytes.len());
    assert!(challenges(&honest).len() >= 14, "theta, rho, eta, c, lambda, beta, gamma, y, x, x1 to x4 at least");

    let mut last = Vec::new();
    for (at, range) in &elements {
        let mut bytes = proven.bytes.clone();
        bytes.splice(range.clone(), changed(&proven.bytes[range.clone()]));
        let (forged, _) = proven.events(&bytes, 7, 0, 0);
        assert_eq!(forged[..*at], honest[..*at], "challenges before byte {}", range.start);
        let (after, honest) = (challenges(&forged[*at..]), challenges(&honest[*at..]));
        assert_eq!(after.is_empty(), honest.is_empty(), "byte {}: the next challenge is drawn", range.start);
        for (after, honest) in after.iter().zip(&honest) {
            assert_ne!(after, honest, "a challenge does not depend on the element at byte {}", range.start);
        }
        if honest.is_empty() {
            last.push(range.clone());
        }
    }
    assert_eq!(last.len(), 1, "only the last point of the opening precedes no challenge");
    assert_eq!(last[0], end - POINT_BYTES..end);
    println!("{} elements, {} challenges", elements.len(), challenges(&honest).len());
}

#[test]
fn all_points_are_decoded_before_they_are_read() {
    let proven = proven();
    let (events, _) = proven.events(&proven.bytes, 7, 0, 0);
    let position = |event: &Event| match event {
        Event::Read(range) if range.len() == POINT_BYTES => Some(range.start),
        _ => None,
    };
    let read: BTreeSet<usize> = events.iter().filter_map(position).collect();
    let shape = &proven.fixture.shape.key;
    let private = shape.plan.lanes.iter().filter(|lane| lane.boundary.is_none()).count();
    assert_eq!(verifier::point_positions(shape, private, proven.bytes.len()).collect::<BTreeSet<_>>(), read);
}

/// theta, rho and eta compress lanes, lambda what is computed from them: a column committed later could be made to fit.
#[test]
fn challenges_come_after_what_they_compress() {
    let proven = proven();
    let (events, _) = proven.events(&proven.bytes, 7, 0, 0);
    let reads = |until: usize| events[..until].iter().filter(|e| matches!(e, Event::Read(_))).count();
    let drawn = (0..events.len()).filter(|at| matches!(events[*at], Event::Challenge(_)));
    let drawn: Vec<usize> = drawn.map(reads).collect();
    let shape = &proven.fixture.shape.key;
    let lanes = shape.plan.lanes.iter().filter(|lane| lane.boundary.is_none()).count();
    let dense = shape.columns.v + shape.columns.a + shape.columns.b + shape.columns.w;
    assert_eq!(drawn[..3], [lanes; 3], "theta, rho, eta: all lanes first");
    assert!(drawn[3] > lanes + dense, "the span proof's challenge: V, A, B, W' and its commitment first");
    assert!(drawn[4] > drawn[3], "lambda: the span proof's responses first");
}

#[test]
fn challenges_depend_on_the_statement() {
    let proven = proven();
    let run = |prefix, index, shape| challenges(&proven.events(&proven.bytes, prefix, index, shape).0);
    let honest = run(7, 0, 0);
    for (what, other) in [("prefix", run(8, 0, 0)), ("index", run(7, 1, 0)), ("shape", run(7, 0, 1))] {
        assert!(!other.is_empty());
        assert!(other.iter().zip(&honest).all(|(a, b)| a != b), "{what}");
    }
    let begin = |vk: u64| {
        let transcript = LayerTranscript::init().begin(&Fr::ONE, 0, 0, &Fr::from(vk));
        transcript.unwrap().squeeze_challenge::<Fr>()
    };
    assert_ne!(begin(1), begin(2), "digest of the verifying key");
}

/// The prefix tells apart all bundles that differ in anything but their layer proofs, moved values included.
#[test]
fn the_prefix_holds_every_field() {
    let point = |n: u64| G1::generator() * Fr::from(n);
    let bundle = Bundle {
        model_id: [1; 32],
        nonce: vec![2, 3],
        length: 4,
        answer: Some(Answer { prompt: 2, limit: 9, temperature: 0 }),
        public: vec![PublicTensor { tensor: 0, values: vec![5, 6] }, PublicTensor { tensor: 1, values: vec![7] }],
        committed: vec![
            CommittedTensor { tensor: 2, lanes: vec![point(8), point(9)] },
            CommittedTensor { tensor: 3, lanes: vec![point(10)] },
        ],
        layers: vec![LayerProof { index: 0, bytes: vec![] }],
    };
    // A new field does not compile here until it is changed below.
    let Bundle { model_id: _, nonce: _, length: _, answer: _, public: _, committed: _, layers: _ } = &bundle;
    let changes: [&dyn Fn(&mut Bundle); 20] = [
        &|b| b.model_id[0] = 0,
        &|b| b.model_id[31] = 0,
        &|b| b.nonce[0] = 0,
        &|b| b.nonce.push(0),
        &|b| b.nonce.clear(),
        &|b| b.length = 5,
        &|b| b.answer = Some(Answer { prompt: 3, limit: 9, temperature: 0 }),
        &|b| b.answer = Some(Answer { prompt: 2, limit: 8, temperature: 0 }),
        &|b| b.answer = None,
        &|b| b.public[0].tensor = 4,
        &|b| b.public[0].values[0] = -5,
        &|b| b.public[1].values.push(0),
        &|b| {
            let moved = b.public[0].values.pop().unwrap();
            b.public[1].values.insert(0, moved);
        },
        &|b| b.public.swap(0, 1),
        &|b| drop(b.public.pop()),
        &|b| b.committed[0].tensor = 4,
        &|b| b.committed[0].lanes[0] = point(11),
        &|b| b.committed[0].lanes.reverse(),
        &|b| {
            let moved = b.committed[0].lanes.pop().unwrap();
            b.committed[1].lanes.insert(0, moved);
        },
        &|b| drop(b.committed.pop()),
    ];
    let mut prefixes = HashSet::from([bundle.prefix().to_repr()]);
    for (i, change) in changes.iter().enumerate() {
        let mut other = bundle.clone();
        change(&mut other);
        assert!(prefixes.insert(other.prefix().to_repr()), "change {i}");
    }
    let mut other = bundle.clone();
    other.layers.clear();
    assert_eq!(other.prefix(), bundle.prefix(), "layer proofs have transcripts of their own");
}

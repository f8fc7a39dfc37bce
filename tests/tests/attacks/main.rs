//! Attacks on finished proofs: every public field, commitment and byte changed, layers moved and spliced, keys swapped.
//! The verifier of these tests insists on nothing, so each rejection is the proof's own. The slow verifier gives its verdict
//! too: on every kind of attack, and on every one of them when [`SLOW_STEP`] is set to 1.

mod corpus;

use corpus::note;
use group::{Group, GroupEncoding};
use nanozk_plan::format::{self, Kind};
use nanozk_plan::{ElementMap, ElementType, ValueInfo};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::field::G1;
use nanozk_proof::keys::{Rows, VerifierKey, Visibility};
use nanozk_proof::srs::Srs;
use nanozk_proof::statement::Circuits;
use nanozk_proof::verify::{VerifyError, VerifyOptions, verify};
use nanozk_proof::wire::POINT_BYTES;
use nanozk_runtime::commit::Statement;
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, NONCE, lenient};
use nanozk_tests::slow;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Bytes between two flipped ones in the sampled tests.
const STEP: usize = 97;

/// Attacks of one kind between two that the slow verifier sees; `NANOZK_SLOW_STEP=1` shows it all.
static SLOW_STEP: LazyLock<usize> =
    LazyLock::new(|| std::env::var("NANOZK_SLOW_STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(10));

/// One layer, public input and output.
static SINGLE: LazyLock<(Fixture, Bundle)> = LazyLock::new(|| {
    let fixture = Fixture::new("block-d16-t16");
    let bundle = fixture.prove(&model_dir("block-d16-t16").join("input.json"));
    (fixture, bundle)
});

/// A chain of layers with two proofs of one input and one of another.
struct Chain {
    fixture: Fixture,
    first: Bundle,
    again: Bundle,
    other: Bundle,
}

static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let fixture = Fixture::new("llama-d64-l2");
    let input = model_dir("llama-d64-l2").join("input.json");
    let reversed = fixture.reversed(&input);
    let (first, again, other) = (fixture.prove(&input), fixture.prove(&input), fixture.prove(&reversed));
    assert!(first.layers.len() > 2 && first.committed.len() > 1);
    Chain { fixture, first, again, other }
});

/// Counts forged bundles; an accepted one fails the test.
struct Attacks<'a> {
    what: &'static str,
    key: &'a VerifierKey,
    honest: &'a Bundle,
    tried: usize,
    kinds: HashSet<String>,
    twice: usize,
}

impl<'a> Attacks<'a> {
    fn new(what: &'static str, key: &'a VerifierKey, honest: &'a Bundle) -> Self {
        lenient(key, honest).unwrap();
        slow::verify(key, honest).unwrap();
        Attacks { what, key, honest, tried: 0, kinds: HashSet::new(), twice: 0 }
    }

    fn forge(&mut self, what: &str, change: impl FnOnce(&mut Bundle)) -> VerifyError {
        let mut forged = self.honest.clone();
        change(&mut forged);
        assert!(forged != *self.honest, "{}: {what} changed nothing", self.what);
        self.rejects(what, self.key, &forged)
    }

    fn rejects(&mut self, what: &str, key: &VerifierKey, forged: &Bundle) -> VerifyError {
        self.tried += 1;
        let kind = what.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        if self.kinds.insert(kind) || self.tried.is_multiple_of(*SLOW_STEP) {
            self.twice += 1;
            assert!(slow::verify(key, forged).is_err(), "{}: {what} was ACCEPTED by the slow verifier", self.what);
        }
        match lenient(key, forged) {
            Ok(_) => panic!("{}: {what} was ACCEPTED", self.what),
            Err(error) => {
                note(&format!("{}: {what}", self.what), key, forged, error.clone());
                error
            }
        }
    }

    fn report(self) {
        assert!(self.tried > 0);
        println!("{}: {} tried, {} rejected, {} of them twice", self.what, self.tried, self.tried, self.twice);
    }
}

#[test]
fn public_fields() {
    let (fixture, honest) = &*SINGLE;
    let mut attacks = Attacks::new("public fields", &fixture.key, honest);
    for byte in 0..32 {
        attacks.forge("model id", |b| b.model_id[byte] ^= 1);
    }
    for byte in 0..NONCE.len() {
        attacks.forge("nonce", |b| b.nonce[byte] ^= 1);
    }
    attacks.forge("no nonce", |b| b.nonce.clear());
    attacks.forge("longer nonce", |b| b.nonce.push(0));
    for length in (0..=fixture.key.tokens + 1).filter(|l| *l != honest.length) {
        attacks.forge("length", |b| b.length = length);
    }
    attacks.forge("great length", |b| b.length = u32::MAX);
    for (i, tensor) in honest.public.iter().enumerate() {
        for at in 0..tensor.values.len() {
            attacks.forge("value + 1", |b| b.public[i].values[at] += 1);
            attacks.forge("value - 1", |b| b.public[i].values[at] -= 1);
        }
        attacks.forge("least value", |b| b.public[i].values[0] = i64::MIN);
        attacks.forge("greatest value", |b| b.public[i].values[0] = i64::MAX);
        attacks.forge("values swapped", |b| {
            let last = tensor.values.iter().position(|v| *v != tensor.values[0]).unwrap();
            b.public[i].values.swap(0, last);
        });
        attacks.forge("value missing", |b| b.public[i].values.truncate(tensor.values.len() - 1));
        attacks.forge("value added", |b| b.public[i].values.push(0));
        attacks.forge("tensor id", |b| b.public[i].tensor += 1);
        attacks.forge("tensor missing", |b| drop(b.public.remove(i)));
        attacks.forge("tensor twice", |b| b.public.insert(i, tensor.clone()));
    }
    attacks.forge("tensors swapped", |b| b.public.reverse());
    attacks.report();
}

/// A mask tells every token the same keys, and where every token sees all others no token is padding. Proofs of other
/// inputs verify otherwise: the verifier has to look.
#[test]
fn rows_of_public_inputs() {
    let fixture = Fixture::new("bert-d64-l2");
    let honest = fixture.prove(&model_dir("bert-d64-l2").join("input.json"));
    let rows: Vec<Rows> =
        fixture.key.inputs.iter().map(|input| fixture.key.tensors[input.tensor as usize].rows).collect();
    assert_eq!(rows, [Rows::Full, Rows::Equal]);
    honest.fits(&fixture.key).unwrap();
    let refused = |what: &str, change: &dyn Fn(&mut Bundle)| {
        let mut forged = honest.clone();
        change(&mut forged);
        let error = forged.fits(&fixture.key).unwrap_err();
        assert!(error.contains(what), "{error}");
    };
    let input = |bundle: &Bundle, at: usize| {
        bundle.public.iter().position(|tensor| tensor.tensor == fixture.key.inputs[at].tensor).unwrap()
    };
    refused("differs from token to token", &|b| {
        let mask = input(b, 1);
        b.public[mask].values[fixture.key.tokens as usize] ^= 1;
    });
    // Of a mask that shows no token the model has no reading: neither is it proven nor does such a proof verify.
    let hides_all = "hides all that some token sees";
    refused(hides_all, &|b| {
        let mask = input(b, 1);
        b.public[mask].values.fill(0);
    });
    let mut hidden: Vec<Vec<i64>> = [0, 1].map(|at| honest.public[input(&honest, at)].values.clone()).into();
    hidden[1].fill(0);
    let statement = Statement { input: &hidden, length: honest.length, answer: None, nonce: &[] };
    let error = fixture.claim(&fixture.prover(), "hidden.nanozk", statement).unwrap_err();
    assert!(error.contains(hides_all), "{error}");
    refused("every token of this model sees all", &|b| {
        b.length -= 1;
        for at in 0..2 {
            let tensor = input(b, at);
            let width = b.public[tensor].values.len() / fixture.key.tokens as usize;
            b.public[tensor].values.iter_mut().rev().take(width).for_each(|value| *value = 0);
        }
    });
}

/// Values beyond a public tensor's range mean nothing in the plan (an id beyond the vocabulary has no one-hot cell), so
/// they are refused before any proof is read.
#[test]
fn public_values_out_of_range() {
    let (single, chain) = (&*SINGLE, &*CHAIN);
    for (key, honest) in [(&single.0.key, &single.1), (&chain.fixture.key, &chain.first)] {
        let mut attacks = Attacks::new("public values out of range", key, honest);
        for i in 0..honest.public.len() {
            let spec = &key.tensors[honest.public[i].tensor as usize];
            for beyond in [spec.lo - 1, spec.hi + 1] {
                let error = attacks.forge("a value out of range", |b| b.public[i].values[0] = beyond);
                assert!(matches!(error, VerifyError::Mismatch(_)), "{error}");
            }
        }
        attacks.report();
    }
}

#[test]
fn commitments() {
    let Chain { fixture, first, again, other } = &*CHAIN;
    let mut attacks = Attacks::new("commitments", &fixture.key, first);
    for (i, tensor) in first.committed.iter().enumerate() {
        for lane in 0..tensor.lanes.len() {
            attacks.forge("plus the generator", |b| b.committed[i].lanes[lane] += G1::generator());
            attacks.forge("negated", |b| b.committed[i].lanes[lane] = -tensor.lanes[lane]);
            attacks.forge("identity", |b| b.committed[i].lanes[lane] = G1::identity());
            attacks.forge("another run", |b| b.committed[i].lanes[lane] = again.committed[i].lanes[lane]);
            attacks.forge("another input", |b| b.committed[i].lanes[lane] = other.committed[i].lanes[lane]);
        }
        if tensor.lanes.len() > 1 {
            attacks.forge("lanes reversed", |b| b.committed[i].lanes.reverse());
        }
        attacks.forge("lane missing", |b| b.committed[i].lanes.truncate(tensor.lanes.len() - 1));
        attacks.forge("lane added", |b| b.committed[i].lanes.push(G1::generator()));
        attacks.forge("tensor missing", |b| drop(b.committed.remove(i)));
        attacks.forge("tensor twice", |b| b.committed.insert(i, tensor.clone()));
        for j in i + 1..first.committed.len() {
            attacks.forge("tensors swapped", |b| {
                b.committed[i].lanes.clone_from(&first.committed[j].lanes);
                b.committed[j].lanes.clone_from(&tensor.lanes);
            });
        }
    }
    attacks.report();
}

#[test]
fn layers() {
    let Chain { fixture, first, again, other } = &*CHAIN;
    let count = first.layers.len();
    let mut attacks = Attacks::new("layers moved and spliced", &fixture.key, first);
    attacks.forge("no layers", |b| b.layers.clear());
    attacks.forge("layers reversed", |b| b.layers.reverse());
    for i in 0..count {
        attacks.forge("repeated", |b| b.layers.insert(i, first.layers[i].clone()));
        attacks.forge("index beyond the model", |b| b.layers[i].index = count as u32);
        attacks.forge("from another run", |b| b.layers[i] = again.layers[i].clone());
        attacks.forge("from another input", |b| b.layers[i] = other.layers[i].clone());
        attacks.forge("on another input with the honest boundary", |b| {
            b.layers.clone_from(&other.layers);
            b.layers[i] = first.layers[i].clone();
        });
        for j in (0..count).filter(|j| *j != i) {
            attacks.forge("at another position", |b| b.layers[i].bytes.clone_from(&first.layers[j].bytes));
            attacks.forge("two positions swapped", |b| {
                b.layers[i].bytes.clone_from(&first.layers[j].bytes);
                b.layers[j].bytes.clone_from(&first.layers[i].bytes);
            });
        }
    }
    attacks.forge("proofs of another input", |b| b.layers.clone_from(&other.layers));
    attacks.forge("output of another input", |b| b.public.clone_from(&other.public));
    attacks.forge("tensors of another run", |b| b.committed.clone_from(&again.committed));
    attacks.report();
}

#[test]
fn a_dropped_layer_is_never_full() {
    let Chain { fixture, first, .. } = &*CHAIN;
    let total = first.layers.len();
    fixture.verdict(first).unwrap();
    assert_eq!(fixture.partial(first).unwrap().layers.len(), total);
    for dropped in 0..total {
        let mut partial = first.clone();
        partial.layers.remove(dropped);
        let error = fixture.verdict(&partial).unwrap_err();
        assert_eq!(error, VerifyError::Partial { proven: total - 1, total });
        note("a dropped layer", &fixture.key, &partial, error);
        let verdict = fixture.partial(&partial).unwrap();
        slow::verify(&fixture.key, &partial).unwrap();
        assert!(!verdict.layers.contains(&(dropped as u32)));
        let output = fixture.key.outputs[0].tensor;
        assert_eq!(verdict.tensors.contains(&output), dropped + 1 < total, "the last layer writes the output");
        partial.public.last_mut().unwrap().values[0] += 1;
        assert!(fixture.partial(&partial).is_err(), "the rest still binds all public values");
    }
}

#[test]
fn two_proofs_of_one_statement_share_nothing() {
    let Chain { first, again, .. } = &*CHAIN;
    // Every point and every scalar holds windows of the length of a scalar, wherever it stands.
    let windows = |bundle: &Bundle| -> HashSet<Vec<u8>> {
        let committed = bundle.committed.iter().flat_map(|t| &t.lanes).map(|p| p.to_bytes().as_ref().to_vec());
        let proofs = bundle.layers.iter().map(|l| l.bytes.clone());
        committed.chain(proofs).flat_map(|b| b.windows(32).map(<[u8]>::to_vec).collect::<Vec<_>>()).collect()
    };
    assert_eq!(first.public, again.public);
    let shared = windows(first).intersection(&windows(again)).count();
    assert_eq!(shared, 0, "elements that both proofs hold");
}

/// Flips one bit of every `step`-th byte of the proofs and of the file.
fn flipped_bytes(step: usize) {
    let (fixture, honest) = &*SINGLE;
    let mut attacks = Attacks::new("flipped bytes of the layer proof", &fixture.key, honest);
    for (n, at) in (0..honest.layers[0].bytes.len()).step_by(step).enumerate() {
        attacks.forge(&format!("byte {at}"), |b| b.layers[0].bytes[at] ^= 1 << (n % 8));
    }
    attacks.report();

    let file = honest.to_bytes().unwrap();
    let payload = format::open(Kind::Proof, &file).unwrap();
    let mut attacks = Attacks::new("flipped bytes of the file, resealed", &fixture.key, honest);
    let mut unreadable = 0;
    for (n, at) in (0..payload.len()).step_by(step).enumerate() {
        let mut forged = payload.to_vec();
        forged[at] ^= 1 << (n % 8);
        match Bundle::from_bytes(&format::seal(Kind::Proof, &forged)) {
            Ok(bundle) => drop(attacks.rejects(&format!("byte {at}"), &fixture.key, &bundle)),
            Err(_) => unreadable += 1,
        }
    }
    println!("flipped bytes of the file, resealed: {unreadable} more unreadable");
    attacks.report();
}

#[test]
fn some_bytes_flipped() {
    flipped_bytes(STEP);
}

#[test]
#[ignore = "every byte: a minute"]
fn all_bytes_flipped() {
    flipped_bytes(1);
}

#[test]
fn truncated_and_extended() {
    let (fixture, honest) = &*SINGLE;
    let bytes = &honest.layers[0].bytes;
    let mut attacks = Attacks::new("truncated and extended", &fixture.key, honest);
    for length in (0..bytes.len()).step_by(STEP).chain([bytes.len() - 1, bytes.len() - 32, bytes.len() - 48]) {
        attacks.forge(&format!("{length} bytes"), |b| b.layers[0].bytes.truncate(length));
    }
    for extra in [1, 16, 32, 48, 1000] {
        let error = attacks.forge("extended", |b| b.layers[0].bytes.extend(vec![0; extra]));
        assert!(matches!(error, VerifyError::Layer { .. }), "{error}");
        attacks.forge("extended in front", |b| drop(b.layers[0].bytes.splice(0..0, vec![0; extra])));
    }
    attacks.forge("twice", |b| b.layers[0].bytes.extend_from_slice(bytes));
    let file = honest.to_bytes().unwrap();
    let payload = format::open(Kind::Proof, &file).unwrap();
    for length in (0..payload.len()).step_by(STEP) {
        assert!(Bundle::from_bytes(&format::seal(Kind::Proof, &payload[..length])).is_err(), "{length} bytes");
    }
    let longer = [payload, &[0]].concat();
    assert!(Bundle::from_bytes(&format::seal(Kind::Proof, &longer)).is_err(), "a trailing byte");
    attacks.report();
}

/// A compressed point of the curve outside the prime-order subgroup.
fn outside_subgroup() -> [u8; POINT_BYTES] {
    for x in 1u8.. {
        let mut repr = <G1 as GroupEncoding>::Repr::default();
        repr.as_mut()[0] = 0x80;
        repr.as_mut()[POINT_BYTES - 1] = x;
        let on_curve = bool::from(G1::from_bytes_unchecked(&repr).is_some());
        if on_curve && bool::from(G1::from_bytes(&repr).is_none()) {
            return repr.as_ref().try_into().unwrap();
        }
    }
    unreachable!("half of all x have a point")
}

/// `bytes + p` when `bytes` is the little-endian encoding of a scalar.
fn plus_modulus(bytes: &[u8]) -> Option<[u8; 32]> {
    let modulus: [u8; 32] = [
        0x01, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0x02, 0xa4, 0xbd, 0x53, 0x05, 0xd8,
        0xa1, 0x09, 0x08, 0xd8, 0x39, 0x33, 0x48, 0x7d, 0x9d, 0x29, 0x53, 0xa7, 0xed, 0x73,
    ];
    if !bytes.iter().rev().lt(modulus.iter().rev()) {
        return None;
    }
    let mut carry = 0;
    let sum = std::array::from_fn(|i| {
        let digit = bytes[i] as u16 + modulus[i] as u16 + carry;
        carry = digit >> 8;
        digit as u8
    });
    (carry == 0).then_some(sum)
}

/// Points have 48 bytes and scalars 32, so every element of a proof starts at a multiple of 16.
#[test]
fn invalid_elements() {
    let (fixture, honest) = &*SINGLE;
    let bytes = &honest.layers[0].bytes;
    let outside = outside_subgroup();
    let mut attacks = Attacks::new("points outside the subgroup, scalars >= p", &fixture.key, honest);
    let (mut points, mut scalars) = (0, 0);
    for at in (0..bytes.len()).step_by(16) {
        let point = bytes.get(at..at + POINT_BYTES).filter(|b| {
            let mut repr = <G1 as GroupEncoding>::Repr::default();
            repr.as_mut().copy_from_slice(b);
            bool::from(G1::from_bytes(&repr).is_some())
        });
        if point.is_some() {
            points += 1;
            attacks.forge("outside", |b| b.layers[0].bytes[at..at + POINT_BYTES].copy_from_slice(&outside));
            attacks.forge("identity", |b| {
                let identity = G1::identity().to_bytes();
                b.layers[0].bytes[at..at + POINT_BYTES].copy_from_slice(identity.as_ref());
            });
        }
        if let Some(sum) = bytes.get(at..at + 32).and_then(plus_modulus) {
            scalars += 1;
            attacks.forge("scalar + p", |b| b.layers[0].bytes[at..at + 32].copy_from_slice(&sum));
        }
    }
    println!("{points} points, {scalars} scalars (some windows are both)");
    assert!(points > 10 && scalars > 10);
    attacks.report();

    let Chain { fixture, first, .. } = &*CHAIN;
    let file = first.to_bytes().unwrap();
    let payload = format::open(Kind::Proof, &file).unwrap();
    let valid = first.committed[0].lanes[0].to_bytes();
    let at = payload.windows(POINT_BYTES).position(|w| w == valid.as_ref()).unwrap();
    let mut forged = payload.to_vec();
    forged[at..at + POINT_BYTES].copy_from_slice(&outside);
    assert!(Bundle::from_bytes(&format::seal(Kind::Proof, &forged)).is_err(), "a tensor commitment");
    let file = fixture.key.to_bytes().unwrap();
    let payload = format::open(Kind::Verifier, &file).unwrap();
    let valid = fixture.key.layers[0].weights[0].to_bytes();
    let at = payload.windows(POINT_BYTES).position(|w| w == valid.as_ref()).unwrap();
    let mut forged = payload.to_vec();
    forged[at..at + POINT_BYTES].copy_from_slice(&outside);
    assert!(VerifierKey::from_bytes(&format::seal(Kind::Verifier, &forged)).is_err(), "a weight commitment");
}

/// Each change of the verifier file makes another model, for which the proof fails even when it claims that id.
#[test]
fn verifier_files() {
    let Chain { fixture, first, .. } = &*CHAIN;
    let honest = &fixture.key;
    let mut attacks = Attacks::new("verifier files", honest, first);
    let mut ids = HashSet::from([honest.model_id()]);
    let mut other = |what: &str, change: &dyn Fn(&mut VerifierKey)| {
        let mut key = honest.clone();
        change(&mut key);
        let VerifierKey { tokens, tensors, inputs, outputs, circuits, shapes, layers, srs, proof, .. } = key;
        let key = VerifierKey::new(tokens, tensors, [inputs, outputs], circuits, shapes, layers, srs).unwrap();
        let key = key.with_proof(proof).unwrap();
        assert!(ids.insert(key.model_id()), "{what}: the model id stays");
        let error = attacks.rejects(what, &key, first);
        assert!(matches!(error, VerifyError::OtherModel { .. }), "{what}: {error}");
        let options = VerifyOptions { model_id: Some(honest.model_id()), allow_unsafe_srs: true, ..Default::default() };
        assert!(matches!(verify(&key, first, &options), Err(VerifyError::ModelId { .. })), "{what}");
        let mut claimed = first.clone();
        claimed.model_id = key.model_id();
        attacks.rejects(what, &key, &claimed);
    };
    for i in 0..honest.tensors.len() {
        other("scale", &|k| k.tensors[i].scale *= 2.0);
        other("name", &|k| k.tensors[i].name.push('x'));
        other("least value", &|k| k.tensors[i].lo -= 1);
        other("greatest value", &|k| k.tensors[i].hi += 1);
    }
    for i in 0..honest.outputs.len() {
        let value = &honest.outputs[i].value;
        let reversed: Vec<u32> = value.indices().map(|i| i as u32).collect::<Vec<_>>().into_iter().rev().collect();
        other("name of an output", &|k| k.outputs[i].value.name.push('x'));
        let longer = [&value.shape[..], &[1]].concat();
        other("shape of an output", &|k| {
            k.outputs[i].value = ValueInfo::row_major(&value.name, longer.clone(), value.dtype)
        });
        other("type of an output", &|k| k.outputs[i].value.dtype = ElementType::Float64);
        other("order of an output", &|k| k.outputs[i].value.map = ElementMap::new(&value.shape, &reversed));
    }
    for i in 0..honest.inputs.len() {
        let value = &honest.inputs[i].value;
        let reversed: Vec<u32> = value.indices().map(|i| i as u32).collect::<Vec<_>>().into_iter().rev().collect();
        other("name of an input", &|k| k.inputs[i].value.name.push('x'));
        other("order of an input", &|k| k.inputs[i].value.map = ElementMap::new(&value.shape, &reversed));
    }
    for i in 0..honest.layers.len() {
        for at in 0..honest.layers[i].params.len() {
            other("parameter", &|k| k.layers[i].params[at] += 1);
        }
        for at in 0..honest.layers[i].tables.len() {
            other("table", &|k| k.layers[i].tables[at] += G1::generator());
        }
        for at in 0..honest.layers[i].weights.len() {
            other("weights", &|k| k.layers[i].weights[at] += G1::generator());
        }
        for j in 0..i {
            if honest.layers[i].shape == honest.layers[j].shape {
                let swap = |k: &mut VerifierKey| {
                    let weights = k.layers[i].weights.clone();
                    k.layers[i].weights = std::mem::replace(&mut k.layers[j].weights, weights);
                };
                other("weights of two layers swapped", &swap);
            }
        }
    }
    let mut graphs = honest.circuits.read().unwrap();
    graphs[0].graph.nodes[0].name.push('x');
    let graphs = Circuits::new(&graphs).unwrap();
    other("an integer graph", &|k| k.circuits = graphs.clone());
    for i in 0..honest.shapes.len() {
        other("a row of the span", &|k| k.shapes[i].span_basis[0] += G1::generator());
        for at in 0..honest.shapes[i].patterns.len() {
            other("a row pattern", &|k| k.shapes[i].patterns[at][0] += G1::generator());
        }
    }
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let srs = Srs::generate_unsafe(4, &mut rng).unwrap();
    other("another [s]_2", &|k| k.srs = *srs.verifier_part());
    attacks.report();
}

#[test]
fn layers_that_do_not_form_a_chain() {
    let honest = &CHAIN.fixture.key;
    let refused = |change: &dyn Fn(&mut VerifierKey), parts: &[&str]| {
        let mut key = honest.clone();
        change(&mut key);
        let VerifierKey { tokens, tensors, inputs, outputs, circuits, shapes, layers, srs, .. } = key;
        let error = VerifierKey::new(tokens, tensors, [inputs, outputs], circuits, shapes, layers, srs)
            .unwrap_err()
            .to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    refused(&|k| k.layers[1].inputs = k.layers[1].outputs.clone(), &["reads tensor", "before any layer writes it"]);
    refused(&|k| k.layers.swap(1, 2), &["reads tensor", "before any layer writes it"]);
    refused(&|k| k.layers[2].outputs = k.layers[1].outputs.clone(), &["writes tensor", "has its value already"]);
    refused(&|k| drop(k.layers.pop()), &["no layer writes the output"]);
}

/// A tensor with a feature more than the port of a layer would carry one that no equation reads.
#[test]
fn a_port_and_its_tensor_have_one_width() {
    let honest = &CHAIN.fixture.key;
    let internal = honest.tensors.iter().position(|t| t.visibility == Visibility::Internal).unwrap();
    let groups = honest.shapes[0].plan.geometry.groups;
    for more in [1, groups - honest.tensors[internal].features % groups] {
        let VerifierKey { tokens, mut tensors, inputs, outputs, circuits, shapes, layers, srs, .. } = honest.clone();
        tensors[internal].features += more;
        let error = VerifierKey::new(tokens, tensors, [inputs, outputs], circuits, shapes, layers, srs).unwrap_err();
        assert!(error.to_string().contains("does not fit its shape"), "{error}");
    }
}

#[test]
fn proofs_of_other_keys() {
    let (single, block) = &*SINGLE;
    let Chain { fixture, first, .. } = &*CHAIN;
    let mut attacks = Attacks::new("other models", &single.key, block);
    for claim in [false, true] {
        let mut forged = first.clone();
        if claim {
            forged.model_id = single.key.model_id();
        }
        attacks.rejects("proof of another model", &single.key, &forged);
    }
    let again = Fixture::of(fixture.artifact.clone());
    assert_ne!(again.key.model_id(), fixture.key.model_id(), "fresh masks hide the weights");
    let mut forged = first.clone();
    attacks.rejects("proof of another setup", &again.key, &forged);
    forged.model_id = again.key.model_id();
    attacks.rejects("proof of another setup, claimed", &again.key, &forged);
    attacks.report();
}

#[test]
fn what_the_verifier_insists_on() {
    let (fixture, honest) = &*SINGLE;
    let lenient = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
    let nonce = |nonce: &[u8]| VerifyOptions { nonce: Some(nonce.to_vec()), ..lenient.clone() };
    verify(&fixture.key, honest, &nonce(NONCE)).unwrap();
    assert_eq!(verify(&fixture.key, honest, &nonce(b"another")), Err(VerifyError::Nonce));
    assert_eq!(verify(&fixture.key, honest, &nonce(b"")), Err(VerifyError::Nonce));
    verify(&fixture.key, honest, &VerifyOptions::default()).unwrap();
    let VerifierKey { tokens, tensors, inputs, outputs, circuits, shapes, layers, .. } = fixture.key.clone();
    let local = *Srs::generate_unsafe(4, &mut ChaCha20Rng::seed_from_u64(5)).unwrap().verifier_part();
    let key = VerifierKey::new(tokens, tensors, [inputs, outputs], circuits, shapes, layers, local).unwrap();
    let mut claimed = honest.clone();
    claimed.model_id = key.model_id();
    assert_eq!(verify(&key, &claimed, &VerifyOptions::default()), Err(VerifyError::UnsafeSrs));
    let other = VerifyOptions { model_id: Some([7; 32]), ..lenient };
    assert!(matches!(verify(&fixture.key, honest, &other), Err(VerifyError::ModelId { .. })));
}

//! Attacks on verifier files, and what a verifier insists on.

use crate::{Attacks, CHAIN, Chain, SINGLE};
use group::Group;
use nanozk_plan::{ElementMap, ElementType, ValueInfo};
use nanozk_proof::circuits::Circuits;
use nanozk_proof::field::G1;
use nanozk_proof::keys::{VerifierKey, Visibility};
use nanozk_proof::srs::Srs;
use nanozk_proof::verify::{VerifyError, VerifyOptions, verify};
use nanozk_tests::fixture::{Fixture, NONCE};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::HashSet;

/// Each change of the verifier file makes another model, for which the proof fails even when it claims that id.
#[test]
pub fn verifier_files() {
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

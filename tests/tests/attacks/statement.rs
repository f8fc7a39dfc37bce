//! Attacks on what a proof states: its public fields and the commitments to hidden tensors.

use crate::{Attacks, CHAIN, Chain, SINGLE};
use group::Group;
use nanozk_proof::bundle::Bundle;
use nanozk_proof::field::G1;
use nanozk_proof::keys::Rows;
use nanozk_proof::verify::VerifyError;
use nanozk_runtime::commit::Statement;
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, NONCE};

#[test]
pub fn public_fields() {
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
        assert!(error.to_string().contains(what), "{error}");
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
pub fn public_values_out_of_range() {
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
pub fn commitments() {
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

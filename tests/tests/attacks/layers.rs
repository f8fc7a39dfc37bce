//! Attacks on the layers of a proof: moved, spliced, dropped, of another run.

use crate::corpus::note;
use crate::{Attacks, CHAIN, Chain};
use group::GroupEncoding;
use nanozk_proof::bundle::Bundle;
use nanozk_proof::verify::VerifyError;
use nanozk_tests::slow;
use std::collections::HashSet;

#[test]
pub fn layers() {
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
pub fn a_dropped_layer_is_never_full() {
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

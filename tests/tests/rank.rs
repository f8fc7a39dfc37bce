//! Zero knowledge, counted: everything that proofs reveal of hidden columns is a linear function of the random cells that
//! the prover draws (for helper columns: its differential), and these functions are independent. So revealed values are
//! jointly uniform whatever the witness is. What is revealed is enumerated from the constraint system, and its length is
//! compared with that of real proofs: a column, a rotation or an element more is seen here.

use ff::Field;
use nanozk_proof::field::Fr;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::layer::{LayerKey, ShapeKey};
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::Fixture;
use nanozk_tests::matrix::{self, Matrix, Random};
use nanozk_tests::revealed::{Outcome, Proof};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// A chain of layers with its real proof lengths.
static CHAIN: LazyLock<(VerifierKey, Vec<usize>)> = LazyLock::new(|| {
    let fixture = Fixture::new("llama-d64-l2");
    let bundle = fixture.prove(&model_dir("llama-d64-l2").join("input.json"));
    assert!(bundle.layers.len() > 2 && bundle.committed.len() > 1);
    (fixture.key, bundle.layers.iter().map(|l| l.bytes.len()).collect())
});

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Proves every layer of `layers` `times` under the same masks of the boundary tensors; with `fresh` masks of private
/// lanes each time, or with the same.
fn transcripts(
    key: &VerifierKey,
    layers: &[u32],
    times: usize,
    fresh: bool,
    mut each: impl FnMut(u32, usize),
) -> Outcome {
    let mut outcome = Outcome::default();
    let s = Fr::random(rng(1));
    let mut values: HashMap<Random, Fr> = HashMap::new();
    let mut mask_rng = rng(2);
    for &layer in layers {
        for time in 0..times {
            let id = layer as usize * times + time;
            let mut masks = |cell: Random| *values.entry(cell).or_insert_with(|| Fr::random(&mut mask_rng));
            let (shape, of) = shape_and_layer(key, layer);
            let mut proof = Proof::new(shape, (layer, of), id, s, &mut masks, rng(100 + id as u64));
            if !fresh {
                proof.masks = layer as usize * times;
            }
            each(layer, outcome.add(&mut proof));
        }
    }
    outcome
}

fn shape_and_layer(key: &VerifierKey, layer: u32) -> (&ShapeKey, &LayerKey) {
    let layer = &key.layers[layer as usize];
    (&key.shapes[layer.shape as usize], layer)
}

fn all_layers(key: &VerifierKey) -> Vec<u32> {
    (0..key.layers.len() as u32).collect()
}

#[test]
fn a_bundle_reveals_independent_values() {
    let (key, lengths) = &*CHAIN;
    let outcome = transcripts(key, &all_layers(key), 1, true, |layer, bytes| {
        assert_eq!(bytes, lengths[layer as usize], "layer {layer}: the enumeration has not the length of the proof");
    });
    println!("{} independent values, {} implied by others", outcome.independent, outcome.implied);
    assert_eq!(outcome.leaks, Vec::<String>::new());
    assert!(outcome.independent > 100);
}

/// Boundary lanes are opened at a point of each layer; the counts that keys are checked for agree with that.
#[test]
fn shared_tensors_are_opened_by_several_layers() {
    let (key, _) = &*CHAIN;
    let counts = nanozk_proof::hiding::check(&key.shapes, &key.layers).unwrap();
    let mut layers: BTreeMap<u32, usize> = BTreeMap::new();
    for layer in &key.layers {
        layer.inputs.iter().chain(&layer.outputs).for_each(|t| *layers.entry(*t).or_default() += 1);
    }
    let hidden = layers.iter().filter(|(t, _)| !key.tensors[**t as usize].visibility.public());
    assert_eq!(counts.revealed, 1 + hidden.map(|(_, n)| *n).max().unwrap());
    assert!(counts.revealed > 2);
}

/// An unfinished layer that is proven again shares the masks of its tensors with the first attempt, which hides both.
/// Were all masks the same, they would run out, and the test sees when.
#[test]
fn masks_run_out_when_they_are_reused() {
    let (key, _) = &*CHAIN;
    let leaks = |times, fresh| {
        let leaks = transcripts(key, &[1], times, fresh, |_, _| {}).leaks;
        leaks.into_iter().filter(|what| what.contains(" at ")).collect::<Vec<_>>()
    };
    assert_eq!(leaks(2, true), Vec::<String>::new(), "a layer proven again");
    assert!(!leaks(8, false).is_empty());
}

/// The weights' masks are the same in all proofs: re-randomised folds reveal nothing of them, plain ones do.
#[test]
fn weights_stay_hidden_over_many_proofs() {
    let (key, _) = &*CHAIN;
    let layer = (0..key.layers.len()).filter(|l| !key.layers[*l].weights.is_empty());
    let layer = layer.min_by_key(|l| key.layers[*l].weights.len()).unwrap();
    let columns = key.layers[layer].weights.len();
    let proofs = 8 * columns + 1;
    let weights = |rerandomise| {
        let mut matrix = Matrix::default();
        let s = Fr::random(rng(1));
        let mut leaks = 0;
        for id in 0..proofs {
            let (shape, of) = shape_and_layer(key, layer as u32);
            let mut proof = Proof::new(shape, (layer as u32, of), id, s, &mut |_| Fr::ONE, rng(100 + id as u64));
            proof.rerandomise = rerandomise;
            if id == 0 {
                proof.outside().into_iter().for_each(|(_, f)| assert!(matrix.add(f)));
            }
            let of_weights = |f: &matrix::Functional| {
                f.iter().any(|(cell, _)| matches!(cell, Random::Weight(..) | Random::Delta(..) | Random::Kappa(..)))
            };
            // The batched opening is hidden by the random polynomial.
            let alone = |f: &matrix::Functional| !f.iter().any(|(cell, _)| matches!(cell, Random::Polynomial(..)));
            for element in proof.revealed().0 {
                if of_weights(&element.function) && alone(&element.function) {
                    let independent = matrix.add(element.function);
                    leaks += usize::from(!independent && !element.implied);
                }
            }
        }
        leaks
    };
    println!("{proofs} proofs with {columns} weight columns");
    assert_eq!(weights(true), 0);
    assert!(weights(false) > 0);
}

//! A hand-made plan with every kind of constraint, proven and verified; each forgery is rejected.

mod tiny;

use ff::Field;
use nanozk_plan::MASK_ROWS;
use nanozk_proof::{
    error::LayerError,
    field::{Fr, G1},
    guard::{LayerGuard, check_all},
    layer::LayerKey,
    span_proof::SPAN_ROWS,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore, SeedableRng};
use tiny::{TOKENS, X, accepts, fixture, lanes, prepared, prove, prove_drawing, prove_with, try_prove};

#[test]
fn honest_layer_verifies() {
    let f = fixture();
    let (proof, boundary) = prove(&f, lanes(&f), &f.weights);
    assert!(accepts(&f, &boundary, &proof, 7, &[3]));
    assert!(!accepts(&f, &boundary, &proof, 8, &[3]), "another prefix");
    assert!(!accepts(&f, &boundary, &proof, 7, &[4]), "another parameter");
    let other = boundary.iter().map(|c| c.map(|c| c + G1::from(f.bases.lagrange()[0]))).collect::<Vec<_>>();
    assert!(!accepts(&f, &other, &proof, 7, &[3]), "another boundary tensor");
    let mut longer = proof.clone();
    longer.push(0);
    assert!(!accepts(&f, &boundary, &longer, 7, &[3]), "trailing byte");
    assert!(!accepts(&f, &boundary, &proof[..proof.len() - 1], 7, &[3]), "truncated");
}

#[test]
fn forged_cells_are_rejected() {
    let f = fixture();
    for l in 0..6 {
        let mut forged = lanes(&f);
        forged[l].data[1] += 1;
        let (proof, boundary) = prove(&f, forged, &f.weights);
        assert!(!accepts(&f, &boundary, &proof, 7, &[3]), "lane {l}");
    }
}

#[test]
fn other_weights_are_rejected() {
    let f = fixture();
    let mut weights = f.weights.clone();
    weights.columns[0][0] += 1;
    let mut forged = lanes(&f);
    for (cell, x) in forged[1].data.iter_mut().zip(X) {
        *cell += x[0];
    }
    let (proof, boundary) = prove(&f, forged, &weights);
    assert!(!accepts(&f, &boundary, &proof, 7, &[3]));
}

/// The opening holds for whatever weights the prover folds; that they are the committed ones is an equation of its own,
/// which counts alone and in a batch.
#[test]
fn a_fold_of_other_commitments_is_rejected() {
    let f = fixture();
    let (proof, boundary) = prove(&f, lanes(&f), &f.weights);
    let guard = |key: &LayerKey| prepared(&f, key, &boundary, &proof, 7, &[3]).unwrap();
    let batch = |guards: &[LayerGuard]| check_all(guards, f.srs.verifier_part(), &mut ChaCha20Rng::seed_from_u64(4));
    let honest = guard(&f.key);
    assert!(batch(&[]) && batch(std::slice::from_ref(&honest)) && batch(&[honest.clone(), honest.clone()]));
    for column in 0..f.key.weights.len() {
        let mut key = f.key.clone();
        key.weights[column] += G1::from(f.bases.lagrange()[0]);
        let other = guard(&key);
        assert_eq!(other.check(f.srs.verifier_part()), Err(LayerError::Weights), "column {column}");
        assert!(!batch(&[honest.clone(), other.clone()]) && !batch(&[other.clone(), other]), "column {column}");
    }
}

/// A wrong product y = x W made up for by a product in a row that no matrix and no activation uses.
#[test]
fn unused_product_rows_are_zero() {
    let f = fixture();
    let used = f.shape.key.plan.operand_rows() as usize;
    for row in [used, f.shape.key.plan.geometry.rows() - 1] {
        let mut forged = lanes(&f);
        forged[1].data[0] += 1;
        let (proof, boundary) = prove_with(&f, forged, &f.weights, |ch, chosen| {
            // y_0 of token 0 has the weight theta^(T-1), and its claim the monomial 1.
            chosen.a.resize(row + 1, Fr::ZERO);
            chosen.b.resize(row + 1, Fr::ZERO);
            chosen.a[row] = ch.theta.pow_vartime([TOKENS as u64 - 1]);
            chosen.b[row] = Fr::ONE;
        });
        assert!(!accepts(&f, &boundary, &proof, 7, &[3]), "row {row}");
    }
}

/// Counts the words that are drawn: four for a number, which is small enough to be taken at once.
struct Counting(ChaCha20Rng, usize);

impl RngCore for Counting {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.1 += 1;
        self.0.next_u64() >> 4
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.try_fill_bytes(bytes)
    }
}

impl CryptoRng for Counting {}

/// What a proof hides by is drawn, all of it.
#[test]
fn as_many_numbers_are_drawn_as_hide_the_witness() {
    let f = fixture();
    let mut rng = Counting(ChaCha20Rng::seed_from_u64(5), 0);
    prove_drawing(&f, lanes(&f), &f.weights, &mut rng, |_, _| {});

    let (columns, cs) = (&f.shape.key.columns, f.shape.key.vk.cs());
    let multiplicities = 1 + columns.tables;
    let masks = MASK_ROWS * (columns.v + columns.a + columns.b + multiplicities);
    // The deltas of the weight fold, and the nonces of their proof.
    let span = 2 * SPAN_ROWS;
    // The running sum has one column.
    let blinded = multiplicities + 1;
    let blinding = (cs.blinding_factors() + 1) * blinded;
    let random_polynomial = 1 << f.shape.key.plan.geometry.k;
    // Between two pieces of the quotient.
    let pieces = cs.degree() - 2;
    assert_eq!(rng.1, 4 * (masks + span + blinding + random_polynomial + pieces));
}

/// Lanes that are not those of the plan are no witness, and a claim needs the tensors that the plan holds.
#[test]
fn what_is_not_of_the_plan_is_refused() {
    let f = fixture();
    let mut fewer = lanes(&f);
    fewer.pop();
    let mut shorter = lanes(&f);
    shorter[0].data.pop();
    for lanes in [fewer, shorter] {
        let boundary = vec![None; lanes.len()];
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        assert!(try_prove(&f, lanes, &f.weights, &boundary, &mut rng, |_, _| {}).is_err());
    }
    let (proof, boundary) = prove(&f, lanes(&f), &f.weights);
    for lane in 0..boundary.len() {
        let mut other = boundary.clone();
        other[lane] = if other[lane].is_some() { None } else { Some(f.bases.lagrange()[0].into()) };
        let refused = prepared(&f, &f.key, &other, &proof, 7, &f.key.params).err();
        assert!(matches!(refused, Some(LayerError::Mismatch("a boundary tensor"))), "lane {lane}: {refused:?}");
    }
}

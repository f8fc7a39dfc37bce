//! What a prover spends its time on: products with bases, transforms, lookups, the coefficients of the equations.

use criterion::{Criterion, criterion_group, criterion_main};
use ff::Field;
use nanozk_proof::Domain;
use nanozk_proof::challenges::{Challenges, Lambda};
use nanozk_proof::field::Fr;
use nanozk_proof::linear::omega;
use nanozk_proof::pcs::ProverBases;
use nanozk_proof::prover::random_mask;
use nanozk_proof::publics::{PublicData, public_values};
use nanozk_proof::srs::Srs;
use nanozk_proof::witness::{AdviceBuilder, LaneColumn, LayerWitness, multiplicities};
use nanozk_testkit::models;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::hint::black_box;

/// Rows are `2^K`.
const K: u32 = 12;

fn products(c: &mut Criterion) {
    let bases = ProverBases::new(&Srs::embedded(K).expect("in the program"), K).expect("fits");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let column: Vec<Fr> = (0..1 << K).map(|_| Fr::random(&mut rng)).collect();
    let limbs: Vec<i64> = (0..1 << K).map(|_| i64::from(rng.next_u32() % 4096) - 2048).collect();
    c.bench_function("commit to 2^12 field elements", |b| b.iter(|| bases.commit_dense(black_box(&column))));
    c.bench_function("commit to 2^12 limbs", |b| b.iter(|| bases.commit_small(black_box(&limbs))));
    let domain = Domain::new(K);
    c.bench_function("interpolate 2^12 values", |b| b.iter(|| domain.coefficients(black_box(&column))));
}

fn layer(c: &mut Criterion) {
    let net = models::block_of(32, 64, 4, 4, true, 11);
    let lowered = net.lower();
    let (plan, tables) = (&lowered.plan, net.model.layers[0].table_values());
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut column = |data| LaneColumn { data, mask: random_mask(&mut rng) };
    let lanes: Vec<LaneColumn> = net.lanes(&lowered).into_iter().map(&mut column).collect();
    c.bench_function("count the lookups of a block", |b| b.iter(|| multiplicities(plan, &lanes, &tables)));

    let counts = multiplicities(plan, &lanes, &tables).into_iter().map(&mut column).collect();
    let linear = vec![Fr::ZERO; plan.geometry.rows()];
    let witness = LayerWitness { lanes, tables, multiplicities: counts, linear, geometry: plan.geometry };
    let [beta, gamma, theta, rho, eta, lambda] = std::array::from_fn(|_| Fr::random(&mut rng));
    c.bench_function("its lookup argument", |b| {
        b.iter(|| AdviceBuilder::new(plan, &witness, beta, gamma).second_phase());
    });

    let challenges = Challenges::new(theta, rho, eta).expect("not 0");
    let lambda = Lambda::new(lambda).expect("not 0");
    let data = PublicData { params: &net.model.layers[0].params, inputs: &[None], outputs: &[None] };
    let publics = public_values(plan, &data, &challenges).expect("no public tensors");
    c.bench_function("the coefficients of its equations", |b| {
        b.iter(|| omega(plan, &challenges, &lambda, black_box(&publics)));
    });
}

criterion_group!(benches, products, layer);
criterion_main!(benches);

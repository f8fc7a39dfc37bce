//! A transformer block as a plan, and the prover's lanes from its integers.

use criterion::{Criterion, criterion_group, criterion_main};
use nanozk_plan::check::check;
use nanozk_testkit::models;

fn lanes(c: &mut Criterion) {
    let net = models::block_of(32, 64, 4, 4, true, 11);
    let lowered = net.lower();
    c.bench_function("fill the lanes of a block of 32 tokens and 64 features", |b| b.iter(|| net.lanes(&lowered)));
    c.bench_function("check its plan", |b| b.iter(|| check(&lowered.plan)));
    c.bench_function("find its plan", |b| b.iter(|| net.lower()));
}

criterion_group!(benches, lanes);
criterion_main!(benches);

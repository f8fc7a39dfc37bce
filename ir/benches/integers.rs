//! The integers of a transformer block: its run, which every proof begins with, and the bounds that compilation asks for.

use criterion::{Criterion, criterion_group, criterion_main};
use nanozk_ir::int::interp;
use nanozk_ir::int::ranges::{Norms, analyse};
use nanozk_testkit::models;
use std::hint::black_box;

fn integers(c: &mut Criterion) {
    let net = models::block_of(32, 64, 4, 4, true, 11);
    let inputs: Vec<&[i64]> = net.inputs.iter().map(Vec::as_slice).collect();
    c.bench_function("run a block of 32 tokens and 64 features", |b| b.iter(|| interp::run(&net.model, 0, &inputs)));
    c.bench_function("bounds of its nodes", |b| b.iter(|| analyse(&net.model)));
    let matrix: Vec<i32> = (0..1i32 << 16).map(|i| i.wrapping_mul(7919) % 1000).collect();
    // What is known of a matrix is kept, so each iteration begins with nothing.
    c.bench_function("greatest singular value of 256 x 256", |b| {
        b.iter(|| Norms::default().spectral(black_box(&matrix), 256));
    });
}

criterion_group!(benches, integers);
criterion_main!(benches);

use ff::{Field, PrimeField};
use halo2_proofs::plonk::{ConstraintSystem, Constraints, Expression, FirstPhase};
use halo2_proofs::poly::Rotation;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::block::{self, Ops, Portable};
use crate::domain::Coset;
use crate::field::powers;

fn random(n: usize, rng: &mut ChaCha8Rng) -> Vec<Fr> {
    let special = [Fr::ZERO, Fr::ONE, -Fr::ONE];
    (0..n).map(|_| if rng.gen_bool(0.1) { special[rng.gen_range(0..3)] } else { Fr::random(&mut *rng) }).collect()
}

/// Results of operations at the limits of their operands.
fn operations<O: Ops>(o: O, a: &[Fr; LANES], b: &[Fr; LANES]) -> Vec<[Fr; LANES]> {
    let (a, b) = (o.load(&o.store(o.enter(a))), o.enter(b));
    let mut large = a;
    for _ in 0..13 {
        large = o.add(large, a);
    }
    let large = o.tight(large);
    let constant = o.broadcast(&o.constant(&Fr::from(7)));
    let mut transposed: [O::Value; LANES] = std::array::from_fn(|i| if i % 2 == 0 { a } else { b });
    o.transpose(&mut transposed);
    let results = [
        a,
        o.add(a, b),
        o.sub(a, b, 2),
        o.mul(a, b),
        o.mul(large, large),
        o.sub(b, large, 14),
        o.mul(o.tight(o.sub(b, large, 14)), o.tight(large)),
        o.mul(o.tight(o.add(large, large)), constant),
    ];
    results.into_iter().chain(transposed).map(|value| o.leave(value)).collect()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn vector_operations_equal_the_portable_ones() {
    let Some(ifma) = crate::cpu::Ifma::detect() else {
        println!("skipped: the machine lacks the instructions");
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..200 {
        let [a, b] = [(); 2].map(|()| random(LANES, &mut rng).try_into().unwrap());
        assert_eq!(operations(ifma, &a, &b), operations(Portable, &a, &b));
    }
}

#[test]
fn kernels_compute_what_they_say() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let columns: Vec<Vec<Fr>> = (0..23).map(|_| random(45, &mut rng)).collect();
    let factors = random(23, &mut rng);
    let blocks: Vec<Vec<Block>> = columns.iter().map(|column| block::enter(column)).collect();
    let padded = block::leave(&blocks[0]);
    assert_eq!((&padded[..45], &padded[45..]), (columns[0].as_slice(), [Fr::ZERO; 3].as_slice()));
    let slices: Vec<&[Block]> = blocks.iter().map(Vec::as_slice).collect();
    let constants: Vec<_> = factors.iter().map(block::constant).collect();
    let sums: Vec<Fr> = (0..45).map(|row| columns.iter().zip(&factors).map(|(c, f)| c[row] * f).sum()).collect();
    assert_eq!(block::leave(&block::combine(&slices, &constants))[..45], sums);
    let product: Fr = columns[0].iter().zip(&columns[1]).map(|(a, b)| *a * b).sum();
    assert_eq!(block::dot(&blocks[0], &blocks[1]), product);
    let x = factors[0];
    let first: [Fr; LANES] = powers(x, LANES).try_into().unwrap();
    assert_eq!(block::leave(&block::progression(&first, &x.pow_vartime([8]), 4)), powers(x, 32));
}

#[test]
fn transforms_evaluate_and_interpolate() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for k in [2, 4, 6, 8, 10, 16, 17] {
        let domain = Domain::new(k);
        let n = 1usize << k;
        let values = random(n - 1, &mut rng);
        let coefficients = domain.interpolate(&values);
        let plain = block::leave(&coefficients);
        let at = |x: Fr| opening::evaluate(&plain[..n], x);
        for row in [0, 1, n / 2, n - 2, n - 1] {
            let expected = values.get(row).copied().unwrap_or(Fr::ZERO);
            assert_eq!(at(domain.omega().pow_vartime([row as u64])), expected, "k = {k}, row {row}");
        }
        let g = Fr::MULTIPLICATIVE_GENERATOR;
        let coset = domain.evaluate(&coefficients, &Coset::new(&domain, g, coefficients.len()));
        for (row, value) in block::leave(&coset)[..n].iter().enumerate().step_by(n.div_ceil(64)) {
            assert_eq!(*value, at(g * domain.omega().pow_vartime([row as u64])), "k = {k}, row {row}");
        }
        let mut back = domain.interpolate_coset(coset);
        block::multiply(&mut back, &block::enter(&powers(g.invert().unwrap(), n)));
        block::scale(&mut back, &block::constant(&Fr::from(n as u64).invert().unwrap()));
        assert_eq!(block::leave(&back)[..n], plain[..n], "k = {k}");
        // On a coset of fewer rows than there are coefficients.
        let Some(few) = (k > 6).then(|| Domain::new(k - 2)) else { continue };
        let coset = block::leave(&few.evaluate(&coefficients, &Coset::new(&few, g, coefficients.len())));
        for row in [0, 1, few.n() / 2, few.n() - 1] {
            assert_eq!(coset[row], at(g * few.omega().pow_vartime([row as u64])), "k = {k}, row {row}");
        }
    }
}

/// The quotient of constraints that hold, against the constraints themselves at a random point.
#[test]
fn the_quotient_times_the_vanishing_polynomial_is_the_numerator() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut cs = ConstraintSystem::<Fr>::default();
    let (a, b, c, s) = (cs.advice_column(), cs.advice_column(), cs.instance_column(), cs.instance_column());
    let challenge = cs.challenge_usable_after(FirstPhase);
    cs.create_gate("gates", |cells| {
        let next = cells.query_advice(a, Rotation::next());
        let [a, b] = [a, b].map(|column| cells.query_advice(column, Rotation::cur()));
        let [c, s] = [c, s].map(|column| cells.query_instance(column, Rotation::cur()));
        let z = cells.query_challenge(challenge);
        let many = (0..40).fold(b.clone(), |sum, i| if i % 3 == 0 { sum - c.clone() } else { sum + a.clone() });
        let few = b.clone() - c.clone() * Fr::from(14) + a.clone() * Fr::from(26);
        Constraints::without_selector(vec![
            s.clone() * (a.clone() * b - c),
            -(s.clone() * (a.clone() * Fr::from(3) + z - next)),
            s.clone() * (few.clone() - many.clone()),
            s.clone() * (many.clone() * few.clone() - few * many),
        ])
    });
    // The cosets of the second are cut.
    for k in [7, 11] {
        quotient_fits(&cs, k, &mut rng);
    }
}

fn quotient_fits(cs: &ConstraintSystem<Fr>, k: u32, rng: &mut ChaCha8Rng) {
    let (challenges, y) = ([Fr::random(&mut *rng)], Fr::random(&mut *rng));
    let domain = Domain::new(k);
    let n = domain.n();
    let mut advice = [random(n, rng), random(n, rng)];
    for row in 1..n {
        advice[0][row] = advice[0][row - 1] * Fr::from(3) + challenges[0];
    }
    let product = advice[0].iter().zip(&advice[1]).map(|(a, b)| *a * b).collect();
    let mut selector = random(n, rng);
    selector[n - 1] = Fr::ZERO;
    let [a, b] = advice;
    let columns: Vec<Vec<Block>> = [product, selector, a, b].iter().map(|column| domain.interpolate(column)).collect();
    let columns: Vec<&[Block]> = columns.iter().map(Vec::as_slice).collect();
    let layout = Layout { instance: 0, advice: 2 };
    let program = Program::new(cs, layout, &challenges, y).unwrap();

    let x = Fr::random(&mut *rng);
    let at = |column: usize, rotation: Rotation| {
        opening::evaluate(&block::leave(columns[column]), Queries::point(&domain, x, rotation.0))
    };
    let value = |expression: &Expression<Fr>| {
        expression.evaluate(
            &|c| c,
            &|_| Fr::ZERO,
            &|_| Fr::ZERO,
            &|q| at(2 + q.column_index(), q.rotation()),
            &|q| at(q.column_index(), q.rotation()),
            &|c| challenges[c.index()],
            &|a| -a,
            &|a, b| a + b,
            &|a, b| a * b,
            &|a, c| a * c,
        )
    };
    let numerator = cs.gates()[0].polynomials().iter().fold(Fr::ZERO, |sum, expression| sum * y + value(expression));
    let quotient = quotient::quotient(&domain, &program, &columns, cs.degree());
    let vanishing = x.pow_vartime([n as u64]) - Fr::ONE;
    assert_ne!(numerator, Fr::ZERO);
    assert_eq!(opening::evaluate(&quotient, x) * vanishing, numerator);
}

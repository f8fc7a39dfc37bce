use super::*;
use crate::{challenges::Challenges, prover::Omegas, srs::root_of_unity};
use group::Group;
use nanozk_plan::{FixedColumn, Functional, FunctionalEntry, Geometry, Lane, Lookup, Monomial, Operand, Relation, Tag};
use nanozk_plan::{Term, TokenWeight};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::Arc;

/// Three lanes, of whose slots functionals read some twice in one way, and some in both.
fn plan(k: u32, limb_bits: u32, tokens: u32) -> Plan {
    let geometry = Geometry::new(k, limb_bits, tokens).expect("fits");
    let (rows, groups) = (geometry.rows() as u32, geometry.groups);
    let monomial = Monomial { rho: (0, 0), eta: (0, 0) };
    let entry = |(slot, row, rho)| FunctionalEntry { slot, row, rho };
    let functional = |kind, entries: [(u32, u32, u32); 5]| Functional { kind, entries: entries.map(entry).into() };
    let fixed = |runs| FixedColumn { name: String::new(), runs };
    Plan {
        geometry,
        lanes: (0..3).map(|i| Lane { name: i.to_string(), boundary: None }).collect(),
        fixed: vec![
            fixed(vec![(0, 1, -3), (1, 2, 1 << 40), (3, rows - 3, -3)]),
            fixed(vec![(1, 2, 1), (rows - 1, 1, 1)]),
            fixed(vec![]),
        ],
        lookups: vec![Lookup { a: 0, b: None, tag: Tag::Fixed(0), mask: Some(1) }],
        relations: vec![Relation { count: groups, terms: vec![Term { coef: -5, slot: 0, stride: 1 }] }],
        operands: vec![Operand { row: 0, row_stride: 1, count: rows - 1, monomial, terms: vec![] }],
        functionals: vec![
            functional(
                TokenWeight::Eta,
                [(0, 0, 0), (2 * groups - 1, 1, 0), (0, 2, 0), (2 * groups, 0, 0), (groups - 1, 1, 0)],
            ),
            functional(
                TokenWeight::Row,
                [(0, 0, 17), (groups - 1, 0, 0), (2 * groups - 1, 0, 3), (0, 0, 2), (2 * groups, 0, 1)],
            ),
        ],
        ..Plan::default()
    }
}

/// Omega_C and Omega_F cell by cell (docs/protocol.md, section 5).
fn cell_weights(plan: &Plan, ch: &Challenges, lambda: Fr) -> Vec<Vec<Fr>> {
    let Geometry { tokens, groups, .. } = plan.geometry;
    let power = |base: Fr, exponent: u32| base.pow_vartime([u64::from(exponent)]);
    let (rows, last) = (plan.geometry.rows(), tokens - 1);
    let base_b = if tokens > 1 { 1 + plan.lane_slots() } else { 1 };
    let compression = (0..rows as u32).map(|r| power(lambda, 1 + r / tokens) * power(ch.theta, last - r % tokens));
    let mut out = if tokens > 1 { vec![compression.collect()] } else { Vec::new() };
    for lane in 0..3 {
        let mut column = vec![Fr::ZERO; rows];
        for functional in &plan.functionals {
            for entry in functional.entries.iter().filter(|entry| entry.slot / groups == lane) {
                for t in 0..tokens {
                    column[plan.geometry.row(entry.slot, t)] += match functional.kind {
                        TokenWeight::Eta => power(lambda, base_b + entry.row) * power(ch.eta, last - t),
                        TokenWeight::Row => power(lambda, base_b + entry.row + t) * power(ch.rho, entry.rho),
                    };
                }
            }
        }
        out.push(column);
    }
    out
}

/// What verifiers evaluate, against the columns that the prover commits to nothing of, and those against their definition.
#[test]
fn plain_values_are_those_of_the_columns() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut draw = || Fr::random(&mut rng);
    for (k, limb_bits, tokens) in
        [(5, 0, 1), (5, 1, 2), (6, 2, 5), (6, 3, 8), (6, 4, 9), (6, 5, 24), (6, 3, 49), (9, 8, 61)]
    {
        let case = format!("k = {k}, {tokens} tokens");
        let plan = Arc::new(plan(k, limb_bits, tokens));
        let shape = ShapeKey::new(plan.clone(), vec![G1::generator(); SPAN_ROWS]).expect("fits");
        let ch = Challenges::new(draw(), draw(), draw()).expect("not 0");
        let (lambda, x) = (Lambda::new(draw()).expect("not 0"), draw());
        let omega = linear::omega(&plan, &ch, &lambda, &[]).expect("indices fit");
        let ratios = LagrangeRatios::new(k, x).expect("x is no row");
        let mut values = omega_values(&shape, &omega, &ratios);
        values.extend(fixed_values(&plan, &ratios));

        let mut columns = Omegas::new(&omega).columns(&shape, omega);
        let (first, weights) = (shape.columns.omega_v(), cell_weights(&plan, &ch, lambda.value));
        let given = columns[first..first + weights.len()].iter().zip(&weights);
        for (i, (column, weights)) in given.enumerate() {
            assert_eq!(column[..], weights[..column.len()], "{case}: Omega_C or Omega_F, column {i}");
            assert!(weights[column.len()..].iter().all(Fr::is_zero_vartime), "{case}: the end of column {i}");
        }
        let fixed = crate::circuit::fixed_column_values(&plan);
        columns.extend(fixed.map(|column| column.iter().map(|value| int(*value)).collect()));
        let ratio = |row: usize| {
            let w = root_of_unity(k).pow_vartime([row as u64]);
            w * (x - Fr::ONE) * (x - w).invert().expect("x is no row")
        };
        let at = |column: &Vec<Fr>| column.iter().enumerate().map(|(row, cell)| *cell * ratio(row)).sum::<Fr>();
        assert_eq!(columns.len(), shape.columns.plain(), "{case}");
        assert_eq!(values, columns.iter().map(at).collect::<Vec<Fr>>(), "{case}");
    }
}

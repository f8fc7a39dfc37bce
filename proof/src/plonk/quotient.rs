//! The quotient of the combined constraints by the vanishing polynomial of the rows.
//!
//! A circuit of degree d has a quotient `h_0 + X^n h_1 + ... + X^(n (d - 2)) h_(d-2)`. On the coset of factor g it takes
//! the values of `sum_k g^(k n) h_k`, a polynomial of degree below n: d - 1 cosets of n rows determine it.

use ff::{Field, PrimeField};
use rayon::prelude::*;

use super::block::{self, Block, LANES};
use super::domain::Domain;
use super::program::Program;
use crate::field::{Fr, batch_invert, powers};

/// Blocks of rows that one task evaluates.
const TASK_BLOCKS: usize = 128;

/// Coefficients of the quotient, `degree - 1` times n of them. It is the quotient only where the constraints hold.
pub(super) fn quotient(domain: &Domain, program: &Program, columns: &[&[Block]], degree: usize) -> Vec<Fr> {
    let parts = degree - 1;
    let n = domain.n();
    let factors: Vec<Fr> = powers(Fr::MULTIPLICATIVE_GENERATOR, parts + 1).split_off(1);
    let values: Vec<Vec<Block>> = factors.iter().map(|g| on_coset(domain, program, columns, *g)).collect();
    let values: Vec<&[Block]> = values.iter().map(Vec::as_slice).collect();

    // `values[c]` are n (g^n - 1) times the coefficients on coset c.
    let powers_n: Vec<Fr> = factors.iter().map(|g| g.pow_vartime([n as u64])).collect();
    let mut divisors: Vec<Fr> = powers_n.iter().map(|g| (*g - Fr::ONE) * Fr::from(n as u64)).collect();
    batch_invert(&mut divisors);
    let rows = inverse_vandermonde(&powers_n);
    let part = |row: &Vec<Fr>| {
        let constants: Vec<_> = row.iter().zip(&divisors).map(|(m, d)| block::constant(&(*m * d))).collect();
        let mut coefficients = block::leave(&block::combine(&values, &constants));
        coefficients.truncate(n);
        coefficients
    };
    rows.par_iter().flat_map_iter(part).collect()
}

/// The numerator on the coset of factor g, as n times its coefficients.
fn on_coset(domain: &Domain, program: &Program, columns: &[&[Block]], g: Fr) -> Vec<Block> {
    let shifts = shifts(domain, g);
    let cosets: Vec<Vec<Block>> = columns.par_iter().map(|column| domain.evaluate(column, &shifts)).collect();
    let cosets: Vec<&[Block]> = cosets.iter().map(Vec::as_slice).collect();
    let mut values = vec![Block::BLANK; shifts.len()];
    values
        .par_chunks_mut(TASK_BLOCKS)
        .enumerate()
        .for_each(|(task, out)| program.run(&cosets, task * TASK_BLOCKS, out));
    let mut coefficients = domain.interpolate_coset(values);
    block::multiply(&mut coefficients, &self::shifts(domain, g.invert().unwrap_or(Fr::ZERO)));
    coefficients
}

/// The powers of g.
fn shifts(domain: &Domain, g: Fr) -> Vec<Block> {
    let first: [Fr; LANES] = std::array::from_fn(|i| g.pow_vartime([i as u64]));
    block::progression(&first, &(first[LANES - 1] * g), domain.n().div_ceil(LANES))
}

/// Row k gives the coefficient of `X^k` of the polynomial with given values at the distinct `points`.
fn inverse_vandermonde(points: &[Fr]) -> Vec<Vec<Fr>> {
    let mut rows = vec![vec![Fr::ZERO; points.len()]; points.len()];
    for (i, point) in points.iter().enumerate() {
        let (mut basis, mut divisor) = (vec![Fr::ONE], Fr::ONE);
        for (_, other) in points.iter().enumerate().filter(|(j, _)| *j != i) {
            let mut next = vec![Fr::ZERO; basis.len() + 1];
            for (k, b) in basis.iter().enumerate() {
                next[k + 1] += b;
                next[k] -= *b * other;
            }
            basis = next;
            divisor *= *point - other;
        }
        let scale = divisor.invert().unwrap_or(Fr::ZERO);
        rows.iter_mut().zip(&basis).for_each(|(row, b)| row[i] = *b * scale);
    }
    rows
}

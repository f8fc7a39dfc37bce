//! The quotient of the combined constraints by the vanishing polynomial of the rows.
//!
//! A circuit of degree d has a quotient of (d - 1) n coefficients: `h_0 + X^m h_1 + X^(2 m) h_2 + ..` with parts of m. On a
//! coset of m rows and of factor g it takes the values of `sum_k g^(k m) h_k`, a polynomial of degree below m: as many cosets
//! as there are parts determine it. Parts shorter than n keep the values of all columns small.

use ff::{Field, PrimeField};
use rayon::prelude::*;

use super::program::Program;
use crate::block::{self, Block, LANES};
use crate::domain::{Coset, Domain, shifts};
use crate::field::{Fr, batch_invert, powers};

/// Blocks of rows that one task evaluates.
const TASK_BLOCKS: usize = 128;
/// Cosets in place of one of n rows: the memory for values is divided by it, and folding a column takes as many
/// multiplications for each row.
const CUTS: u32 = 4;
/// Least k of circuits whose cosets are cut.
const MIN_CUT_K: u32 = 10;

/// Coefficients of the quotient, `degree - 1` times n of them. It is the quotient only where the constraints hold.
pub(super) fn quotient(domain: &Domain, program: &Program, columns: &[&[Block]], degree: usize) -> Vec<Fr> {
    let cuts = if domain.k() >= MIN_CUT_K { CUTS } else { 1 };
    let part = Domain::new(domain.k() - cuts.ilog2());
    let (n, m) = (domain.n(), part.n());
    let generators: Vec<Fr> = powers(Fr::MULTIPLICATIVE_GENERATOR, degree).split_off(1);
    let steps = powers(domain.omega(), cuts as usize);
    let factors: Vec<Fr> = generators.iter().flat_map(|g| steps.iter().map(move |step| *g * step)).collect();
    let values: Vec<Vec<Block>> =
        generators.iter().flat_map(|g| numerators(&part, program, columns, *g, &steps, domain.omega())).collect();
    let values: Vec<&[Block]> = values.iter().map(Vec::as_slice).collect();

    // `values[c]` are m (g^n - 1) times the coefficients on coset c.
    let mut divisors: Vec<Fr> =
        factors.iter().map(|g| (g.pow_vartime([n as u64]) - Fr::ONE) * Fr::from(m as u64)).collect();
    batch_invert(&mut divisors);
    let rows = inverse_vandermonde(&factors.iter().map(|g| g.pow_vartime([m as u64])).collect::<Vec<Fr>>());
    let coefficients = |row: &Vec<Fr>| {
        let constants: Vec<_> = row.iter().zip(&divisors).map(|(m, d)| block::constant(&(*m * d))).collect();
        let mut coefficients = block::leave(&block::combine(&values, &constants));
        coefficients.truncate(m);
        coefficients
    };
    rows.par_iter().flat_map_iter(coefficients).collect()
}

/// The numerators on the cosets of factors `g step`, each as m times its coefficients. The row behind one of coset i is in
/// coset i + 1, at the same place, so that the last comes first.
fn numerators(
    part: &Domain,
    program: &Program,
    columns: &[&[Block]],
    g: Fr,
    steps: &[Fr],
    omega: Fr,
) -> Vec<Vec<Block>> {
    let on = |columns: &[&[Block]], factor: Fr| -> Vec<Vec<Block>> {
        let coset = Coset::new(part, factor, columns.first().map_or(0, |column| column.len()));
        columns.par_iter().map(|column| part.evaluate(column, &coset)).collect()
    };
    let followed: Vec<&[Block]> = program.followed().iter().map(|column| columns[*column as usize]).collect();
    let mut next = on(&followed, g * steps[steps.len() - 1] * omega);
    let numerator = |step: &Fr| {
        let factor = g * step;
        let mut here = on(columns, factor);
        let read: Vec<&[Block]> = here.iter().chain(&next).map(Vec::as_slice).collect();
        let mut values = vec![Block::BLANK; part.n().div_ceil(LANES)];
        values
            .par_chunks_mut(TASK_BLOCKS)
            .enumerate()
            .for_each(|(task, out)| program.run(&read, task * TASK_BLOCKS, out));
        next = program.followed().iter().map(|column| std::mem::take(&mut here[*column as usize])).collect();
        drop(here);
        let mut coefficients = part.interpolate_coset(values);
        block::multiply(&mut coefficients, &shifts(part, factor.invert().unwrap_or(Fr::ZERO)));
        coefficients
    };
    let mut all: Vec<Vec<Block>> = steps.iter().rev().map(numerator).collect();
    all.reverse();
    all
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

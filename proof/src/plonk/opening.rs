//! The batched opening of Halo2, as the stock scheme's verifier checks it.
//!
//! Polynomials that are opened at the same points are combined with powers of x1, the quotients of these combinations by
//! their points with powers of x2, and all of that is opened at x3 with powers of x4.

use std::io;

use ff::Field;
use halo2_proofs::transcript::Transcript;
use rayon::prelude::*;

use crate::block::{self, Block};
use crate::field::{Fr, powers};
use crate::pcs::ProverBases;
use crate::transcript::LayerTranscript;

/// A polynomial to open, by its coefficients.
#[derive(Clone, Copy)]
pub(super) enum Poly<'a> {
    Blocks(&'a [Block]),
    Elements(&'a [Fr]),
}

/// A polynomial and the points it is opened at, by index in the list of points.
pub(super) struct Opening<'a> {
    pub(super) poly: Poly<'a>,
    pub(super) points: Vec<usize>,
}

/// Opens polynomials, listed in the order in which their first queries come; `points` likewise.
pub(super) fn open(
    bases: &ProverBases,
    openings: &[Opening],
    points: &[Fr],
    transcript: &mut LayerTranscript,
) -> io::Result<()> {
    let n = 1usize << bases.k();
    let x1: Fr = transcript.squeeze_challenge();
    let x2: Fr = transcript.squeeze_challenge();
    let sets = point_sets(openings);
    let combined: Vec<Vec<Fr>> = sets.par_iter().map(|(_, members)| combination(openings, members, x1, n)).collect();

    let quotient = |((set, _), poly): (&(Vec<usize>, Vec<usize>), &Vec<Fr>)| {
        set.iter().fold(poly.clone(), |poly, point| divide(&poly, points[*point]))
    };
    let quotients: Vec<Vec<Fr>> = sets.par_iter().zip(&combined).map(quotient).collect();
    let mut f = vec![Fr::ZERO; n];
    for (poly, factor) in quotients.iter().zip(powers(x2, quotients.len())) {
        f.iter_mut().zip(poly).for_each(|(sum, c)| *sum += *c * factor);
    }
    transcript.write(&bases.commit_coefficients(&f))?;
    let x3: Fr = transcript.squeeze_challenge();
    for poly in &combined {
        transcript.write(&evaluate(poly, x3))?;
    }
    let x4: Fr = transcript.squeeze_challenge();
    let mut last = vec![Fr::ZERO; n];
    for (poly, factor) in combined.iter().chain([&f]).zip(powers(x4, combined.len() + 1)) {
        last.iter_mut().zip(poly).for_each(|(sum, c)| *sum += *c * factor);
    }
    transcript.write(&bases.commit_coefficients(&divide(&last, x3)))
}

/// The sets of points with the polynomials opened there, ordered by size, then by first appearance.
fn point_sets(openings: &[Opening]) -> Vec<(Vec<usize>, Vec<usize>)> {
    let mut sets: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (index, opening) in openings.iter().enumerate() {
        let mut points = opening.points.clone();
        points.sort_unstable();
        match sets.iter_mut().find(|(set, _)| *set == points) {
            Some((_, members)) => members.push(index),
            None => sets.push((points, vec![index])),
        }
    }
    sets.sort_by_key(|(set, _)| set.len());
    sets
}

fn combination(openings: &[Opening], members: &[usize], x1: Fr, n: usize) -> Vec<Fr> {
    let (mut blocks, mut constants) = (Vec::new(), Vec::new());
    let mut rest = Vec::new();
    for (member, factor) in members.iter().zip(powers(x1, members.len())) {
        match openings[*member].poly {
            Poly::Blocks(poly) => {
                blocks.push(poly);
                constants.push(block::constant(&factor));
            }
            Poly::Elements(poly) => rest.push((poly, factor)),
        }
    }
    let mut sum = block::leave(&block::combine(&blocks, &constants));
    sum.resize(n, Fr::ZERO);
    for (poly, factor) in rest {
        sum.iter_mut().zip(poly).for_each(|(sum, c)| *sum += *c * factor);
    }
    sum
}

/// The quotient by `X - point`, without the remainder.
fn divide(poly: &[Fr], point: Fr) -> Vec<Fr> {
    let mut quotient = vec![Fr::ZERO; poly.len().saturating_sub(1)];
    let mut carry = Fr::ZERO;
    for (out, coefficient) in quotient.iter_mut().rev().zip(poly.iter().rev()) {
        carry = carry * point + coefficient;
        *out = carry;
    }
    quotient
}

/// The value at a point.
pub(super) fn evaluate(poly: &[Fr], point: Fr) -> Fr {
    poly.iter().rev().fold(Fr::ZERO, |sum, c| sum * point + c)
}

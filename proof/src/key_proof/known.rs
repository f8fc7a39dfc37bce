//! Proof that commitments of a verifier file are those of columns that everybody knows.
//!
//! The fixed columns of the circuits, the row patterns of the accumulators and the span basis are functions of the
//! plans, but a verifier without the SRS cannot recompute their commitments. So they are folded with a challenge mu, and
//! the fold is opened once at a challenge z, where the verifier evaluates the columns itself. A commitment of another
//! column passes with probability at most (columns + D) / p, D the number of powers in the SRS.

use crate::{
    circuit::fixed_column_values,
    field::{Bls12, Fr, G1, G1Affine, batch_invert, int, powers},
    layer::{ShapeKey, multipliers},
    msm,
    pcs::ProverBases,
    srs::{SrsVerifierPart, root_of_unity},
    transcript::Absorber,
};
use ff::Field;
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2curves::{
    G2Affine, G2Prepared,
    pairing::{MillerLoopResult, MultiMillerLoop},
};

/// Columns of `2^k` rows with their commitments.
pub struct Known {
    k: u32,
    commitments: Vec<G1>,
    columns: Vec<Vec<(usize, i64)>>,
}

/// The challenges mu and z.
#[derive(Clone, Copy)]
struct Points {
    mu: Fr,
    z: Fr,
}

impl Known {
    /// The known columns of circuits that all have `2^k` rows. `None` when a list has the wrong length.
    pub fn of<'a>(k: u32, shapes: impl Iterator<Item = &'a ShapeKey>) -> Option<Self> {
        let mut known = Known { k, commitments: Vec::new(), columns: Vec::new() };
        for shape in shapes {
            let geometry = &shape.plan.geometry;
            let cells = |column: Vec<i64>| column.into_iter().enumerate().filter(|(_, value)| *value != 0).collect();
            let fixed = fixed_column_values(&shape.plan).into_iter().map(cells).collect();
            known.extend(shape.vk.fixed_commitments(), fixed)?;
            for (patterns, multiplier) in shape.patterns.iter().zip(multipliers(&shape.plan)) {
                let rows = |rows: Vec<u32>| rows.into_iter().map(|row| (row as usize, 1)).collect();
                known.extend(patterns, multiplier.classes.into_iter().map(|(_, r)| rows(r)).collect())?;
            }
            let masks = geometry.mask_rows().take(shape.span_basis.len());
            known.extend(&shape.span_basis, masks.map(|row| vec![(row, 1)]).collect())?;
        }
        Some(known)
    }

    fn extend(&mut self, commitments: &[G1], columns: Vec<Vec<(usize, i64)>>) -> Option<()> {
        self.commitments.extend_from_slice(commitments);
        self.columns.extend(columns);
        (self.commitments.len() == self.columns.len()).then_some(())
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The challenges, bound to `statement` and all commitments.
    fn points(&self, statement: &[u8; 32]) -> Points {
        let mut absorber = Absorber::new("nanozk known columns");
        absorber.bytes("statement", statement);
        absorber.bytes("k", &self.k.to_le_bytes());
        absorber.points("commitments", &self.commitments);
        let draw = |label: &str| {
            let mut absorber = absorber.clone();
            absorber.bytes("challenge", label.as_bytes());
            absorber.scalar()
        };
        Points { mu: draw("mu"), z: draw("z") }
    }

    /// The fold of the columns.
    fn fold(&self, mu: Fr) -> Vec<Fr> {
        let mut out = vec![Fr::ZERO; 1 << self.k];
        for (column, factor) in self.columns.iter().zip(powers(mu, self.columns.len())) {
            for &(row, value) in column {
                out[row] += if value == 1 { factor } else { int(value) * factor };
            }
        }
        out
    }

    /// The opening of the fold. `None` if z is a row (probability 2^k / p).
    pub fn open(&self, bases: &ProverBases, statement: &[u8; 32]) -> Option<G1> {
        let Points { mu, z } = self.points(statement);
        let fold = self.fold(mu);
        let (value, inverses) = evaluate(self.k, &fold, z)?;
        let quotient: Vec<Fr> = fold.iter().zip(&inverses).map(|(f, inverse)| (value - f) * inverse).collect();
        Some(bases.commit(&quotient))
    }

    /// Whether `opening` shows that every commitment is that of its column.
    pub fn verify(&self, srs: &SrsVerifierPart, statement: &[u8; 32], opening: G1) -> bool {
        let Points { mu, z } = self.points(statement);
        let Some((value, _)) = evaluate(self.k, &self.fold(mu), z) else { return false };
        // f(X) - f(z) = (X - z) q(X): e(C - f(z) [1] + z Q, [1]_2) = e(Q, [s]_2).
        let commitment = msm::lincomb(&self.commitments, &powers(mu, self.commitments.len()));
        let left: G1 = commitment - G1::generator() * value + opening * z;
        let (left, right): (G1Affine, G1Affine) = (left.to_affine(), opening.to_affine());
        let terms = [(&left, &G2Prepared::from(-G2Affine::generator())), (&right, &G2Prepared::from(srs.s_g2()))];
        bool::from(Bls12::multi_miller_loop(&terms).final_exponentiation().is_identity())
    }
}

/// `f(z)` of the polynomial with the given values on the rows, and `1 / (z - omega^r)` for each row r.
fn evaluate(k: u32, values: &[Fr], z: Fr) -> Option<(Fr, Vec<Fr>)> {
    let roots = powers(root_of_unity(k), values.len());
    let mut inverses: Vec<Fr> = roots.iter().map(|w| z - w).collect();
    if inverses.iter().any(Fr::is_zero_vartime) {
        return None;
    }
    batch_invert(&mut inverses);
    let sum: Fr = values.iter().zip(&roots).zip(&inverses).map(|((v, w), inverse)| *v * w * inverse).sum();
    let n = 1u64 << k;
    let scale = Option::<Fr>::from(Fr::from(n).invert())? * (z.pow_vartime([n]) - Fr::ONE);
    Some((sum * scale, inverses))
}

//! Proof that commitments of a verifier file are those of columns that everybody knows.
//!
//! The span basis is that of some rows, the value columns of pair tables are functions of the values in the file, but a
//! verifier without the SRS cannot recompute their commitments. So they are folded with a challenge mu, and the fold is
//! opened once at a challenge z, where the verifier evaluates the columns itself. A commitment of another column passes with
//! probability at most (columns + D) / p, D the number of powers in the SRS.

use super::tables::TableKey;
use crate::{
    field::{Fr, G1, batch_invert, powers},
    guard::pairing_holds,
    layer::ShapeKey,
    msm,
    pcs::ProverBases,
    prover::table_column,
    srs::{SrsVerifierPart, root_of_unity},
    transcript::Absorber,
};
use ff::Field;
use group::Group;
use nanozk_ir::int::Table;
use nanozk_plan::Geometry;

/// Columns of `2^k` rows with their commitments. The columns are made when they are needed, one at a time: all at once,
/// they could be many times the size of their file.
pub struct Known<'a> {
    k: u32,
    commitments: Vec<G1>,
    sources: Vec<Source<'a>>,
}

/// Where a known column comes from.
enum Source<'a> {
    /// 1 in this row.
    Row(usize),
    /// The value column of a pair table.
    Table(Geometry, &'a Table),
}

/// The challenges mu and z.
#[derive(Clone, Copy)]
struct Points {
    mu: Fr,
    z: Fr,
}

impl<'a> Known<'a> {
    /// The first mask rows of those circuits that have `2^k` rows, and the columns of those of `tables` that belong to such
    /// circuits, given with their well-formed values.
    pub fn of(k: u32, shapes: &[ShapeKey], tables: impl Iterator<Item = (&'a TableKey, &'a Table)>) -> Self {
        let of_size = shapes.iter().filter(|shape| shape.plan.geometry.k == k);
        let rows = of_size.flat_map(|shape| shape.plan.geometry.mask_rows().map(Source::Row).zip(&shape.span_basis));
        let tables = tables.filter(|(table, _)| table.geometry.k == k);
        let tables = tables.map(|(table, values)| (Source::Table(table.geometry, values), &table.commitment));
        let (sources, commitments) = rows.chain(tables).unzip();
        Known { k, commitments, sources }
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.commitments.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.commitments.is_empty()
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
        for (source, factor) in self.sources.iter().zip(powers(mu, self.sources.len())) {
            match source {
                Source::Row(row) => out[*row] += factor,
                Source::Table(geometry, values) => {
                    let column = table_column(geometry, &values.compute());
                    out.iter_mut().zip(&column).for_each(|(cell, value)| *cell += factor * value);
                }
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
        pairing_holds(srs, opening, left)
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

//! Proof that commitments of a verifier file are those of columns that everybody knows.
//!
//! The fixed columns of the circuits, the row patterns of the accumulators and the span basis are functions of the
//! plans, the value columns of pair tables of the values in the file, but a verifier without the SRS cannot recompute
//! their commitments. So they are folded with a challenge mu, and the fold is opened once at a challenge z, where the
//! verifier evaluates the columns itself. A commitment of another column passes with probability at most
//! (columns + D) / p, D the number of powers in the SRS.

use super::tables::TableKey;
use crate::{
    circuit::fixed_column_values,
    field::{Fr, G1, batch_invert, int, powers},
    guard::pairing_holds,
    layer::{ShapeKey, multipliers},
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

/// Columns of `2^k` rows with their commitments.
pub struct Known<'a> {
    k: u32,
    commitments: Vec<G1>,
    columns: Vec<Column<'a>>,
}

/// A column that everybody knows.
enum Column<'a> {
    /// By its cells other than 0.
    Cells(Vec<(usize, i64)>),
    /// The value column of a pair table. The values are computed when they are needed: all at once, they could be many
    /// times the size of their file.
    Table(Geometry, &'a Table),
}

/// The challenges mu and z.
#[derive(Clone, Copy)]
struct Points {
    mu: Fr,
    z: Fr,
}

impl<'a> Known<'a> {
    /// The known columns of circuits that all have `2^k` rows, and those of `tables` that belong to such circuits, given
    /// with their well-formed values. `None` when a list has the wrong length.
    pub fn of<'s>(
        k: u32,
        shapes: impl Iterator<Item = &'s ShapeKey>,
        tables: impl Iterator<Item = (&'s TableKey, &'a Table)>,
    ) -> Option<Self> {
        let mut known = Known { k, commitments: Vec::new(), columns: Vec::new() };
        for shape in shapes {
            let geometry = &shape.plan.geometry;
            let nonzero = |column: Vec<i64>| column.into_iter().enumerate().filter(|(_, value)| *value != 0);
            let cells = |column| Column::Cells(nonzero(column).collect());
            let fixed = fixed_column_values(&shape.plan).into_iter().map(cells).collect();
            known.extend(shape.vk.fixed_commitments(), fixed)?;
            for (patterns, multiplier) in shape.patterns.iter().zip(multipliers(&shape.plan)) {
                let ones = |rows: Vec<u32>| Column::Cells(rows.into_iter().map(|row| (row as usize, 1)).collect());
                known.extend(patterns, multiplier.classes.into_iter().map(|(_, r)| ones(r)).collect())?;
            }
            let masks = geometry.mask_rows().take(shape.span_basis.len());
            known.extend(&shape.span_basis, masks.map(|row| Column::Cells(vec![(row, 1)])).collect())?;
        }
        for (table, values) in tables.filter(|(table, _)| table.geometry.k == k) {
            known.extend(&[table.commitment], vec![Column::Table(table.geometry, values)])?;
        }
        Some(known)
    }

    fn extend(&mut self, commitments: &[G1], columns: Vec<Column<'a>>) -> Option<()> {
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
            match column {
                Column::Cells(cells) => {
                    for &(row, value) in cells {
                        out[row] += if value == 1 { factor } else { int(value) * factor };
                    }
                }
                Column::Table(geometry, values) => {
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

//! Proof that commitments of a verifier file are those of columns that everybody knows.
//!
//! The fixed columns of the circuits, the row patterns of the accumulators and the span basis are functions of the
//! plans, the value columns of pair tables of the values in the file, but a verifier without the SRS cannot recompute
//! their commitments. So they are folded with a challenge mu, and the fold is opened once at a challenge z, where the
//! verifier evaluates the columns itself. A commitment of another column passes with probability at most
//! (columns + D) / p, D the number of powers in the SRS.

use super::tables::TableKey;
use crate::{
    circuit::{fixed_column_runs, fixed_columns},
    field::{Fr, G1, batch_invert, int, powers},
    guard::pairing_holds,
    layer::{ShapeKey, multipliers},
    msm,
    pcs::ProverBases,
    prover::table_column,
    span_proof::SPAN_ROWS,
    srs::{SrsVerifierPart, root_of_unity},
    transcript::Absorber,
};
use ff::Field;
use group::Group;
use nanozk_ir::int::Table;
use nanozk_plan::{Geometry, Plan};
use std::{ops::Range, sync::Arc};

/// Columns of `2^k` rows with their commitments. The columns are made when they are needed, one at a time: all at once,
/// they could be many times the size of their file.
pub struct Known<'a> {
    k: u32,
    commitments: Vec<G1>,
    sources: Vec<Source<'a>>,
}

/// Where known columns come from.
enum Source<'a> {
    /// The columns of a circuit: fixed columns, row patterns, the first mask rows.
    Circuit(Arc<Plan>),
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
    /// The known columns of circuits that all have `2^k` rows, and those of `tables` that belong to such circuits, given
    /// with their well-formed values. `None` when a list has the wrong length.
    pub fn of<'s>(
        k: u32,
        shapes: impl Iterator<Item = &'s ShapeKey>,
        tables: impl Iterator<Item = (&'s TableKey, &'a Table)>,
    ) -> Option<Self> {
        let mut known = Known { k, commitments: Vec::new(), sources: Vec::new() };
        for shape in shapes {
            let plan = &shape.plan;
            let multipliers = multipliers(plan);
            let fits = shape.vk.fixed_commitments().len() == fixed_columns(plan)
                && shape.patterns.len() == multipliers.len()
                && multipliers.iter().zip(&shape.patterns).all(|(m, patterns)| m.classes.len() == patterns.len())
                && shape.span_basis.len() == SPAN_ROWS;
            if !fits {
                return None;
            }
            known.commitments.extend_from_slice(shape.vk.fixed_commitments());
            known.commitments.extend(shape.patterns.iter().flatten());
            known.commitments.extend_from_slice(&shape.span_basis);
            known.sources.push(Source::Circuit(plan.clone()));
        }
        for (table, values) in tables.filter(|(table, _)| table.geometry.k == k) {
            known.commitments.push(table.commitment);
            known.sources.push(Source::Table(table.geometry, values));
        }
        Some(known)
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
        let mut next = Fr::ONE;
        let mut factor = || {
            let factor = next;
            next *= mu;
            factor
        };
        for source in &self.sources {
            match source {
                Source::Circuit(plan) => {
                    let mut add = |rows: Range<usize>, value: Fr| out[rows].iter_mut().for_each(|cell| *cell += value);
                    for column in fixed_column_runs(plan) {
                        let factor = factor();
                        column.into_iter().for_each(|(rows, value)| add(rows, int(value) * factor));
                    }
                    for (_, runs) in multipliers(plan).into_iter().flat_map(|multiplier| multiplier.classes) {
                        let factor = factor();
                        runs.into_iter().for_each(|run| add(run.start as usize..run.end as usize, factor));
                    }
                    for row in plan.geometry.mask_rows().take(SPAN_ROWS) {
                        out[row] += factor();
                    }
                }
                Source::Table(geometry, values) => {
                    let factor = factor();
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

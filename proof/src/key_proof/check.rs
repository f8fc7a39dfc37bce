//! The verifier's side.

use super::{
    all_sizes,
    identity::{self, Identity, Place},
    known::Known,
    prefix,
    projection::ERROR_BITS,
    shape,
    stated::RangeStatement,
    statement,
    tables::{TableKey, tables},
};
use crate::{
    budget::{Budget, key_budget},
    error::LayerError,
    keys::{Limbs, VerifierKey},
    layer::ShapeKey,
    misfit::RangesMisfit,
    statement::{Statement, StatementError},
};
use nanozk_ir::int::Table;
use rayon::prelude::*;

/// Why a verifier file does not hold what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file carries no proof.
    #[error("the verifier file has no proof about its weights")]
    Missing,
    /// A locally generated SRS.
    #[error("the SRS matches no known ceremony, so whoever made it can forge this proof")]
    UnsafeSrs,
    /// The proof is not one about this file.
    #[error("the proof about the weights does not fit the file: {0}")]
    Mismatch(#[from] RangesMisfit),
    /// The file does not say what its model is, or has plans of another one.
    #[error("the file is not that of an integer model: {0}")]
    Statement(#[from] StatementError),
    /// Values of a pair table that are not those of an integer model.
    #[error("table {table} of layer {layer} does not hold one integer below 2^62 for each key")]
    Table {
        /// The layer.
        layer: usize,
        /// The table's index in it.
        table: usize,
    },
    /// Commitments that are not those of mask rows and of the tables' values.
    #[error("the mask rows or tables of circuits with 2^{0} rows are not those that the file stands for")]
    Known(u32),
    /// The ranges of some weights are not proven.
    #[error("the ranges of weights of layers {first} to {last} are not proven: {error}")]
    Range {
        /// First layer with weights in question.
        first: usize,
        /// Last layer with weights in question.
        last: usize,
        /// Why.
        error: LayerError,
    },
}

impl KeyError {
    /// What helps.
    pub fn way_out(&self) -> &'static str {
        match self {
            KeyError::Missing => "ask its publisher to run `nanozk setup` again",
            KeyError::UnsafeSrs => "accept it with --allow-unsafe-srs",
            KeyError::Mismatch(_)
            | KeyError::Statement(_)
            | KeyError::Table { .. }
            | KeyError::Known(_)
            | KeyError::Range { .. } => "do not rely on this file",
        }
    }
}

/// What a checked verifier file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyVerdict {
    /// Number of weights.
    pub weights: u64,
    /// Widest range, in bits: all weights are in `-2^(bits - 1) .. 2^(bits - 1)`.
    pub bits: u32,
    /// Whether the range of every matrix is proven exactly, and not one of all weights by random projections.
    pub exact: bool,
    /// Number of distinct pair tables compared with their values.
    pub tables: usize,
    /// Widest table, in bits: all values are in `-2^(bits - 1) .. 2^(bits - 1)`.
    pub table_bits: u32,
    /// Greatest side of an equation over the integers, log2: they hold modulo p, which is above 2^254.
    pub reach_bits: f64,
    /// Soundness.
    pub budget: Budget,
}

/// Checks a verifier file once: its weights are integers of the stated ranges and 0 elsewhere, its tables hold the stated
/// integers, its plans are those of its integer graphs, and none of their equations can wrap
/// around the field.
///
/// # Errors
/// The first defect. Without `allow_unsafe_srs` an SRS of no known ceremony is one.
pub fn check(key: &VerifierKey, allow_unsafe_srs: bool) -> Result<KeyVerdict, KeyError> {
    let proof = key.proof.as_ref().ok_or(KeyError::Missing)?;
    if key.srs.ceremony().is_none() && !allow_unsafe_srs {
        return Err(KeyError::UnsafeSrs);
    }
    let parts = proof.limbs.statements(key)?;
    let all = all_sizes(key);
    let tables = tables(key);
    if all.len() != proof.openings.len() || parts.len() != proof.ranges.len() || tables.len() != proof.tables.len() {
        return Err(RangesMisfit::Parts.into());
    }
    let stated = || tables.iter().zip(&proof.tables);
    let table_bits = stated().try_fold(0, |most, (t, v)| width(t, v).map(|width| most.max(width)))?;
    let bounds = proof.limbs.bounds(key);
    let reach_bits = Statement::of(key)?.check(key, &bounds)?;
    let statement = statement(key, &proof.limbs, &proof.tables).map_err(RangesMisfit::from)?;
    let identities: Vec<Identity> = parts.iter().map(|part| part.identity(&statement)).collect();
    let shapes: Vec<ShapeKey> = identities.iter().map(|i| shape(key, &i.plan)).collect::<Result<_, _>>()?;
    let mut columns = 0;
    for (k, opening) in all.into_iter().zip(&proof.openings) {
        let known = Known::of(k, &key.shapes, stated());
        if !known.verify(&key.srs, &statement, *opening) {
            return Err(KeyError::Known(k));
        }
        columns += known.len();
    }
    let prefix = prefix(&statement);
    let proofs: Vec<_> = identities.iter().zip(&shapes).zip(&proof.ranges).enumerate().collect();
    proofs.into_par_iter().try_for_each(|(i, ((identity, shape), bytes))| {
        identity::verify(key, shape, Place { index: i as u32, prefix }, identity, bytes).map_err(|error| {
            let (first, last) = parts[i].layers();
            KeyError::Range { first, last, error }
        })
    })?;
    let exact = matches!(proof.limbs, Limbs::Exact(_));
    let widest = bounds.iter().flatten().fold(0.5, |most: f64, bound| most.max(*bound));
    Ok(KeyVerdict {
        weights: parts.iter().map(RangeStatement::weights).sum(),
        bits: widest.log2() as u32 + 1,
        exact,
        tables: tables.len(),
        table_bits,
        reach_bits,
        budget: key_budget(key, &identities, if exact { None } else { Some(ERROR_BITS) }, columns),
    })
}

/// Width of a table's stated values.
fn width(key: &TableKey, table: &Table) -> Result<u32, KeyError> {
    let well_formed = table.check(key.geometry.limb_bits);
    let width = well_formed.then(|| Table::width(&table.compute())).flatten();
    width.ok_or(KeyError::Table { layer: key.layer, table: key.index })
}

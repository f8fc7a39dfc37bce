//! What a publisher proves once about a verifier file, and what anyone can check once.
//!
//! 1. Every committed weight is a small integer, and 0 stands on every row of a weight column that a product reads and no
//!    weight is placed at: by random projections of all weights ([`projection`], [`zeros`]), or by the range that the file
//!    states for each matrix ([`chunks`]).
//! 2. The commitments of mask rows are those of the circuits' sizes ([`known`]).
//! 3. The commitments of pair tables are those of the integers that the proof states in the clear ([`tables`], [`known`]).
//!
//! The proof is part of the verifier file, so of the model id.

mod check;
pub mod chunks;
pub mod identity;
pub mod known;
pub mod projection;
mod prove;
pub mod stated;
pub mod tables;
pub mod zeros;

use crate::{
    keys::{Limbs, VerifierKey},
    layer::ShapeKey,
    misfit::RangesMisfit,
    transcript::Absorber,
};
pub use check::{KeyError, KeyVerdict, check};
use nanozk_ir::int::Table;
use nanozk_plan::{
    Plan,
    format::{FormatError, Kind},
};
pub use prove::{limbs, prove, prove_forged};
use std::sync::Arc;

/// Hash of all that the proof is about.
fn statement(key: &VerifierKey, limbs: &Limbs, tables: &[Table]) -> Result<[u8; 32], FormatError> {
    let mut absorber = ranges(key, limbs)?;
    for table in tables {
        let bytes = postcard::to_stdvec(table)
            .map_err(|e| FormatError::Malformed { expected: Kind::Verifier, what: e.to_string() })?;
        absorber.bytes("table", &bytes);
    }
    Ok(absorber.digest())
}

/// The file without its proof, and the ranges that the proof is to state.
fn ranges(key: &VerifierKey, limbs: &Limbs) -> Result<Absorber, FormatError> {
    let mut absorber = Absorber::new("nanozk verifier file");
    absorber.bytes("file without its proof", &key.unproven_id()?);
    match limbs {
        Limbs::Exact(limbs) => limbs.iter().for_each(|limbs| {
            let bytes: Vec<u8> = limbs.iter().flat_map(|m| m.to_le_bytes()).collect();
            absorber.bytes("limbs", &bytes);
        }),
        Limbs::Projected(limbs) => absorber.bytes("projections", &limbs.to_le_bytes()),
    }
    Ok(absorber)
}

/// Hash of the file without its proof and of the ranges that the proof is to state: no two proofs that differ in either may
/// have the same randomness.
///
/// # Errors
/// A key that has no bytes.
pub fn ranges_id(key: &VerifierKey, limbs: &Limbs) -> Result<[u8; 32], FormatError> {
    Ok(ranges(key, limbs)?.digest())
}

/// The statement as the prefix of the transcripts of all parts.
fn prefix(statement: &[u8; 32]) -> crate::field::Fr {
    let mut absorber = Absorber::new("nanozk weight ranges");
    absorber.bytes("statement", statement);
    absorber.scalar()
}

/// Sizes of all circuits of the model, ascending.
fn all_sizes(key: &VerifierKey) -> std::collections::BTreeSet<u32> {
    key.shapes.iter().map(|s| s.plan.geometry.k).collect()
}

/// Verifier's side of the circuit of a part.
fn shape(key: &VerifierKey, plan: &Arc<Plan>) -> Result<ShapeKey, RangesMisfit> {
    let same = |s: &&ShapeKey| s.plan.geometry.k == plan.geometry.k;
    let span_basis = key.shapes.iter().find(same).ok_or(RangesMisfit::NoCircuit)?.span_basis.clone();
    Ok(ShapeKey::new(plan.clone(), span_basis)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srs::Srs;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use std::collections::HashSet;

    /// A file without layers, under an SRS of this seed.
    fn without_layers(seed: u64) -> VerifierKey {
        let srs = Srs::generate_unsafe(3, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
        let none = || [Vec::new(), Vec::new()];
        VerifierKey::new(1, Vec::new(), none(), Default::default(), Vec::new(), Vec::new(), *srs.verifier_part())
            .unwrap()
    }

    /// The challenges of [`known`] must come after the values of tables, or a publisher could choose these to fit.
    #[test]
    fn the_statement_holds_every_part() {
        let of_limbs = |seed, limbs: &Limbs, tables: &[&[i64]]| {
            let tables: Vec<Table> = tables.iter().map(|values| Table::from(values.to_vec())).collect();
            statement(&without_layers(seed), limbs, &tables).unwrap()
        };
        let of = |seed, limbs: &[u32], tables: &[&[i64]]| of_limbs(seed, &Limbs::Exact(vec![limbs.to_vec()]), tables);
        let all = [
            of(1, &[1], &[&[1]]),
            of(2, &[1], &[&[1]]),
            of(1, &[2], &[&[1]]),
            of(1, &[1], &[&[2]]),
            of(1, &[1], &[&[1], &[]]),
            of(1, &[1], &[]),
            of_limbs(1, &Limbs::Projected(1), &[&[1]]),
            of_limbs(1, &Limbs::Projected(2), &[&[1]]),
        ];
        assert_eq!(HashSet::from(all).len(), all.len());
        let of_ranges = [
            (1, Limbs::Exact(vec![vec![1]])),
            (2, Limbs::Exact(vec![vec![1]])),
            (1, Limbs::Exact(vec![vec![2]])),
            (1, Limbs::Projected(1)),
            (1, Limbs::Projected(2)),
        ]
        .map(|(seed, limbs)| ranges_id(&without_layers(seed), &limbs).unwrap());
        assert_eq!(HashSet::from(of_ranges).len(), of_ranges.len());
    }

    /// Projections of circuits with few rows would take more lanes than a verifier works for.
    #[test]
    fn projections_have_lanes_enough() {
        let key = without_layers(1);
        let widest = |k: u32| (1..=64).rfind(|&limbs| projection::projection_bits(k, limbs).is_some()).unwrap();
        let of = |k: u32| projection::Projections::new(&key, k, widest(k)).map(drop);
        assert_eq!((of(6), of(12)), (Err(RangesMisfit::Lanes), Ok(())));
    }

    /// A model without weights has nothing to state ranges of.
    #[test]
    fn ranges_of_no_weights_are_refused() {
        let key = without_layers(1);
        assert!(Limbs::Exact(Vec::new()).statements(&key).is_ok());
        for wrong in [Limbs::Projected(1), Limbs::Projected(u32::MAX), Limbs::Exact(vec![vec![0]])] {
            assert!(wrong.statements(&key).is_err(), "{wrong:?}");
        }
    }
}

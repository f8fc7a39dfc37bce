//! Keys of a shape.

use crate::{
    field::G1, layer::ShapeKey, misfit::ShapeMisfit, pcs::ProverBases, prover::ShapeProver, span_proof::SPAN_ROWS,
};
use nanozk_plan::Plan;
use std::sync::Arc;

/// Generates the keys of a plan; deterministic for a plan and an SRS.
///
/// # Errors
/// A plan of a size that no SRS serves.
pub fn keygen(plan: &Plan, bases: &ProverBases) -> Result<ShapeProver, ShapeMisfit> {
    let masks = &bases.lagrange()[plan.geometry.mask_rows()];
    let span_basis = masks[..SPAN_ROWS].iter().map(|point| G1::from(*point)).collect();
    Ok(ShapeProver::new(ShapeKey::new(Arc::new(plan.clone()), span_basis)?, bases))
}

//! Keys of a shape.

use crate::{
    circuit::{PlanCircuit, PlanParams},
    columns::Columns,
    error::KeygenError,
    field::{Fr, G1, Kzg},
    layer::{Multiplier, ShapeKey, multipliers},
    pcs::{ProverBases, ProverKzg, ProverParams},
    prover::ShapeProver,
    span_proof::SPAN_ROWS,
};
use halo2_proofs::{
    plonk::{VerifyingKey, keygen_vk_with_k},
    utils::SerdeFormat,
};
use nanozk_plan::Plan;
use std::{ops::Range, sync::Arc};

/// Generates the keys of a plan; deterministic for a plan and an SRS.
///
/// # Errors
/// [`KeygenError`] when Halo2 refuses the circuit: never for a checked plan.
pub fn keygen(plan: &Plan, bases: &Arc<ProverBases>) -> Result<ShapeProver, KeygenError> {
    let plan = Arc::new(plan.clone());
    let circuit = PlanCircuit(plan.clone());
    let params = ProverParams::new(bases.clone());
    let halo2 = |e: &dyn std::fmt::Display| KeygenError::Halo2(e.to_string());
    let vk = keygen_vk_with_k::<Fr, ProverKzg, _>(&params, &circuit, plan.geometry.k).map_err(|e| halo2(&e))?;
    let bytes = vk.to_bytes(SerdeFormat::RawBytes);
    let vk =
        VerifyingKey::<Fr, Kzg>::from_bytes::<PlanCircuit>(&bytes, SerdeFormat::RawBytes, PlanParams(plan.clone()))
            .map_err(|e| halo2(&e))?;
    let lagrange = bases.lagrange();
    let pattern = |runs: &Vec<Range<u32>>| -> G1 {
        let mut column = vec![0; plan.geometry.rows()];
        runs.iter().for_each(|run| column[run.start as usize..run.end as usize].fill(1));
        bases.commit_small(&column)
    };
    let columns = multipliers(&plan);
    let patterns = columns.iter().map(|m| m.classes.iter().map(|(_, runs)| pattern(runs)).collect()).collect();
    let multipliers = columns.iter().map(Multiplier::without_rows).collect();
    let span_basis = lagrange[plan.geometry.mask_rows()][..SPAN_ROWS].iter().map(|p| G1::from(*p)).collect();
    let key = ShapeKey { columns: Columns::new(&plan), plan, vk, patterns, multipliers, span_basis };
    Ok(ShapeProver::new(key, bases))
}

//! What prover and verifier of one layer share: keys, and the committed columns of its circuit.

use crate::{
    challenges::{Challenges, Lambda},
    circuit::{PlanCircuit, PlanParams},
    columns::Columns,
    field::{Fr, G1, Kzg, powers},
    misfit::ShapeMisfit,
    span_proof::SPAN_ROWS,
    transcript::LayerTranscript,
};
use halo2_proofs::{plonk::VerifyingKey, transcript::Transcript, utils::SerdeFormat};
use nanozk_plan::{Plan, Port, check::MAX_K};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Version of Halo2's format of keys.
const KEY_VERSION: u8 = 3;

/// Verifying key of a shape.
#[derive(Clone, Debug)]
pub struct ShapeKey {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The Halo2 columns of the plan.
    pub columns: Columns,
    /// Halo2's key: it holds nothing but the plan's circuit, which has no fixed columns of Halo2's.
    pub vk: VerifyingKey<Fr, Kzg>,
    /// Lagrange commitments of the first [`crate::span_proof::SPAN_ROWS`] mask rows.
    pub span_basis: Vec<G1>,
}

impl ShapeKey {
    /// The key of a checked plan.
    ///
    /// # Errors
    /// A size that no SRS serves, or a basis of another length.
    pub fn new(plan: Arc<Plan>, span_basis: Vec<G1>) -> Result<Self, ShapeMisfit> {
        let k = plan.geometry.k;
        let size = ShapeMisfit::Size { k, most: MAX_K };
        if k > MAX_K {
            return Err(size);
        }
        if span_basis.len() != SPAN_ROWS {
            return Err(ShapeMisfit::SpanBasis);
        }
        // Of a circuit without fixed columns Halo2 writes version, size, and the number of these columns.
        let bytes = [KEY_VERSION, k as u8, 0, 0, 0, 0];
        let params = PlanParams(plan.clone());
        let vk = VerifyingKey::from_bytes::<PlanCircuit>(&bytes, SerdeFormat::Processed, params).map_err(|_| size)?;
        Ok(ShapeKey { columns: Columns::new(&plan), plan, vk, span_basis })
    }
}

/// Public data of a layer in a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerKey {
    /// Name for tables.
    pub name: String,
    /// Index of its shape.
    pub shape: u32,
    /// Boundary tensors read, by port.
    pub inputs: Vec<u32>,
    /// Boundary tensors written, by port.
    pub outputs: Vec<u32>,
    /// Parameters.
    pub params: Vec<i64>,
    /// Commitments of the pair tables' value columns.
    #[serde(with = "crate::wire::points")]
    pub tables: Vec<G1>,
    /// Commitments of the weight columns.
    #[serde(with = "crate::wire::points")]
    pub weights: Vec<G1>,
}

/// Commitments that a layer's proof carries, with those it takes from the bundle.
#[derive(Clone, Debug)]
pub struct LayerCommitments {
    /// All lanes, boundary lanes included.
    pub lanes: Vec<G1>,
    /// V.
    pub v: Vec<G1>,
    /// A and B where present.
    pub ab: Vec<G1>,
    /// The re-randomised weight fold where present.
    pub weights: Option<G1>,
}

/// Factor of each lane in the fold of all lanes.
pub fn fold_factors(plan: &Plan, lambda: &Lambda) -> Vec<Fr> {
    powers(lambda.pow(plan.geometry.groups as i64), plan.lanes.len())
}

/// All committed instance columns in circuit order; `fold` is the fold of all lanes.
pub fn committed_columns(shape: &ShapeKey, key_tables: &[G1], coms: &LayerCommitments, fold: Option<G1>) -> Vec<G1> {
    let opened = shape.columns.opened.iter().map(|l| coms.lanes[*l as usize]);
    let mut out: Vec<G1> = opened.collect();
    out.extend_from_slice(&coms.v);
    out.extend_from_slice(&coms.ab);
    out.extend(coms.weights);
    out.extend(fold);
    out.extend_from_slice(key_tables);
    out
}

/// Draws theta, rho, eta. `None` if one is 0.
pub fn draw_challenges(transcript: &mut LayerTranscript) -> Option<Challenges> {
    let theta = transcript.squeeze_challenge();
    let rho = transcript.squeeze_challenge();
    let eta = transcript.squeeze_challenge();
    Challenges::new(theta, rho, eta)
}

impl LayerKey {
    /// The boundary tensor at a port.
    pub fn tensor(&self, port: Port) -> Option<u32> {
        match port {
            Port::Input(p) => self.inputs.get(p as usize).copied(),
            Port::Output(p) => self.outputs.get(p as usize).copied(),
        }
    }

    /// Commitments of boundary lanes by lane, from the commitments of the tensors. `None` if one is missing.
    pub fn boundary_lanes<'a>(
        &self,
        plan: &Plan,
        tensors: impl Fn(u32) -> Option<&'a [G1]>,
    ) -> Option<Vec<Option<G1>>> {
        let mut out = vec![None; plan.lanes.len()];
        for boundary in plan.boundaries.iter().filter(|b| !b.lanes.is_empty()) {
            let commitments = tensors(self.tensor(boundary.port)?)?;
            if commitments.len() != boundary.lanes.len() {
                return None;
            }
            for (lane, commitment) in boundary.lanes.iter().zip(commitments) {
                *out.get_mut(*lane as usize)? = Some(*commitment);
            }
        }
        Some(out)
    }
}

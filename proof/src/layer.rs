//! What prover and verifier of one layer share: keys, and the committed columns of its circuit.

use crate::{
    challenges::{Challenges, Lambda},
    columns::Columns,
    field::{Fr, G1, Kzg, powers},
    linear::Bases,
    msm,
    transcript::LayerTranscript,
};
use halo2_proofs::{plonk::VerifyingKey, transcript::Transcript};
use nanozk_plan::{
    Plan, Port,
    functional::{Exponents, RowClasses, compression_multipliers},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Verifying key of a shape.
#[derive(Clone, Debug)]
pub struct ShapeKey {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The Halo2 columns of the plan.
    pub columns: Columns,
    /// Halo2's key.
    pub vk: VerifyingKey<Fr, Kzg>,
    /// Commitments of the row patterns of each multiplier column, by class.
    pub patterns: Vec<Vec<G1>>,
    /// The classes of each multiplier column.
    pub multipliers: Vec<MultiplierClasses>,
    /// Lagrange commitments of the first [`crate::span_proof::SPAN_ROWS`] mask rows.
    pub span_basis: Vec<G1>,
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

/// A multiplier column of an accumulator.
#[derive(Clone, Debug)]
pub struct Multiplier {
    /// Whether it belongs to the compression of all lanes; else to a functional.
    pub compression: bool,
    /// Its rows by value.
    pub classes: RowClasses,
}

/// The classes of a multiplier column, without their rows.
#[derive(Clone, Debug)]
pub struct MultiplierClasses {
    /// As in [`Multiplier`].
    pub compression: bool,
    /// The exponents of each class.
    pub exponents: Vec<Exponents>,
}

impl Multiplier {
    /// Its classes.
    pub fn without_rows(&self) -> MultiplierClasses {
        MultiplierClasses {
            compression: self.compression,
            exponents: self.classes.iter().map(|(exponents, _)| *exponents).collect(),
        }
    }
}

/// The multiplier columns: the compression first, then the functionals.
pub fn multipliers(plan: &Plan) -> Vec<Multiplier> {
    let bases = Bases::new(plan);
    let compression = plan.geometry.compressed().then(|| compression_multipliers(&plan.geometry, bases.v));
    let functionals = plan.functionals.iter().map(|f| f.multipliers(&plan.geometry, bases.b));
    let compression = compression.into_iter().map(|classes| Multiplier { compression: true, classes });
    compression.chain(functionals.map(|classes| Multiplier { compression: false, classes })).collect()
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

/// Commitments of the multiplier columns.
pub fn multiplier_commitments(shape: &ShapeKey, ch: &Challenges, lambda: &Lambda) -> Vec<G1> {
    let column = |(m, patterns): (&MultiplierClasses, &Vec<G1>)| {
        let factors: Vec<Fr> = m.exponents.iter().map(|e| lambda.multiplier(ch, *e, m.compression)).collect();
        msm::lincomb(patterns, &factors)
    };
    shape.multipliers.iter().zip(&shape.patterns).map(column).collect()
}

/// All committed instance columns in circuit order; `fold` is the fold of all lanes.
pub fn committed_columns(
    shape: &ShapeKey,
    key_tables: &[G1],
    coms: &LayerCommitments,
    fold: Option<G1>,
    multipliers: Vec<G1>,
) -> Vec<G1> {
    let opened = shape.columns.opened.iter().map(|l| coms.lanes[*l as usize]);
    let mut out: Vec<G1> = opened.collect();
    out.extend_from_slice(&coms.v);
    out.extend_from_slice(&coms.ab);
    out.extend(coms.weights);
    out.extend(fold);
    out.extend(multipliers);
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

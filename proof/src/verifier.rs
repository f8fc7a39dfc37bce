//! The verifier of one layer.

use crate::{
    challenges::Lambda,
    field::{Bls12, Fr, G1, Kzg, batch_invert, powers},
    layer::{self, LayerCommitments, LayerKey, ShapeKey},
    linear, msm,
    prover::plain_columns,
    publics::{PublicData, public_values},
    span,
    transcript::LayerTranscript,
};
use ff::{Field, PrimeField};
use halo2_proofs::{
    plonk::{parse_trace, verify_algebraic_constraints},
    poly::kzg::msm::DualMSM,
    transcript::Transcript,
};

/// Why a layer proof was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// A part could not be read: truncated, a point outside the subgroup, a scalar out of range.
    #[error("the proof is malformed: {0}")]
    Malformed(String),
    /// Bytes follow the proof.
    #[error("bytes follow the proof")]
    TrailingBytes,
    /// Public data or commitments do not fit the layer.
    #[error("{0} does not fit the layer")]
    Mismatch(&'static str),
    /// The weights used are not the committed ones.
    #[error("the weight fold is not that of the committed weights")]
    Weights,
    /// The constraint system rejects.
    #[error("the proof does not hold: {0}")]
    Rejected(String),
}

/// One layer of a bundle, as the verifier sees it.
pub struct LayerClaim<'a> {
    /// Verifying key of its shape.
    pub shape: &'a ShapeKey,
    /// Its public data in the model.
    pub key: &'a LayerKey,
    /// Its index in the model.
    pub index: u32,
    /// Commitments of boundary lanes, by lane; `None` for lanes that the proof carries.
    pub boundary: &'a [Option<G1>],
    /// Public tensors and parameters.
    pub public: PublicData<'a>,
    /// Hash of the bundle's prefix.
    pub prefix: Fr,
}

/// Checks everything but the pairing, which the caller batches over layers.
pub fn prepare_layer(claim: &LayerClaim, proof: &[u8]) -> Result<DualMSM<Bls12>, LayerError> {
    let malformed = |e: std::io::Error| LayerError::Malformed(e.to_string());
    let zero = || LayerError::Malformed("a challenge is zero".into());
    let shape = claim.shape;
    let plan = &shape.plan;
    let mut transcript = LayerTranscript::init_from_bytes(proof)
        .begin(&claim.prefix, claim.index, claim.key.shape, &shape.vk.transcript_repr())
        .map_err(malformed)?;

    let mut lanes = Vec::with_capacity(plan.lanes.len());
    for (lane, spec) in plan.lanes.iter().enumerate() {
        let known = claim.boundary.get(lane).copied().flatten();
        if known.is_some() != spec.boundary.is_some() {
            return Err(LayerError::Mismatch("a boundary tensor"));
        }
        lanes.push(match known {
            Some(com) => com,
            None => transcript.read().map_err(malformed)?,
        });
    }
    let ch = layer::draw_challenges(&mut transcript).ok_or_else(zero)?;
    let mut read =
        |n: usize| -> Result<Vec<G1>, LayerError> { (0..n).map(|_| transcript.read().map_err(malformed)).collect() };
    let coms = LayerCommitments {
        lanes,
        v: read(shape.columns.v)?,
        ab: read(shape.columns.a + shape.columns.b)?,
        weights: read(shape.columns.w)?.pop(),
    };
    let mut committed_weights = true;
    if let Some(opened) = coms.weights {
        let committed = msm::lincomb(&claim.key.weights, &powers(ch.rho, claim.key.weights.len()));
        committed_weights = span::verify(&shape.span_basis, opened - committed, &mut transcript).map_err(malformed)?;
    }
    let lambda = Lambda::new(transcript.squeeze_challenge()).ok_or_else(zero)?;
    if !committed_weights {
        return Err(LayerError::Weights);
    }

    let publics = public_values(plan, &claim.public, &ch).ok_or(LayerError::Mismatch("the public data"))?;
    let omega = linear::omega(plan, &ch, &lambda, &publics).ok_or(LayerError::Mismatch("the plan"))?;
    let fold = (shape.columns.fold == 1).then(|| msm::lincomb(&coms.lanes, &layer::fold_factors(plan, &lambda)));
    let multipliers = layer::multiplier_commitments(shape, &ch, &lambda);
    let committed = layer::committed_columns(shape, &claim.key.tables, &coms, fold, multipliers);
    let plain = plain_columns(shape, &omega);
    transcript.bind();
    let rejected = |e: halo2_proofs::plonk::Error| LayerError::Rejected(format!("{e:?}"));
    let empty = vec![&[] as &[Fr]; plain.len()];
    let trace = parse_trace::<Fr, Kzg, _>(&shape.vk, &[&committed], &[&empty], &mut transcript).map_err(rejected)?;
    let evaluations = plain_evaluations(shape, &plain, transcript.clone()).map_err(malformed)?.ok_or_else(zero)?;
    let evaluations: Vec<&[Fr]> = evaluations.iter().map(std::slice::from_ref).collect();
    let guard =
        verify_algebraic_constraints::<Fr, Kzg, _>(&shape.vk, trace, &[&committed], &[&evaluations], &mut transcript)
            .map_err(rejected)?;
    transcript.assert_empty().map_err(|_| LayerError::TrailingBytes)?;
    Ok(guard)
}

/// For each plain column the one-row column that has the same value at Halo2's evaluation point x, which `transcript`
/// (a copy) is about to draw after the quotient commitments. Halo2 would evaluate a column of many rows at the cost of
/// two exponentiations per row. `None` when x is a row.
fn plain_evaluations(
    shape: &ShapeKey,
    plain: &[Vec<Fr>],
    mut transcript: LayerTranscript,
) -> std::io::Result<Option<Vec<Fr>>> {
    for _ in 1..shape.vk.cs().degree() {
        transcript.read::<G1>()?;
    }
    let x: Fr = transcript.squeeze_challenge();
    let rows = plain.iter().map(Vec::len).max().unwrap_or(0);
    Ok(lagrange_ratios(shape.plan.geometry.k, x, rows)
        .map(|ratios| plain.iter().map(|c| c.iter().zip(&ratios).map(|(v, l)| *v * l).sum()).collect()))
}

/// `l_i(x) / l_0(x) = omega^i (x - 1) / (x - omega^i)` for the first `rows` rows. `None` when x is a row.
fn lagrange_ratios(k: u32, x: Fr, rows: usize) -> Option<Vec<Fr>> {
    let omega = Fr::ROOT_OF_UNITY.pow_vartime([1u64 << (Fr::S - k)]);
    let roots = powers(omega, rows);
    let mut ratios: Vec<Fr> = roots.iter().map(|w| x - w).collect();
    if ratios.iter().any(Fr::is_zero_vartime) {
        return None;
    }
    batch_invert(&mut ratios);
    ratios.iter_mut().zip(&roots).for_each(|(r, w)| *r *= *w * (x - Fr::ONE));
    Some(ratios)
}

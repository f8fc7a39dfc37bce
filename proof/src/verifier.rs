//! The verifier of one layer.

use crate::{
    challenges::Lambda,
    field::{Bls12, Fr, G1, Kzg, powers},
    layer::{self, LayerCommitments, LayerKey, ShapeKey},
    linear, msm,
    prover::plain_columns,
    publics::{PublicData, public_values},
    span,
    transcript::{LayerTranscript, begin},
};
use halo2_proofs::{plonk::prepare, poly::kzg::msm::DualMSM, transcript::Transcript};

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
    let transcript = LayerTranscript::init_from_bytes(proof);
    let mut transcript = begin(transcript, &claim.prefix, claim.index, claim.key.shape).map_err(malformed)?;

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
    if let Some(opened) = coms.weights {
        let committed = msm::lincomb(&claim.key.weights, &powers(ch.rho, claim.key.weights.len()));
        if !span::verify(&shape.span_basis, opened - committed, &mut transcript).map_err(malformed)? {
            return Err(LayerError::Weights);
        }
    }
    let lambda = Lambda::new(transcript.squeeze_challenge()).ok_or_else(zero)?;

    let publics = public_values(plan, &claim.public, &ch).ok_or(LayerError::Mismatch("the public data"))?;
    let omega = linear::omega(plan, &ch, &lambda, &publics).ok_or(LayerError::Mismatch("the plan"))?;
    let fold = (shape.columns.fold == 1).then(|| msm::lincomb(&coms.lanes, &layer::fold_factors(plan, &lambda)));
    let multipliers = layer::multiplier_commitments(shape, &ch, &lambda);
    let committed = layer::committed_columns(shape, &claim.key.tables, &coms, fold, multipliers);
    let plain = plain_columns(shape, &omega);
    let plain: Vec<&[Fr]> = plain.iter().map(Vec::as_slice).collect();
    let guard = prepare::<Fr, Kzg, _>(&shape.vk, &[&committed], &[&plain], &mut transcript)
        .map_err(|e| LayerError::Rejected(format!("{e:?}")))?;
    transcript.assert_empty().map_err(|_| LayerError::TrailingBytes)?;
    Ok(guard)
}

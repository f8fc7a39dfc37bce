//! The verifier of one layer.

use crate::{
    challenges::Lambda,
    circuit::{Runs, fixed_column_runs},
    columns::Columns,
    error::LayerError,
    field::{Bls12, Fr, G1, Kzg, int, powers},
    guard::LayerGuard,
    layer::{self, LayerCommitments, LayerKey, ShapeKey},
    linear::{self, Omega, Series},
    msm,
    plonk::LagrangeRatios,
    publics::{PublicData, public_values},
    span_proof::{SPAN_ROWS, SpanProof},
    transcript::LayerTranscript,
    wire::{POINT_BYTES, SCALAR_BYTES},
};
use ff::Field;
use halo2_proofs::{
    plonk::{parse_trace, verify_algebraic_constraints},
    poly::kzg::msm::DualMSM,
    transcript::Transcript,
};
use nanozk_plan::Plan;
use std::{collections::BTreeMap, ops::Range};

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

/// Checks everything but the group equations, which the caller batches over layers.
///
/// # Errors
/// [`LayerError`] for a proof that is malformed, or fails what is checked here.
pub fn prepare_layer(claim: &LayerClaim, proof: &[u8]) -> Result<LayerGuard, LayerError> {
    let malformed = |e: std::io::Error| LayerError::Malformed(e.to_string());
    let shape = claim.shape;
    let plan = &shape.plan;
    let mut transcript = LayerTranscript::init_from_bytes(proof)
        .begin(&claim.prefix, claim.index, claim.key.shape, &shape.vk.transcript_repr())
        .map_err(malformed)?;

    let known: Vec<Option<G1>> = (0..plan.lanes.len()).map(|l| claim.boundary.get(l).copied().flatten()).collect();
    if known.iter().zip(&plan.lanes).any(|(known, lane)| known.is_some() != lane.boundary.is_some()) {
        return Err(LayerError::Mismatch("a boundary tensor"));
    }
    let private = known.iter().filter(|lane| lane.is_none()).count();
    transcript.decode(point_positions(shape, private, proof.len()));
    let mut private = transcript.read_points(private).map_err(malformed)?.into_iter();
    let lanes = known.into_iter().filter_map(|lane| lane.or_else(|| private.next())).collect();
    let ch = layer::draw_challenges(&mut transcript).ok_or_else(zero)?;
    let Columns { v, a, b, w, .. } = shape.columns;
    let mut dense = transcript.read_points(v + a + b + w).map_err(malformed)?;
    let weights = dense.split_off(v + a + b).pop();
    let ab = dense.split_off(v);
    let coms = LayerCommitments { lanes, v: dense, ab, weights };
    let span = coms.weights.map(|_| SpanProof::read(&mut transcript)).transpose().map_err(malformed)?;
    let lambda = Lambda::new(transcript.squeeze_challenge()).ok_or_else(zero)?;

    let (committed, omega) = rayon::join(
        || committed_columns(claim, &coms, &lambda),
        || {
            let publics = public_values(plan, &claim.public, &ch).ok_or(LayerError::Mismatch("the public data"))?;
            linear::omega(plan, &ch, &lambda, &publics).ok_or(LayerError::Mismatch("the plan"))
        },
    );
    let omega = omega?;
    let opening = read_halo2(shape, &committed, transcript, |ratios| omega_values(shape, &omega, ratios))?;
    let weights = coms.weights.zip(span).map(|(opened, span)| {
        let columns = &claim.key.weights;
        span.terms(&shape.span_basis, opened, columns, &powers(ch.rho, columns.len()))
    });
    Ok(LayerGuard { opening, weights: weights.unwrap_or_default() })
}

/// Where the points of a proof of `len` bytes stand, in which `private` lanes are committed.
pub(crate) fn point_positions(shape: &ShapeKey, private: usize, len: usize) -> impl Iterator<Item = usize> {
    let Columns { v, a, b, w, .. } = shape.columns;
    let (cs, committed) = (shape.vk.cs(), shape.columns.committed());
    // Lanes, V, A, B, W', and the commitment of its span proof.
    let head = private + v + a + b + 2 * w;
    // Advice columns, the random polynomial, pieces of the quotient.
    let trace = cs.num_advice_columns() + 1 + (cs.degree() - 1);
    let opened = cs.instance_queries().iter().filter(|(column, _)| column.index() < committed).count();
    let evaluations = opened + cs.advice_queries().len() + 1;
    let trace_at = head * POINT_BYTES + w * SPAN_ROWS * SCALAR_BYTES;
    let opening_at = trace_at + trace * POINT_BYTES + evaluations * SCALAR_BYTES;
    let run = |start: usize, count: usize| (0..count).map(move |i| start + i * POINT_BYTES);
    run(0, head).chain(run(trace_at, trace)).chain([opening_at]).chain(len.checked_sub(POINT_BYTES))
}

/// The committed instance columns, from what the proof carries and what is known.
fn committed_columns(claim: &LayerClaim, coms: &LayerCommitments, lambda: &Lambda) -> Vec<G1> {
    let shape = claim.shape;
    let fold = (shape.columns.fold == 1).then(|| msm::lincomb(&coms.lanes, &layer::fold_factors(&shape.plan, lambda)));
    layer::committed_columns(shape, &claim.key.tables, coms, fold)
}

/// Reads Halo2's proof, to its last byte, and checks all but the opening that it returns. `plain` gives the values of the
/// plain columns before the fixed ones at Halo2's point x, in multiples of that of the first Lagrange polynomial.
pub(crate) fn read_halo2(
    shape: &ShapeKey,
    committed: &[G1],
    mut transcript: LayerTranscript,
    plain: impl FnOnce(&LagrangeRatios) -> Vec<Fr>,
) -> Result<DualMSM<Bls12>, LayerError> {
    let malformed = |e: std::io::Error| LayerError::Malformed(e.to_string());
    let rejected = |e: halo2_proofs::plonk::Error| LayerError::Rejected(format!("{e:?}"));
    transcript.bind();
    let empty = vec![&[] as &[Fr]; shape.columns.plain()];
    let trace = parse_trace::<Fr, Kzg, _>(&shape.vk, &[committed], &[&empty], &mut transcript).map_err(rejected)?;
    // One-row columns that have the same value at x, which the transcript is about to draw after the quotient
    // commitments: Halo2 would evaluate a column of many rows at the cost of two exponentiations per row.
    let mut ahead = transcript.clone();
    for _ in 1..shape.vk.cs().degree() {
        ahead.read::<G1>().map_err(malformed)?;
    }
    let ratios = LagrangeRatios::new(shape.plan.geometry.k, ahead.squeeze_challenge()).ok_or_else(zero)?;
    let mut evaluations = plain(&ratios);
    evaluations.extend(fixed_values(&shape.plan, &ratios));
    if evaluations.len() != shape.columns.plain() {
        return Err(LayerError::Mismatch("the plan"));
    }
    let evaluations: Vec<&[Fr]> = evaluations.iter().map(std::slice::from_ref).collect();
    let opening =
        verify_algebraic_constraints::<Fr, Kzg, _>(&shape.vk, trace, &[committed], &[&evaluations], &mut transcript)
            .map_err(rejected)?;
    transcript.assert_empty().map_err(|_| LayerError::TrailingBytes)?;
    Ok(opening)
}

/// A challenge that no honest proof meets.
pub(crate) fn zero() -> LayerError {
    LayerError::Malformed("a challenge is zero".into())
}

/// The fixed columns of a plan at x.
fn fixed_values(plan: &Plan, ratios: &LagrangeRatios) -> impl Iterator<Item = Fr> {
    let column = |runs: Runs| {
        let mut by_value: BTreeMap<i64, Vec<Range<u32>>> = BTreeMap::new();
        runs.into_iter().for_each(|(rows, value)| by_value.entry(value).or_default().push(rows));
        by_value.into_iter().map(|(value, rows)| int(value) * ratios.runs(rows)).sum()
    };
    fixed_column_runs(plan).map(column).chain([ratios.index(1 << plan.geometry.limb_bits)])
}

/// Omega_V, Omega_C, Omega_F, Omega_A, Omega_B and the constant of a layer at x.
fn omega_values(shape: &ShapeKey, omega: &Omega, ratios: &LagrangeRatios) -> Vec<Fr> {
    let rows = shape.plan.geometry.rows();
    let mut out: Vec<Fr> = omega.v.chunks(rows).map(|column| ratios.column(column)).collect();
    out.extend(omega.compression.iter().map(|part| ratios.series(part)));
    out.extend(omega.functionals.iter().map(|parts| parts.iter().map(|part| ratios.series(part)).sum::<Fr>()));
    // Omega_B is a multiple of the leading rows of Omega_A.
    let (a, b) = (&omega.a, &omega.b);
    let common = b.rows.end.min(a.rows.end);
    let head = ratios.series(&Series::geometric(0..common, Fr::ONE, a.step));
    if shape.columns.a == 1 {
        let first = a.step.pow_vartime([common as u64]);
        let tail = ratios.series(&Series::geometric(common..a.rows.end, first, a.step));
        out.push(a.first * (head + tail));
    }
    if shape.columns.b == 1 {
        out.push(b.first * head);
    }
    out.push(omega.constant);
    out
}

#[cfg(test)]
mod tests;

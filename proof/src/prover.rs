//! The prover of one layer.

use crate::{
    cell::Cell,
    challenges::{Challenges, Lambda},
    circuit::fixed_column_values,
    compress,
    error::ProveError,
    field::{Fr, G1, Mask, int, powers},
    layer::{self, LayerKey, ShapeKey},
    linear::{self, Series},
    msm,
    pcs::ProverBases,
    plonk::{self, Advice, FixedColumns},
    publics::{PublicData, public_values},
    span_proof::SpanWitness,
    transcript::LayerTranscript,
    weights::WeightColumns,
    witness::{AdviceBuilder, LaneColumn, LayerWitness, column, multiplicities},
};
use ff::Field;
use halo2_proofs::transcript::Transcript;
use nanozk_plan::Geometry;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use std::borrow::Cow;

/// Proving key of a shape.
pub struct ShapeProver {
    /// The verifier's part.
    pub key: ShapeKey,
    pub(crate) fixed: FixedColumns,
}

impl ShapeProver {
    /// The prover's side of `key`, with the bases of its size.
    pub fn new(key: ShapeKey, bases: &ProverBases) -> Self {
        let columns: Vec<Vec<Fr>> =
            fixed_column_values(&key.plan).map(|column| column.iter().map(|v| int(*v)).collect()).collect();
        ShapeProver { fixed: FixedColumns::new(bases.domain(), &columns), key }
    }
}

/// What the prover knows of one layer of a model.
pub struct LayerProver<'a> {
    /// Its shape.
    pub shape: &'a ShapeProver,
    /// Its public data.
    pub key: &'a LayerKey,
    /// Value columns of its pair tables.
    pub tables: &'a [Vec<i64>],
    /// Its weights, which are let go once they are folded.
    pub weights: Cow<'a, WeightColumns>,
    /// Its index in the model.
    pub index: u32,
}

/// One inference of a layer.
pub struct LayerInput<'a, C = i64> {
    /// All lanes with their masks.
    pub lanes: Vec<LaneColumn<C>>,
    /// Commitments of the boundary lanes, by lane; other lanes are committed by the prover.
    pub boundary: &'a [Option<G1>],
    /// Public data.
    pub public: PublicData<'a>,
    /// Hash of the bundle's prefix.
    pub prefix: Fr,
}

/// Uniformly random mask rows.
pub fn random_mask(rng: &mut impl RngCore) -> Mask {
    std::array::from_fn(|_| Fr::random(&mut *rng))
}

/// Commits a lane.
pub fn commit_lane<C: Cell>(geometry: &Geometry, bases: &ProverBases, lane: &LaneColumn<C>) -> G1 {
    C::commit(bases, &lane.data, geometry.mask_rows().start, &lane.mask)
}

/// A dense committed column of data rows and mask.
struct DenseColumn {
    values: Vec<Fr>,
    commitment: G1,
}

impl DenseColumn {
    fn new(geometry: &Geometry, bases: &ProverBases, data: &[Fr], rng: &mut impl RngCore) -> Self {
        let values = column(geometry, data.iter().copied(), &random_mask(rng));
        DenseColumn { commitment: bases.commit_dense(&values), values }
    }
}

/// Data rows of the columns that the prover commits after theta, rho and eta.
pub struct Chosen {
    /// V by slot.
    pub v: Vec<Fr>,
    /// A.
    pub a: Vec<Fr>,
    /// B.
    pub b: Vec<Fr>,
    /// Where the running sum leaves its constraints, so that it ends at 0 whatever the columns hold. Honest provers need none.
    pub jump: Option<Jump>,
}

/// A row at which the running sum is not what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// It does not start at 0.
    Start,
    /// Its last row does not follow.
    End,
}

impl Jump {
    /// Moves a running sum that ends at `excess`.
    fn apply(self, excess: Fr, run: &mut [Fr]) {
        let first = if self == Jump::Start { 0 } else { run.len() - 1 };
        run[first..].iter_mut().for_each(|cell| *cell -= excess);
    }
}

/// Proves one layer. The result is accepted only if the witness satisfies the plan: verify it before use.
///
/// # Errors
/// [`ProveError`]: a witness that is not of the plan's shape, or a challenge that is 0.
pub fn prove_layer(
    bases: &ProverBases,
    layer: LayerProver,
    input: LayerInput,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Vec<u8>, ProveError> {
    prove_layer_with(bases, layer, input, rng, |_, _| {})
}

/// As [`prove_layer`], for lanes of any field elements, and with a say in the columns that the prover commits after the
/// challenges: `choose` stands for a cheating prover, whom the equations have to stop.
///
/// # Errors
/// As [`prove_layer`].
pub fn prove_layer_with<C: Cell>(
    bases: &ProverBases,
    layer: LayerProver,
    input: LayerInput<C>,
    rng: &mut (impl RngCore + CryptoRng),
    choose: impl FnOnce(&Challenges, &mut Chosen),
) -> Result<Vec<u8>, ProveError> {
    let LayerProver { shape: ShapeProver { key: shape, fixed }, key, tables, weights, index } = layer;
    let plan = &shape.plan;
    let geometry = plan.geometry;
    let lanes = input.lanes;
    if lanes.len() != plan.lanes.len() || lanes.iter().any(|l| l.data.len() != geometry.rows()) {
        return Err(ProveError::Mismatch("the witness"));
    }
    let mut transcript = LayerTranscript::init().begin(&input.prefix, index, key.shape, &shape.vk.transcript_repr())?;

    let commit =
        |(lane, known): (&LaneColumn<C>, Option<G1>)| known.unwrap_or_else(|| commit_lane(&geometry, bases, lane));
    let known: Vec<Option<G1>> = (0..lanes.len()).map(|l| input.boundary.get(l).copied().flatten()).collect();
    let lane_coms: Vec<G1> = lanes.par_iter().zip(known.clone()).map(commit).collect();
    for (com, known) in lane_coms.iter().zip(&known) {
        if known.is_none() {
            transcript.write(com)?;
        }
    }
    let ch = layer::draw_challenges(&mut transcript).ok_or(ProveError::ZeroChallenge)?;

    let publics = public_values(plan, &input.public, &ch).ok_or(ProveError::Mismatch("the public data"))?;
    let slots = compress::compressed_slots(plan, &lanes, &ch);
    let all_slots = [slots.as_slice(), publics.as_slice()].concat();
    let a = linear::operand_values(plan, &ch, &all_slots);
    let mut b = compress::functional_values(plan, &lanes, &ch);
    b.iter_mut().zip(linear::right_operand_values(plan, &ch, &all_slots)).for_each(|(b, right)| *b += right);
    let mut chosen = Chosen { v: slots, a, b, jump: None };
    choose(&ch, &mut chosen);
    let Chosen { v: slots, a, b, jump } = chosen;
    let (folded, span) = fold_weights(shape, &weights, &ch, rng);
    drop(weights);

    let mut dense = |data: &[Fr]| DenseColumn::new(&geometry, bases, data, rng);
    let v_columns: Vec<DenseColumn> =
        if shape.columns.fold == 1 { slots.chunks(geometry.rows()).map(&mut dense).collect() } else { Vec::new() };
    let a_column = (shape.columns.a == 1).then(|| dense(&a));
    let b_column = (shape.columns.b == 1).then(|| dense(&b));
    let weights_com = match &folded {
        Some(_) => {
            let factors = powers(ch.rho, key.weights.len());
            Some(msm::lincomb(&key.weights, &factors) + span.offset(&shape.span_basis))
        }
        None => None,
    };
    for com in v_columns.iter().chain(&a_column).chain(&b_column).map(|c| c.commitment).chain(weights_com) {
        transcript.write(&com)?;
    }
    if weights_com.is_some() {
        span.prove(&shape.span_basis, &mut transcript)?;
    }
    let lambda = Lambda::new(transcript.squeeze_challenge()).ok_or(ProveError::ZeroChallenge)?;

    let omega = linear::omega(plan, &ch, &lambda, &publics).ok_or(ProveError::Mismatch("the plan"))?;
    let factors = layer::fold_factors(plan, &lambda);
    let fold = (shape.columns.fold == 1).then(|| compress::fold_lanes(plan, &lanes, &factors));

    let weight_rows = folded.as_ref().map_or(&[][..], |f| &f.0);
    let omegas = Omegas::new(&omega);
    let mut linear = row_sums(geometry.rows(), &omega, &omegas, &slots, [&a, &b, weight_rows]);
    if let (Some(weights), Some(fold)) = (&omegas.compression, &fold) {
        add_products(&mut linear, weights.iter().zip(fold));
    }
    for (lane, weights) in shape.columns.functionals.iter().zip(&omegas.functionals) {
        let cells: Vec<Fr> = lanes[*lane as usize].data.iter().map(|cell| cell.to_field()).collect();
        add_products(&mut linear, weights.iter().zip(&cells));
    }
    drop((slots, a, b));
    let counts = multiplicities(plan, &lanes, tables);
    // The fractions of the lookups add up to 0.
    let excess: Fr = linear.iter().sum();

    // Values of the committed columns in the order of `layer::committed_columns`, then of the plain columns, of which the key
    // has the fixed ones.
    let mut values: Vec<Vec<Fr>> =
        shape.columns.opened.par_iter().map(|l| lanes[*l as usize].to_field(&geometry)).collect();
    values.extend(v_columns.into_iter().map(|c| c.values));
    values.extend(a_column.into_iter().chain(b_column).map(|c| c.values));
    values.extend(folded.map(|(data, mask)| column(&geometry, data.into_iter(), &mask)));
    values.extend(fold);
    values.extend(tables.iter().map(|t| table_column(&geometry, t)));
    let committed = values.len();
    values.extend(omegas.columns(shape, omega));

    let witness = LayerWitness {
        multiplicities: counts.into_iter().map(|data| LaneColumn { data, mask: random_mask(rng) }).collect(),
        lanes,
        tables: tables.to_vec(),
        linear,
        geometry,
    };
    let blinded = |values: Vec<Fr>| Advice { values, blinded: true };
    let first = witness.multiplicities.iter().map(|m| m.to_field(&geometry)).map(blinded).collect();
    // It takes the witness along, which is let go when the columns are there.
    let second = move |challenges: &[Fr]| {
        let (helpers, mut run) = AdviceBuilder::new(plan, &witness, challenges[0], challenges[1]).second_phase();
        jump.into_iter().for_each(|jump| jump.apply(excess, &mut run));
        helpers.into_iter().map(|values| Advice { values, blinded: false }).chain([blinded(run)]).collect()
    };
    let witness = plonk::Witness { instances: values, committed, first, second };
    plonk::prove(bases, shape.vk.cs(), fixed, witness, &mut transcript, rng)?;
    Ok(transcript.finalize())
}

/// Per data row: the sums of V, A and B times their omegas and of `A (W + B)`, and the constant at row 0.
fn row_sums(rows: usize, omega: &linear::Omega, omegas: &Omegas, slots: &[Fr], [a, b, w]: [&[Fr]; 3]) -> Vec<Fr> {
    let mut out = vec![Fr::ZERO; rows];
    for (weights, values) in omega.v.chunks(rows).zip(slots.chunks(rows)) {
        add_products(&mut out, weights.iter().zip(values));
    }
    add_products(&mut out, omegas.a.iter().zip(a));
    add_products(&mut out, omegas.b.iter().zip(b));
    add_products(&mut out, a.iter().zip(b));
    add_products(&mut out, a.iter().zip(w));
    if let Some(first) = out.first_mut() {
        *first += omega.constant;
    }
    out
}

/// Adds products row by row.
fn add_products<'v>(out: &mut [Fr], factors: impl Iterator<Item = (&'v Fr, &'v Fr)>) {
    out.iter_mut().zip(factors).for_each(|(sum, (a, b))| *sum += *a * b);
}

/// The weight fold, re-randomised, as data rows and mask.
fn fold_weights(
    shape: &ShapeKey,
    weights: &WeightColumns,
    ch: &Challenges,
    rng: &mut impl RngCore,
) -> (Option<(Vec<Fr>, Mask)>, SpanWitness) {
    let span = SpanWitness::random(rng);
    if shape.columns.w == 0 {
        return (None, span);
    }
    let columns = weights.columns.len();
    let (data, mut mask) = weights.fold(0..columns, &powers(ch.rho, columns));
    for (m, delta) in mask.iter_mut().zip(&span.delta) {
        *m += delta;
    }
    (Some((data, mask)), span)
}

/// Values of a pair table over the data rows: rows past the table repeat its first entry, as the index column does.
pub fn table_column(geometry: &Geometry, table: &[i64]) -> Vec<Fr> {
    let first = table.first().copied().unwrap_or(0);
    (0..geometry.rows()).map(|r| crate::field::int(table.get(r).copied().unwrap_or(first))).collect()
}

/// The omegas that are series, by row. The verifier has them at x only.
pub(crate) struct Omegas {
    compression: Option<Vec<Fr>>,
    functionals: Vec<Vec<Fr>>,
    a: Vec<Fr>,
    b: Vec<Fr>,
}

impl Omegas {
    pub(crate) fn new(omega: &linear::Omega) -> Self {
        let column = |part: &Series| Series::column(std::slice::from_ref(part));
        Omegas {
            compression: omega.compression.as_ref().map(column),
            functionals: omega.functionals.par_iter().map(|parts| Series::column(parts)).collect(),
            a: column(&omega.a),
            b: column(&omega.b),
        }
    }

    /// The plain instance columns before the fixed ones: Omega_V by column, Omega_C, Omega_F, Omega_A, Omega_B, the constant.
    pub(crate) fn columns(self, shape: &ShapeKey, omega: linear::Omega) -> Vec<Vec<Fr>> {
        let mut out: Vec<Vec<Fr>> = omega.v.chunks(shape.plan.geometry.rows()).map(<[Fr]>::to_vec).collect();
        out.extend(self.compression);
        out.extend(self.functionals);
        out.extend((shape.columns.a == 1).then_some(self.a));
        out.extend((shape.columns.b == 1).then_some(self.b));
        out.push(vec![omega.constant]);
        out
    }
}

//! One proof that looked-up cells are public linear functions of weight columns.
//!
//! With challenges theta, rho and eta that are drawn after the cells are committed, it shows
//!
//! `sum of claims over the cells = sum over folds f of sum_r A_f[r] (sum_c a_f[c] w_c[r])`,
//!
//! where the `a_f` and the columns `A_f` are functions of the challenges that everybody knows. The cells are limbs in the
//! range table. A fold is committed by the prover, re-randomised as in [`crate::span_proof`], so that opening it shows nothing of
//! the weights; the verifier evaluates `A_f` itself. The circuit is that of a plan with one token: its lanes are those of the
//! limbs, which are looked up, and then one for each fold, and the running sum adds them up with public coefficients.

use crate::{
    cell::Cell,
    challenges::Challenges,
    error::{LayerError, ProveError},
    field::{Fr, G1},
    guard::LayerGuard,
    keys::VerifierKey,
    layer::{ShapeKey, draw_challenges},
    linear, msm,
    pcs::ProverBases,
    plonk::{self, Advice},
    prover::{ShapeProver, commit_lane, random_mask},
    span_proof::{SpanProof, SpanWitness},
    transcript::LayerTranscript,
    verifier::{read_halo2, zero},
    weights::WeightColumns,
    witness::{AdviceBuilder, LaneColumn, LayerWitness, column, multiplicities},
};
use ff::Field;
use group::Group;
use halo2_proofs::transcript::Transcript;
use nanozk_plan::{Claim, Geometry, Lane, Lookup, MASK_ROWS, Plan, Tag};
use rand_core::{CryptoRng, RngCore};
use std::{ops::Range, sync::Arc};

/// What one proof shows.
#[derive(Clone)]
pub struct Identity {
    /// The circuit: lanes of limbs, then one for each fold.
    pub plan: Arc<Plan>,
    /// Sums over slots of the limbs' lanes and, as the slot after them, the number 1.
    pub claims: Vec<Claim>,
    /// What they are equal to.
    pub folds: Vec<Fold>,
}

/// What a fold takes from the challenges.
pub type Values = Arc<dyn Fn(&Challenges) -> Vec<Fr> + Send + Sync>;

/// `sum_r A[r] (sum_c a[c] w_c[r])` over some weight columns.
#[derive(Clone)]
pub struct Fold {
    /// Layers with their columns in question.
    pub columns: Vec<(usize, Range<usize>)>,
    /// Factors a of the columns, in order.
    pub factors: Values,
    /// The public column A by its leading data rows.
    pub rows: Values,
}

/// Where a proof stands: its index among those of the file, and the hash of what they are about.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Index.
    pub index: u32,
    /// As the prefix of a bundle.
    pub prefix: Fr,
}

/// A cell of a weight column to which a cheating publisher adds a field element.
#[derive(Clone, Copy, Debug)]
pub struct Forged {
    /// Layer.
    pub layer: usize,
    /// Column of the layer.
    pub column: usize,
    /// Row.
    pub row: usize,
    /// What is added.
    pub value: Fr,
}

/// Weight columns of a layer, when they are needed. `None` if there are none.
pub type Weights<'a> = dyn Fn(usize) -> Option<WeightColumns> + 'a;

/// What a publisher proves ranges of.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The weights.
    pub weights: &'a Weights<'a>,
    /// Cells that a cheating publisher changes.
    pub forged: &'a [Forged],
    /// The file whose commitments the publisher folds: a cheating one may take other ones than those of the file proven.
    pub folded: &'a VerifierKey,
}

/// The circuit for `cells` looked-up cells and these many folds.
pub fn circuit(geometry: Geometry, cells: u64, folds: usize) -> Plan {
    let limbs = limb_lanes(&geometry, cells);
    let lane = |name: String| Lane { name, boundary: None };
    let names = (0..limbs).map(|l| format!("limbs {l}")).chain((0..folds).map(|f| format!("fold {f}")));
    Plan {
        geometry,
        lanes: names.map(lane).collect(),
        lookups: (0..limbs).map(|a| Lookup { a, b: None, tag: Tag::Table(0), mask: None }).collect(),
        ..Plan::default()
    }
}

/// Lanes for these many cells.
pub fn limb_lanes(geometry: &Geometry, cells: u64) -> u32 {
    cells.div_ceil(u64::from(geometry.groups.max(1))).max(1) as u32
}

impl Identity {
    /// Coefficients of the limbs' lanes, and the constant. `None` if a claim names another slot.
    fn claimed(&self, ch: &Challenges) -> Option<(Vec<Fr>, Fr)> {
        let mut omega = vec![Fr::ZERO; self.plan.lookups.len() * self.plan.geometry.rows() + 1];
        linear::subtract_claims(&self.claims, ch, &mut omega)?;
        omega.pop().map(|constant| (omega, constant))
    }

    /// Exponents of rho, eta and theta, and one span proof for each fold: over the field size, the probability that an
    /// identity that does not hold for all challenges holds for those drawn, or a fold is another one.
    pub fn degree(&self) -> u64 {
        let last =
            |(start, step): (u32, i32), count: u32| (i64::from(start) + i64::from(count) * i64::from(step)) as u64;
        let of = |c: &Claim| last(c.monomial.rho, c.count).max(last(c.monomial.eta, c.count));
        let claims = self.claims.iter().map(of).max().unwrap_or(0);
        let columns: usize = self.folds.iter().map(Fold::width).sum();
        2 * claims.max(columns as u64).max(self.plan.geometry.rows() as u64) + 1 + self.folds.len() as u64
    }
}

impl Fold {
    /// Number of columns.
    fn width(&self) -> usize {
        self.columns.iter().map(|(_, columns)| columns.len()).sum()
    }

    /// Commitments of its columns.
    fn commitments(&self, key: &VerifierKey) -> Vec<G1> {
        let of = |(layer, columns): &(usize, Range<usize>)| key.layers[*layer].weights[columns.clone()].to_vec();
        self.columns.iter().flat_map(of).collect()
    }
}

/// Factors of the columns of each layer, of each fold.
fn by_layer<'a>(fold: &'a Fold, factors: &'a [Fr]) -> impl Iterator<Item = (usize, Range<usize>, &'a [Fr])> {
    let mut left = factors;
    fold.columns.iter().filter_map(move |(layer, columns)| {
        let (here, rest) = left.split_at_checked(columns.len())?;
        left = rest;
        Some((*layer, columns.clone(), here))
    })
}

/// The folds as columns: data rows and masks, one layer after the other in memory.
fn fold_all(identity: &Identity, factors: &[Vec<Fr>], source: Source) -> Result<Vec<LaneColumn<Fr>>, ProveError> {
    let rows = identity.plan.geometry.rows();
    let empty = LaneColumn { data: vec![Fr::ZERO; rows], mask: [Fr::ZERO; MASK_ROWS] };
    let mut out = vec![empty; factors.len()];
    let mut parts: Vec<_> = identity
        .folds
        .iter()
        .zip(factors)
        .enumerate()
        .flat_map(|(f, (fold, factors))| {
            by_layer(fold, factors).map(move |(layer, columns, factors)| (layer, f, columns, factors))
        })
        .collect();
    parts.sort_by_key(|part| part.0);
    for parts in parts.chunk_by(|a, b| a.0 == b.0) {
        let layer = (source.weights)(parts[0].0).ok_or(ProveError::Mismatch("a weight column"))?;
        for (index, f, columns, factors) in parts {
            if columns.end > layer.columns.len() || layer.columns.iter().any(|c| c.len() > rows) {
                return Err(ProveError::Mismatch("a weight column"));
            }
            let (data, mask) = layer.fold(columns.clone(), factors);
            let fold = &mut out[*f];
            fold.data.iter_mut().zip(data).for_each(|(sum, value)| *sum += value);
            fold.mask.iter_mut().zip(mask).for_each(|(sum, value)| *sum += value);
            for cell in source.forged.iter().filter(|cell| cell.layer == *index && columns.contains(&cell.column)) {
                fold.data[cell.row] += factors[cell.column - columns.start] * cell.value;
            }
        }
    }
    Ok(out)
}

/// Proves an identity over `lanes` of limbs. The result is accepted only if it holds: verify it before use. Lanes of field
/// elements are those of cheating publishers.
///
/// # Errors
/// When lanes, weights and keys do not belong together.
pub fn prove<C: Cell>(
    bases: &ProverBases,
    shape: &ShapeProver,
    place: Place,
    identity: &Identity,
    lanes: Vec<LaneColumn<C>>,
    source: Source,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Vec<u8>, ProveError> {
    let ShapeKey { plan, vk, span_basis, .. } = &shape.key;
    let (geometry, rows) = (plan.geometry, plan.geometry.rows());
    if lanes.len() != plan.lookups.len() || lanes.iter().any(|lane| lane.data.len() != rows) {
        return Err(ProveError::Mismatch("the limbs of weights"));
    }
    let mut transcript = LayerTranscript::init().begin(&place.prefix, place.index, 0, &vk.transcript_repr())?;
    for lane in &lanes {
        transcript.write(&commit_lane(&geometry, bases, lane))?;
    }
    let ch = draw_challenges(&mut transcript).ok_or(ProveError::ZeroChallenge)?;
    let factors: Vec<Vec<Fr>> = identity.folds.iter().map(|fold| (fold.factors)(&ch)).collect();
    let mut folds = fold_all(identity, &factors, source)?;
    let spans: Vec<SpanWitness> = folds.iter().map(|_| SpanWitness::random(rng)).collect();
    for (((fold, factors), column), span) in identity.folds.iter().zip(&factors).zip(&mut folds).zip(&spans) {
        column.mask.iter_mut().zip(&span.delta).for_each(|(mask, delta)| *mask += delta);
        transcript.write(&(msm::lincomb(&fold.commitments(source.folded), factors) + span.offset(span_basis)))?;
    }
    for span in &spans {
        span.prove(span_basis, &mut transcript)?;
    }

    let (omega, constant) = identity.claimed(&ch).ok_or(ProveError::Mismatch("the limbs of weights"))?;
    let mut plain: Vec<Vec<Fr>> = omega.chunks(rows).map(<[Fr]>::to_vec).collect();
    plain.extend(identity.folds.iter().map(|fold| (fold.rows)(&ch)));
    let mut values: Vec<Vec<Fr>> = lanes.iter().map(|lane| lane.to_field(&geometry)).collect();
    values.extend(folds.iter().map(|fold| column(&geometry, fold.data.iter().copied(), &fold.mask)));
    let mut linear = vec![Fr::ZERO; rows];
    linear[0] = constant;
    for (coefficients, column) in plain.iter().zip(&values) {
        linear.iter_mut().zip(coefficients.iter().zip(column)).for_each(|(sum, (a, value))| *sum += *a * value);
    }
    plain.push(vec![constant]);
    let counts = multiplicities(plan, &lanes, &[]);
    let witness = LayerWitness {
        multiplicities: counts.into_iter().map(|data| LaneColumn { data, mask: random_mask(rng) }).collect(),
        lanes,
        tables: Vec::new(),
        linear,
        geometry,
    };
    let blinded = |values: Vec<Fr>| Advice { values, blinded: true };
    let first = witness.multiplicities.iter().map(|m| blinded(m.to_field(&geometry))).collect();
    let second = |challenges: &[Fr]| {
        let (helpers, run) = AdviceBuilder::new(plan, &witness, challenges[0], challenges[1]).second_phase();
        helpers.into_iter().map(|values| Advice { values, blinded: false }).chain([blinded(run)]).collect()
    };
    let committed = values.len();
    values.extend(plain);
    let witness = plonk::Witness { instances: values, committed, first, second };
    plonk::prove(bases, vk.cs(), &shape.fixed, witness, &mut transcript, rng)?;
    Ok(transcript.finalize())
}

/// Checks the proof of an identity whose circuit has the key `shape`.
///
/// # Errors
/// Why it does not hold.
pub fn verify(
    key: &VerifierKey,
    shape: &ShapeKey,
    place: Place,
    identity: &Identity,
    proof: &[u8],
) -> Result<(), LayerError> {
    let malformed = |e: std::io::Error| LayerError::Malformed(e.to_string());
    let ShapeKey { plan, vk, span_basis, .. } = shape;
    let mut transcript = LayerTranscript::init_from_bytes(proof)
        .begin(&place.prefix, place.index, 0, &vk.transcript_repr())
        .map_err(malformed)?;
    let mut committed = transcript.read_points(plan.lookups.len()).map_err(malformed)?;
    let ch = draw_challenges(&mut transcript).ok_or_else(zero)?;
    let folds = transcript.read_points(identity.folds.len()).map_err(malformed)?;
    for (fold, opened) in identity.folds.iter().zip(&folds) {
        let span = SpanProof::read(&mut transcript).map_err(malformed)?;
        let terms = span.terms(span_basis, *opened, &fold.commitments(key), &(fold.factors)(&ch));
        let (factors, points): (Vec<Fr>, Vec<G1>) = terms.into_iter().unzip();
        if !bool::from(msm::lincomb(&points, &factors).is_identity()) {
            return Err(LayerError::Weights);
        }
    }
    committed.extend(folds);
    let (omega, constant) = identity.claimed(&ch).ok_or(LayerError::Mismatch("the limbs of weights"))?;
    let rows = plan.geometry.rows();
    let opening = read_halo2(shape, &committed, transcript, |ratios| {
        let limbs = omega.chunks(rows).map(|column| ratios.column(column));
        let folds = identity.folds.iter().map(|fold| ratios.column(&(fold.rows)(&ch)));
        limbs.chain(folds).chain([constant]).collect()
    })?;
    LayerGuard { opening, weights: Vec::new() }.check(&key.srs)
}

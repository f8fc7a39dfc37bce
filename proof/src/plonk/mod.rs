//! Halo2's prover for circuits of advice and instance columns, without permutation and lookup arguments.
//!
//! It writes the very proof that the stock `create_proof` would write with the same randomness, and the stock verifier
//! checks it. What differs is how: the arithmetic runs on eight elements at a time, the quotient is computed on as many
//! cosets of n rows as its degree needs, one after the other, and every commitment goes through [`crate::msm`].

mod lagrange;
mod opening;
mod program;
mod quotient;

use std::collections::HashMap;

use ff::Field;
use halo2_proofs::plonk::{Column, ColumnType, ConstraintSystem};
use halo2_proofs::poly::Rotation;
use halo2_proofs::transcript::Transcript;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;

use crate::block::{self, Block, LANES};
use crate::domain::Domain;
use crate::error::ProveError;
use crate::field::{Fr, G1};
use crate::pcs::ProverBases;
use crate::transcript::LayerTranscript;
pub(crate) use lagrange::LagrangeRatios;
use opening::{Opening, Poly};
use program::{Layout, Program};

/// Coefficients of the last instance columns of a circuit, which are the same in all proofs.
#[derive(Debug)]
pub(crate) struct FixedColumns(Vec<Vec<Block>>);

impl FixedColumns {
    /// Interpolates columns given by their leading rows.
    pub(crate) fn new(domain: &Domain, columns: &[Vec<Fr>]) -> Self {
        FixedColumns(columns.par_iter().map(|column| domain.interpolate(column)).collect())
    }
}

/// An advice column by its leading rows.
pub(crate) struct Advice {
    /// Its values.
    pub(crate) values: Vec<Fr>,
    /// Whether Halo2 fills the rows that the circuit cannot use with random values.
    pub(crate) blinded: bool,
}

/// What a circuit is proven with.
pub(crate) struct Witness<S> {
    /// Instance columns but the fixed ones, by their leading rows.
    pub(crate) instances: Vec<Vec<Fr>>,
    /// How many of them, from the first, the verifier gets as commitments.
    pub(crate) committed: usize,
    /// Advice of the first phase, in the order of its columns.
    pub(crate) first: Vec<Advice>,
    /// Advice of the second phase from the challenges after the first.
    pub(crate) second: S,
}

/// The circuit is of a kind that is not proven here, or the witness has other columns.
const MISMATCH: ProveError = ProveError::Mismatch("the verifying key");

/// Proves a circuit. The transcript must not absorb common inputs any more.
pub(crate) fn prove<S>(
    bases: &ProverBases,
    cs: &ConstraintSystem<Fr>,
    fixed: &FixedColumns,
    witness: Witness<S>,
    transcript: &mut LayerTranscript,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(), ProveError>
where
    S: FnOnce(&[Fr]) -> Vec<Advice>,
{
    let domain = bases.domain();
    let n = domain.n();
    let supported = cs.lookups().is_empty()
        && cs.trashcans().is_empty()
        && cs.permutation().get_columns().is_empty()
        && cs.num_fixed_columns() == 0;
    let fits = witness.instances.len() + fixed.0.len() == cs.num_instance_columns();
    if !supported || !fits || cs.degree() < 3 {
        return Err(MISMATCH);
    }
    let usable = n - cs.blinding_factors() - 1;

    // Both phases: advice, then the challenges of the phase.
    let mut advice: Vec<Vec<Block>> = vec![Vec::new(); cs.num_advice_columns()];
    let mut challenges = vec![Fr::ZERO; cs.num_challenges()];
    let mut second = Some(witness.second);
    let mut columns = witness.first;
    for phase in 0..2 {
        let places: Vec<usize> = (0..advice.len()).filter(|i| cs.advice_column_phase()[*i] == phase).collect();
        if places.len() != columns.len() {
            return Err(MISMATCH);
        }
        for column in columns.iter_mut().filter(|column| column.blinded) {
            column.values.resize(usable, Fr::ZERO);
            column.values.extend((usable..n).map(|_| Fr::random(&mut *rng)));
        }
        let done: Vec<(G1, Vec<Block>)> =
            columns.par_iter().map(|c| (bases.commit(&c.values), domain.interpolate(&c.values))).collect();
        for (place, (commitment, poly)) in places.into_iter().zip(done) {
            transcript.write(&commitment)?;
            advice[place] = poly;
        }
        for (challenge, _) in challenges.iter_mut().zip(cs.challenge_phase()).filter(|(_, p)| *p == phase) {
            *challenge = transcript.squeeze_challenge();
        }
        columns = second.take().map_or_else(Vec::new, |second| second(&challenges));
    }

    // Challenges of arguments that the circuit does not have: theta, beta, gamma, and that of the trash argument.
    for _ in 0..4 {
        let _: Fr = transcript.squeeze_challenge();
    }
    let random: Vec<Fr> = (0..n).map(|_| Fr::random(&mut *rng)).collect();
    transcript.write(&bases.commit_coefficients(&random))?;
    let y: Fr = transcript.squeeze_challenge();

    let instances: Vec<Vec<Block>> =
        witness.instances.into_par_iter().map(|column| domain.interpolate(&column)).collect();
    let layout = Layout { instance: 0, advice: cs.num_instance_columns() };
    let columns: Vec<&[Block]> = instances.iter().chain(&fixed.0).chain(&advice).map(Vec::as_slice).collect();
    let program = Program::new(cs, layout, &challenges, y).ok_or(MISMATCH)?;
    let pieces = blinded_pieces(quotient::quotient(domain, &program, &columns, cs.degree()), n, rng);
    let commitments: Vec<G1> = pieces.par_iter().map(|piece| bases.commit_coefficients(piece)).collect();
    for commitment in &commitments {
        transcript.write(commitment)?;
    }

    let x: Fr = transcript.squeeze_challenge();
    let queries = Queries::new(cs, witness.committed, layout);
    let evaluations = queries.evaluate(domain, &columns, x);
    for query in queries.instance.iter().chain(&queries.advice) {
        transcript.write(&evaluations[query])?;
    }
    transcript.write(&opening::evaluate(&random, x))?;

    let split = x.pow_vartime([n as u64 - 1]);
    let mut h = vec![Fr::ZERO; n];
    for piece in pieces.iter().rev() {
        h.iter_mut().zip(piece).for_each(|(sum, c)| *sum = *sum * split + c);
    }
    let (mut openings, points) = queries.openings(domain, &columns, x);
    let at_x = points.iter().position(|p| *p == x).ok_or(MISMATCH)?;
    openings.extend([&h, &random].map(|poly| Opening { poly: Poly::Elements(poly), points: vec![at_x] }));
    opening::open(bases, &openings, &points, transcript)?;
    Ok(())
}

/// The quotient in pieces of n - 1 coefficients, each blinded by a random coefficient that the next one takes back.
fn blinded_pieces(quotient: Vec<Fr>, n: usize, rng: &mut impl RngCore) -> Vec<Vec<Fr>> {
    let parts = quotient.len() / n;
    let mut pieces: Vec<Vec<Fr>> = quotient.chunks(n - 1).take(parts).map(<[Fr]>::to_vec).collect();
    for next in 1..parts {
        let blind = Fr::random(&mut *rng);
        pieces[next - 1].push(blind);
        pieces[next][0] -= blind;
    }
    pieces
}

/// A column, by its index among all columns, in a row relative to the current one.
type Query = (usize, i32);

/// What the proof opens, in the order of the proof.
struct Queries {
    instance: Vec<Query>,
    advice: Vec<Query>,
}

impl Queries {
    fn new(cs: &ConstraintSystem<Fr>, committed: usize, layout: Layout) -> Self {
        fn list<C: ColumnType>(queries: &[(Column<C>, Rotation)], start: usize) -> Vec<Query> {
            queries.iter().map(|(column, rotation)| (start + column.index(), rotation.0)).collect()
        }
        let mut instance = list(cs.instance_queries(), layout.instance);
        instance.retain(|(column, _)| *column < layout.instance + committed);
        Queries { instance, advice: list(cs.advice_queries(), layout.advice) }
    }

    /// All queries in the order in which they are opened.
    fn all(&self) -> impl Iterator<Item = &Query> {
        self.advice.iter().chain(&self.instance)
    }

    /// The point of a query.
    fn point(domain: &Domain, x: Fr, rotation: i32) -> Fr {
        let step = domain.omega().pow_vartime([u64::from(rotation.unsigned_abs())]);
        if rotation < 0 { x * step.invert().unwrap_or(Fr::ZERO) } else { x * step }
    }

    /// The value of every query.
    fn evaluate(&self, domain: &Domain, columns: &[&[Block]], x: Fr) -> HashMap<Query, Fr> {
        let mut tables: HashMap<i32, Vec<Block>> = HashMap::new();
        for (_, rotation) in self.all() {
            tables.entry(*rotation).or_insert_with(|| {
                let point = Self::point(domain, x, *rotation);
                let first: [Fr; LANES] = std::array::from_fn(|i| point.pow_vartime([i as u64]));
                block::progression(&first, &(first[LANES - 1] * point), domain.n().div_ceil(LANES))
            });
        }
        let queries: Vec<Query> = self.all().copied().collect();
        let value = |query: Query| (query, block::dot(columns[query.0], &tables[&query.1]));
        queries.into_par_iter().map(value).collect()
    }

    /// Every opened column with its points.
    fn openings<'a>(&self, domain: &Domain, columns: &[&'a [Block]], x: Fr) -> (Vec<Opening<'a>>, Vec<Fr>) {
        let (mut rotations, mut points) = (Vec::new(), Vec::new());
        let mut opened: Vec<(usize, Opening)> = Vec::new();
        for (column, rotation) in self.all() {
            let point = rotations.iter().position(|r| r == rotation).unwrap_or_else(|| {
                rotations.push(*rotation);
                points.push(Self::point(domain, x, *rotation));
                points.len() - 1
            });
            match opened.iter_mut().find(|(c, _)| c == column) {
                Some((_, opening)) => opening.points.push(point),
                None => opened.push((*column, Opening { poly: Poly::Blocks(columns[*column]), points: vec![point] })),
            }
        }
        (opened.into_iter().map(|(_, opening)| opening).collect(), points)
    }
}

#[cfg(test)]
mod tests;

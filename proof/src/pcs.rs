//! The prover's side of KZG: columns of small integers are committed at the cost of their bits, everything else goes
//! through [`crate::msm`].
//!
//! Commitments, keys and proofs are identical to those of the stock `KZGCommitmentScheme<Bls12>`, which verifies them.

use std::hash::Hash;
use std::sync::Arc;

use group::prime::PrimeCurveAffine;
use halo2_proofs::poly::commitment::{Guard, Params, PolynomialCommitmentScheme};
use halo2_proofs::poly::kzg::KZGCommitmentScheme;
use halo2_proofs::poly::kzg::params::{ParamsKZG, ParamsVerifierKZG};
use halo2_proofs::poly::{Coeff, Error, LagrangeCoeff, Polynomial, ProverQuery, VerifierQuery};
use halo2_proofs::transcript::{Hashable, Sampleable, Transcript};
use rand_core::OsRng;

use crate::domain::Domain;
use crate::field::{Bls12, Fr, G1, G1Affine};
use crate::msm::{self, Bases};
use crate::srs::{Srs, SrsError, SrsVerifierPart};

type Stock = KZGCommitmentScheme<Bls12>;

/// A column counts as small when at most one value in this many is not a small integer.
const FULL_SIZE_SHARE: usize = 2;

/// The SRS for one `k` in the forms that committing and opening take; shared by all proofs of that size.
#[derive(Debug)]
pub struct ProverBases {
    k: u32,
    monomial: Bases,
    lagrange: Bases,
    verifier: SrsVerifierPart,
    domain: Domain,
}

impl ProverBases {
    /// The bases of `srs` for circuits of `2^k` rows.
    ///
    /// # Errors
    /// [`SrsError::TooLarge`] if `k` exceeds that of the SRS; [`SrsError::Inconsistent`] if its secret is a row of the
    /// circuit, so that commitments would show that row and hide nothing.
    pub fn new(srs: &Srs, k: u32) -> Result<Self, SrsError> {
        let lagrange = srs.lagrange(k)?;
        // All Lagrange polynomials but one vanish at a row, and none elsewhere.
        if lagrange.iter().take(2).any(|base| bool::from(base.is_identity())) {
            return Err(SrsError::Inconsistent("its secret is a root of unity, so that commitments hide nothing"));
        }
        let monomial = Bases::new(srs.monomial()[..1 << k].into());
        let verifier = *srs.verifier_part();
        Ok(ProverBases { k, monomial, lagrange: Bases::new(lagrange), verifier, domain: Domain::new(k) })
    }

    /// The same in the form of the stock scheme, which takes twice the memory.
    fn stock(&self) -> ParamsKZG<Bls12> {
        self.verifier.with_bases(self.k, self.monomial.points(), self.lagrange())
    }

    /// `k`: the bases commit to columns of `2^k` rows.
    pub fn k(&self) -> u32 {
        self.k
    }

    /// Lagrange bases, one per row.
    pub fn lagrange(&self) -> &[G1Affine] {
        self.lagrange.points()
    }

    /// Commitment to a column of field elements given by its leading rows; the other rows are zero.
    pub fn commit(&self, column: &[Fr]) -> G1 {
        assert!(column.len() <= self.lagrange().len());
        let mut small = vec![0i64; column.len()];
        let full_size: Vec<usize> = small
            .iter_mut()
            .zip(column)
            .enumerate()
            .filter_map(|(row, (small, value))| match msm::to_signed(value) {
                Some(integer) => {
                    *small = integer;
                    None
                }
                None => Some(row),
            })
            .collect();
        if full_size.len() * FULL_SIZE_SHARE > column.len() {
            return self.lagrange.dense(column);
        }
        let bases: Vec<G1Affine> = full_size.iter().map(|row| self.lagrange()[*row]).collect();
        let scalars: Vec<Fr> = full_size.iter().map(|row| column[*row]).collect();
        self.lagrange.small(&small) + msm::dense(&bases, &scalars)
    }

    /// Commitment to a column of field elements of full size given by its leading rows; the other rows are zero.
    pub fn commit_dense(&self, column: &[Fr]) -> G1 {
        assert!(column.len() <= self.lagrange().len());
        self.lagrange.dense(column)
    }

    /// Commitment to a column of signed integers given by its leading rows, with masks in the rows from `masked` on.
    pub fn commit_masked(&self, column: &[i64], masked: usize, masks: &[Fr]) -> G1 {
        self.commit_small(column) + msm::dense(&self.lagrange()[masked..], masks)
    }

    /// Commitment to a polynomial of at most `2^k` coefficients.
    pub fn commit_coefficients(&self, coefficients: &[Fr]) -> G1 {
        assert!(coefficients.len() <= self.monomial.points().len());
        self.monomial.dense(coefficients)
    }

    /// The rows as roots of unity.
    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Commitment to a column of signed integers given by its leading rows; the other rows are zero.
    pub fn commit_small(&self, column: &[i64]) -> G1 {
        assert!(column.len() <= self.lagrange().len());
        self.lagrange.small(column)
    }
}

/// What key generation commits with.
#[derive(Debug)]
pub struct ProverParams {
    bases: Arc<ProverBases>,
}

impl ProverParams {
    /// Parameters with shared bases.
    pub fn new(bases: Arc<ProverBases>) -> Self {
        ProverParams { bases }
    }

    /// The shared bases.
    pub fn bases(&self) -> &Arc<ProverBases> {
        &self.bases
    }
}

impl Params for ProverParams {
    fn max_k(&self) -> u32 {
        self.bases.k
    }

    /// Replaces the bases by those of the smaller domain.
    fn downsize(&mut self, new_k: u32) {
        if new_k == self.bases.k {
            return;
        }
        let mut stock = self.bases.stock();
        stock.downsize(new_k);
        let lagrange = Bases::new(msm::to_affine(stock.g_lagrange()).into());
        let monomial = Bases::new(self.bases.monomial.points()[..1 << new_k].into());
        *self = ProverParams::new(Arc::new(ProverBases {
            k: new_k,
            monomial,
            lagrange,
            verifier: self.bases.verifier,
            domain: Domain::new(new_k),
        }));
    }
}

/// The prover's KZG scheme. It cannot verify: [`PolynomialCommitmentScheme::multi_prepare`] always fails, since the
/// stock scheme verifies its proofs.
#[derive(Clone, Copy, Debug)]
pub struct ProverKzg;

/// The verification guard of a scheme that does not verify; it has no values.
#[derive(Clone, Copy, Debug)]
pub enum NoGuard {}

impl Guard<Fr, ProverKzg> for NoGuard {
    fn verify(self, _: &ParamsVerifierKZG<Bls12>) -> Result<(), Error> {
        match self {}
    }
}

impl PolynomialCommitmentScheme<Fr> for ProverKzg {
    type Parameters = ProverParams;
    type VerifierParameters = ParamsVerifierKZG<Bls12>;
    type Commitment = G1;
    type VerificationGuard = NoGuard;

    /// Parameters over a fresh local secret, as those of the stock scheme: for tests only.
    fn gen_params(k: u32) -> ProverParams {
        let bases = Srs::generate_unsafe(k, &mut OsRng).and_then(|srs| ProverBases::new(&srs, k));
        ProverParams::new(Arc::new(bases.expect("k is within the range of the curve's supported domains")))
    }

    fn get_verifier_params(params: &ProverParams) -> ParamsVerifierKZG<Bls12> {
        params.bases.verifier.params()
    }

    fn commit(params: &ProverParams, polynomial: &Polynomial<Fr, Coeff>) -> G1 {
        params.bases.commit_coefficients(polynomial)
    }

    fn commit_lagrange(params: &ProverParams, column: &Polynomial<Fr, LagrangeCoeff>) -> G1 {
        params.bases.commit(column)
    }

    fn multi_open<T: Transcript>(
        params: &ProverParams,
        queries: &[ProverQuery<Fr>],
        transcript: &mut T,
    ) -> Result<(), Error>
    where
        Fr: Sampleable<T::Hash> + Hash + Ord + Hashable<T::Hash>,
        G1: Hashable<T::Hash>,
    {
        Stock::multi_open(&params.bases.stock(), queries, transcript)
    }

    fn multi_prepare<'com, T: Transcript>(_: &[VerifierQuery<'com, Fr, Self>], _: &mut T) -> Result<NoGuard, Error>
    where
        Fr: Sampleable<T::Hash> + Hash + Ord + Hashable<T::Hash>,
        G1: 'com + Hashable<T::Hash>,
    {
        Err(Error::OpeningError)
    }
}

#[cfg(test)]
mod tests;

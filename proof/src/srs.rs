//! The structured reference string (SRS) of the KZG commitment scheme on BLS12-381.
//!
//! An SRS for `k` holds `[s^i]_1` for `i < 2^k`, the Lagrange bases of one or more domains of size at most `2^k`, and
//! `[s]_2`. It comes with this program for small circuits ([`Srs::embedded`]), from a ceremony file ([`Srs::import`]) or,
//! for tests and benchmarks, from a local random `s` that is thrown away ([`Srs::generate_unsafe`]).

mod ceremony;
mod checks;
mod file;
mod import;
mod json;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ff::{BatchInvert, Field, PrimeField};
use group::prime::PrimeCurveAffine;
use group::{Curve, Group, GroupEncoding};
use halo2_proofs::poly::kzg::params::{ParamsKZG, ParamsVerifierKZG};
use halo2_proofs::utils::SerdeFormat;
use halo2curves::G2Affine;
use halo2curves::fft::best_fft;
use rand_core::RngCore;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::field::{Bls12, Fr, G1, G1Affine, powers};
use crate::msm::to_affine;

pub use ceremony::{Ceremony, EMBEDDED_K, STRONGEST_K};

/// Largest supported `k`: beyond it the bases no longer fit the memory of common machines.
pub const MAX_K: u32 = 26;

/// Why an SRS could not be read, imported or used.
#[derive(Debug, thiserror::Error)]
pub enum SrsError {
    /// The file does not start with the magic bytes of an SRS file.
    #[error("not a nanozk SRS file; to use a ceremony file, import it first")]
    BadMagic,
    /// The file was written by an incompatible version.
    #[error("SRS file has format version {found}, this program reads version {expected}; generate or import it again")]
    BadVersion {
        /// Version in the file.
        found: u32,
        /// Version this program reads.
        expected: u32,
    },
    /// `k` exceeds [`MAX_K`] in a file, or what the SRS offers in a request.
    #[error("k = {k} is above the limit of {limit} of this SRS; use an SRS for a larger k or a smaller circuit")]
    TooLarge {
        /// Requested or stored `k`.
        k: u32,
        /// Largest possible `k`.
        limit: u32,
    },
    /// The file ends before its content is complete.
    #[error("SRS file is truncated; copy or generate it again")]
    Truncated,
    /// Bytes follow the content.
    #[error("SRS file has bytes after its end, it is damaged or of another format; copy or generate it again")]
    TrailingData,
    /// The header contradicts itself.
    #[error("SRS file header is damaged: {0}; copy or generate it again")]
    BadHeader(&'static str),
    /// The content does not have the hash stored with it.
    #[error("SRS file content does not match its hash; copy or generate it again")]
    HashMismatch,
    /// A point is not a valid encoding of a curve point, or is outside the prime-order subgroup.
    #[error("SRS file holds an invalid point ({part}, index {index}); copy or generate it again")]
    BadPoint {
        /// Which list the point belongs to.
        part: &'static str,
        /// Position in the list.
        index: usize,
    },
    /// A ceremony file is well-formed but not an SRS.
    #[error("ceremony file is inconsistent: {0}; copy or generate it again")]
    Inconsistent(&'static str),
    /// A ceremony file in JSON is no JSON, or of another form.
    #[error("ceremony file is not in the JSON of Ethereum's ceremony: {0}; fetch it again")]
    Json(#[from] serde_json::Error),
    /// Reading or writing failed.
    #[error("SRS file input/output failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Structured reference string for polynomials of fewer than `2^k` coefficients.
#[derive(Debug)]
pub struct Srs {
    k: u32,
    monomial: Arc<[G1Affine]>,
    lagrange: Mutex<BTreeMap<u32, Arc<[G1Affine]>>>,
    verifier: SrsVerifierPart,
}

impl Srs {
    /// An SRS for `k` from a random secret drawn from `rng` and dropped at the end of the call.
    ///
    /// Whoever runs this could keep the secret and forge proofs: for tests, benchmarks and single-party use only.
    ///
    /// # Errors
    /// [`SrsError::TooLarge`] if `k > MAX_K`.
    pub fn generate_unsafe(k: u32, rng: &mut impl RngCore) -> Result<Self, SrsError> {
        check_k(k, MAX_K)?;
        let n = 1usize << k;
        let secret = loop {
            let s = Fr::random(&mut *rng);
            if s != Fr::ZERO && s.pow_vartime([n as u64]) != Fr::ONE {
                break s;
            }
        };
        let table = FixedBase::new();
        let monomial = table.multiply(&powers(secret, n));
        let srs = Srs {
            k,
            monomial: monomial.into(),
            lagrange: Mutex::default(),
            verifier: SrsVerifierPart { s_g2: (G2Affine::generator() * secret).to_affine() },
        };
        srs.cache_lagrange(k, table.multiply(&lagrange_scalars(secret, k)).into());
        Ok(srs)
    }

    fn from_parts(
        k: u32,
        monomial: Vec<G1Affine>,
        lagrange: BTreeMap<u32, Arc<[G1Affine]>>,
        verifier: SrsVerifierPart,
    ) -> Self {
        Srs { k, monomial: monomial.into(), lagrange: Mutex::new(lagrange), verifier }
    }

    /// Largest `k` of circuits this SRS supports.
    pub fn k(&self) -> u32 {
        self.k
    }

    /// `[s^i]_1` for `i < 2^k`.
    pub fn monomial(&self) -> &[G1Affine] {
        &self.monomial
    }

    /// `[L_i(s)]_1` for the domain of size `2^k`; derived by a group FFT on first use of a `k` that is not stored.
    ///
    /// # Errors
    /// [`SrsError::TooLarge`] if `k` exceeds [`Srs::k`].
    pub fn lagrange(&self, k: u32) -> Result<Arc<[G1Affine]>, SrsError> {
        check_k(k, self.k)?;
        if let Some(bases) = self.lagrange_tables().get(&k) {
            return Ok(bases.clone());
        }
        let mut bases: Vec<G1> = self.monomial[..1 << k].iter().map(G1::from).collect();
        best_fft(&mut bases, root_of_unity(k).invert().unwrap_or(Fr::ONE), k);
        let n_inv = inverse_size(k);
        bases.par_iter_mut().for_each(|base| *base *= n_inv);
        let bases: Arc<[G1Affine]> = to_affine(&bases).into();
        self.cache_lagrange(k, bases.clone());
        Ok(bases)
    }

    /// The same SRS for circuits of at most `2^k` rows, with the Lagrange bases for `k` and those derived below.
    ///
    /// # Errors
    /// [`SrsError::TooLarge`] if `k` exceeds [`Srs::k`].
    pub fn truncated(&self, k: u32) -> Result<Self, SrsError> {
        self.lagrange(k)?;
        let tables = self.lagrange_tables().range(..=k).map(|(k, bases)| (*k, bases.clone())).collect();
        Ok(Srs::from_parts(k, self.monomial[..1 << k].to_vec(), tables, self.verifier))
    }

    /// What the verifier needs.
    pub fn verifier_part(&self) -> &SrsVerifierPart {
        &self.verifier
    }

    /// Identifies the SRS independently of `k`; see [`SrsVerifierPart::id`].
    pub fn id(&self) -> [u8; 32] {
        self.verifier.id()
    }

    /// The bases for `k` in the form key generation and opening take them.
    ///
    /// # Errors
    /// [`SrsError::TooLarge`] if `k` exceeds [`Srs::k`].
    pub fn halo2_params(&self, k: u32) -> Result<ParamsKZG<Bls12>, SrsError> {
        check_k(k, self.k)?;
        Ok(self.verifier.with_bases(k, &self.monomial[..1 << k], &self.lagrange(k)?))
    }

    /// Parameters of the stock verifier.
    pub fn verifier_params(&self) -> ParamsVerifierKZG<Bls12> {
        self.verifier.params()
    }

    fn cache_lagrange(&self, k: u32, bases: Arc<[G1Affine]>) {
        self.lagrange_tables().insert(k, bases);
    }

    fn lagrange_tables(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Arc<[G1Affine]>>> {
        self.lagrange.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of an SRS that suffices to verify proofs; the generators are those of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct SrsVerifierPart {
    s_g2: G2Affine,
}

impl SrsVerifierPart {
    /// `[s]_2`.
    pub fn s_g2(&self) -> G2Affine {
        self.s_g2
    }

    /// Parameters of the stock prover, with the bases of `2^k` rows.
    pub(crate) fn with_bases(&self, k: u32, monomial: &[G1Affine], lagrange: &[G1Affine]) -> ParamsKZG<Bls12> {
        let projective = |points: &[G1Affine]| points.iter().map(G1::from).collect();
        let (g2, s_g2) = (G2Affine::generator().into(), self.s_g2.into());
        ParamsKZG::from_parts(k, projective(monomial), Some(projective(lagrange)), g2, s_g2)
    }

    /// Parameters of the stock verifier.
    pub fn params(&self) -> ParamsVerifierKZG<Bls12> {
        let bytes = self.s_g2.to_bytes();
        ParamsVerifierKZG::read(&mut bytes.as_ref(), SerdeFormat::Processed)
            .expect("the encoding of a valid point is readable")
    }

    /// BLAKE2b-256 over the compressed generators of G2 and G1 and `[s]_2`: equal for all sizes of one SRS.
    pub fn id(&self) -> [u8; 32] {
        let mut hasher = content_hasher(b"nanozk-srs-id");
        hasher.update(G2Affine::generator().to_bytes().as_ref());
        hasher.update(self.s_g2.to_bytes().as_ref());
        hasher.update(G1Affine::generator().to_bytes().as_ref());
        finish(&hasher)
    }
}

impl From<SrsVerifierPart> for Vec<u8> {
    fn from(part: SrsVerifierPart) -> Self {
        part.s_g2.to_bytes().as_ref().to_vec()
    }
}

impl TryFrom<Vec<u8>> for SrsVerifierPart {
    type Error = SrsError;

    /// Reads a compressed point and checks that it is in the subgroup and not the identity.
    fn try_from(bytes: Vec<u8>) -> Result<Self, SrsError> {
        let bad = SrsError::BadPoint { part: "[s]_2", index: 0 };
        let mut encoding = <G2Affine as GroupEncoding>::Repr::default();
        if bytes.len() != encoding.as_ref().len() {
            return Err(bad);
        }
        encoding.as_mut().copy_from_slice(&bytes);
        let point: Option<G2Affine> = G2Affine::from_bytes(&encoding).into();
        point.filter(|p| !bool::from(p.is_identity())).map(|s_g2| SrsVerifierPart { s_g2 }).ok_or(bad)
    }
}

fn check_k(k: u32, limit: u32) -> Result<(), SrsError> {
    if k > limit { Err(SrsError::TooLarge { k, limit }) } else { Ok(()) }
}

fn content_hasher(personal: &[u8]) -> blake2b_simd::State {
    blake2b_simd::Params::new().hash_length(32).personal(personal).to_state()
}

fn finish(hasher: &blake2b_simd::State) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(hasher.finalize().as_bytes());
    out
}

/// Generator of the subgroup of order `2^k` of the scalar field.
pub(crate) fn root_of_unity(k: u32) -> Fr {
    (k..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square())
}

/// `2^-k`.
fn inverse_size(k: u32) -> Fr {
    Fr::TWO_INV.pow_vartime([u64::from(k)])
}

/// `L_i(s) = w^i (s^n - 1) / (n (s - w^i))` for `i < n = 2^k`, where `s` is not an `n`-th root of unity.
fn lagrange_scalars(s: Fr, k: u32) -> Vec<Fr> {
    let n = 1usize << k;
    let roots = powers(root_of_unity(k), n);
    let factor = (s.pow_vartime([n as u64]) - Fr::ONE) * inverse_size(k);
    let mut scalars: Vec<Fr> = roots.iter().map(|root| s - root).collect();
    scalars.iter_mut().batch_invert();
    scalars.par_iter_mut().zip(&roots).for_each(|(scalar, root)| *scalar *= factor * root);
    scalars
}

/// Multiples `d * 2^(8 w)` of the generator of G1 for all bytes `d` and byte positions `w` of a scalar.
struct FixedBase(Vec<[G1Affine; 256]>);

impl FixedBase {
    fn new() -> Self {
        let bases: Vec<G1> =
            std::iter::successors(Some(G1::generator()), |base| Some((0..8).fold(*base, |point, _| point.double())))
                .take(32)
                .collect();
        let rows = bases.par_iter().map(|base| {
            let multiples: Vec<G1> =
                std::iter::successors(Some(G1::identity()), |point| Some(point + base)).take(256).collect();
            let mut row = [G1Affine::default(); 256];
            row.copy_from_slice(&to_affine(&multiples));
            row
        });
        FixedBase(rows.collect())
    }

    fn multiply(&self, scalars: &[Fr]) -> Vec<G1Affine> {
        let product = |scalar: &Fr| -> G1 {
            let bytes = scalar.to_bytes_le();
            self.0
                .iter()
                .zip(bytes)
                .filter(|(_, byte)| *byte != 0)
                .fold(G1::identity(), |sum, (row, byte)| sum + row[usize::from(byte)])
        };
        let products: Vec<G1> = scalars.par_iter().map(product).collect();
        to_affine(&products)
    }
}

#[cfg(test)]
mod tests;

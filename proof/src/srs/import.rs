//! Import of ceremony files.

use std::collections::BTreeMap;
use std::io::Read;

use ff::Field;
use group::prime::PrimeCurveAffine;
use group::{Curve, Group, GroupEncoding, UncompressedEncoding};
use halo2curves::fft::best_fft;
use halo2curves::pairing::{Engine, MillerLoopResult, MultiMillerLoop};
use halo2curves::{G2Affine, G2Prepared};
use rand_core::OsRng;
use rayon::prelude::*;

use super::file::{at_end, read_exact, read_points};
use super::{MAX_K, Srs, SrsError, SrsVerifierPart, check_k, inverse_size, root_of_unity};
use crate::field::{Bls12, Fr, G1, G1Affine};
use crate::msm::dense;
use crate::points;

/// Set in the first byte of a compressed point, clear in that of an uncompressed one.
const COMPRESSED_FLAG: u8 = 0x80;

impl Srs {
    /// Imports an SRS from a ceremony file in the layout of halo2's `ParamsKZG`: `k` (u32 little-endian), `2^k`
    /// monomial bases, `2^k` Lagrange bases, the generator of G2, `[s]_2`; all points compressed (`Processed`) or all
    /// uncompressed (`RawBytes`), which is detected.
    ///
    /// Checks every point to be on the curve and in the prime-order subgroup, the generators to be those of the curve,
    /// and, by random linear combinations over 255-bit scalars, that the monomial bases are consecutive powers of the
    /// secret of `[s]_2` and that the Lagrange bases belong to them.
    ///
    /// # Errors
    /// [`SrsError`] for the first check that fails, and for truncated, oversized or unreadable input.
    pub fn import(mut reader: impl Read) -> Result<Self, SrsError> {
        let mut k = [0; 4];
        read_exact(&mut reader, &mut k)?;
        let k = u32::from_le_bytes(k);
        check_k(k, MAX_K)?;
        let mut first = [0; 1];
        read_exact(&mut reader, &mut first)?;
        let compressed = first[0] & COMPRESSED_FLAG != 0;
        let mut reader = (&first[..]).chain(reader);

        let mut bases = |part| {
            let fill = |bytes: &mut [u8]| read_exact(&mut reader, bytes);
            if compressed {
                read_points(part, k, 48, fill, |bytes| points::decode(bytes.as_chunks().0))
            } else {
                let decode = |bytes: &[u8]| bytes.par_chunks(96).map(decode_uncompressed).collect();
                read_points(part, k, 96, fill, decode)
            }
        };
        let monomial = bases("monomial bases")?;
        let lagrange = bases("Lagrange bases")?;
        let mut g2_point = |part| {
            let mut bytes = vec![0; if compressed { 96 } else { 192 }];
            read_exact(&mut reader, &mut bytes)?;
            let point = if compressed { decode_compressed(&bytes) } else { decode_uncompressed(&bytes) };
            point.ok_or(SrsError::BadPoint { part, index: 0 })
        };
        let g2: G2Affine = g2_point("generator of G2")?;
        let s_g2: G2Affine = g2_point("[s]_2")?;
        at_end(&mut reader)?;

        if monomial[0] != G1Affine::generator() || g2 != G2Affine::generator() {
            return Err(SrsError::Inconsistent("it uses other generators than those of the curve"));
        }
        if bool::from(s_g2.is_identity()) {
            return Err(SrsError::Inconsistent("[s]_2 is the identity"));
        }
        check_powers(&monomial, s_g2)?;
        check_lagrange(k, &monomial, &lagrange)?;
        let tables = BTreeMap::from([(k, lagrange.into())]);
        Ok(Srs::from_parts(k, monomial, tables, SrsVerifierPart { s_g2 }))
    }
}

pub(super) fn decode_compressed<P: GroupEncoding>(bytes: &[u8]) -> Option<P> {
    let mut encoding = P::Repr::default();
    encoding.as_mut().copy_from_slice(bytes);
    P::from_bytes(&encoding).into()
}

fn decode_uncompressed<P: UncompressedEncoding>(bytes: &[u8]) -> Option<P> {
    let mut encoding = P::Uncompressed::default();
    encoding.as_mut().copy_from_slice(bytes);
    P::from_uncompressed(&encoding).into()
}

/// `e(sum r_i [s^(i+1)], [1]_2) = e(sum r_i [s^i], [s]_2)` for random `r_i`.
pub(super) fn check_powers(monomial: &[G1Affine], s_g2: G2Affine) -> Result<(), SrsError> {
    let scalars: Vec<Fr> = (1..monomial.len()).map(|_| Fr::random(OsRng)).collect();
    let shifted = dense(&monomial[1..], &scalars).to_affine();
    let plain = dense(monomial, &scalars).to_affine();
    let negated = G2Prepared::from(-G2Affine::generator());
    let terms = [(&shifted, &negated), (&plain, &G2Prepared::from(s_g2))];
    let product: <Bls12 as Engine>::Gt = Bls12::multi_miller_loop(&terms).final_exponentiation();
    if bool::from(product.is_identity()) {
        Ok(())
    } else {
        Err(SrsError::Inconsistent("the monomial bases are not consecutive powers of the secret of [s]_2"))
    }
}

/// A polynomial with random values has the same commitment in the Lagrange bases as in the monomial bases.
pub(super) fn check_lagrange(k: u32, monomial: &[G1Affine], lagrange: &[G1Affine]) -> Result<(), SrsError> {
    let values: Vec<Fr> = lagrange.iter().map(|_| Fr::random(OsRng)).collect();
    let mut coefficients = values.clone();
    best_fft(&mut coefficients, root_of_unity(k).invert().unwrap_or(Fr::ONE), k);
    let n_inv = inverse_size(k);
    coefficients.iter_mut().for_each(|c| *c *= n_inv);
    let (from_values, from_coefficients): (G1, G1) = (dense(lagrange, &values), dense(monomial, &coefficients));
    if from_values == from_coefficients {
        Ok(())
    } else {
        Err(SrsError::Inconsistent("the Lagrange bases do not belong to the monomial bases"))
    }
}

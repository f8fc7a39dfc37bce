//! Checks of powers that come from elsewhere, whatever the file.

use std::collections::BTreeMap;

use ff::Field;
use group::prime::PrimeCurveAffine;
use group::{Curve, Group, GroupEncoding};
use halo2curves::fft::best_fft;
use halo2curves::pairing::{Engine, MillerLoopResult, MultiMillerLoop};
use halo2curves::{G2Affine, G2Prepared};
use rand_core::OsRng;

use super::{Srs, SrsError, SrsVerifierPart, inverse_size, root_of_unity};
use crate::field::{Bls12, Fr, G1, G1Affine};
use crate::msm::dense;

/// An SRS of the monomial bases, if they are those of `[1]_2` and `[s]_2`.
pub(super) fn checked(k: u32, monomial: Vec<G1Affine>, [g2, s_g2]: [G2Affine; 2]) -> Result<Srs, SrsError> {
    if monomial[0] != G1Affine::generator() || g2 != G2Affine::generator() {
        return Err(SrsError::Inconsistent("it uses other generators than those of the curve"));
    }
    if bool::from(s_g2.is_identity()) {
        return Err(SrsError::Inconsistent("[s]_2 is the identity"));
    }
    check_powers(&monomial, s_g2)?;
    Ok(Srs::from_parts(k, monomial, BTreeMap::new(), SrsVerifierPart { s_g2 }))
}

pub(super) fn decode_compressed<P: GroupEncoding>(bytes: &[u8]) -> Option<P> {
    let mut encoding = P::Repr::default();
    encoding.as_mut().copy_from_slice(bytes);
    P::from_bytes(&encoding).into()
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

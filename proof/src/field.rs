//! The field, the group, and small-integer conversions.

use ff::Field;
pub use halo2curves::{Bls12, Fq as Fr, G1Affine, G1Projective as G1};

/// The commitment scheme that the verifier uses.
pub type Kzg = halo2_proofs::poly::kzg::KZGCommitmentScheme<Bls12>;

/// A signed integer as a field element.
pub fn int(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// `base^exponent` for an exponent of either sign; `inverse` is `base^-1`.
pub fn power(base: Fr, inverse: Fr, exponent: i64) -> Fr {
    let b = if exponent < 0 { inverse } else { base };
    b.pow_vartime([exponent.unsigned_abs()])
}

/// `1, base, base^2, ...`, `len` of them.
pub fn powers(base: Fr, len: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::ONE), |p| Some(*p * base)).take(len).collect()
}

/// Replaces every element by its inverse; zeros stay zero.
pub fn batch_invert(values: &mut [Fr]) {
    let mut prefix = Vec::with_capacity(values.len());
    let mut product = Fr::ONE;
    for v in values.iter() {
        prefix.push(product);
        if !v.is_zero_vartime() {
            product *= v;
        }
    }
    let mut inverse = product.invert().unwrap_or(Fr::ZERO);
    for (v, p) in values.iter_mut().zip(prefix).rev() {
        if !v.is_zero_vartime() {
            let next = inverse * *v;
            *v = inverse * p;
            inverse = next;
        }
    }
}

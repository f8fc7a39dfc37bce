//! Arithmetic in the base field of the curve.

use blst::{
    blst_fp, blst_fp_add, blst_fp_cneg, blst_fp_eucl_inverse, blst_fp_mul, blst_fp_sqr, blst_fp_sub, blst_p1_affine,
};

/// One, in Montgomery form.
pub(super) const ONE: blst_fp = blst_fp {
    l: [
        0x7609_0000_0002_fffd,
        0xebf4_000b_c40c_0002,
        0x5f48_9857_53c7_58ba,
        0x77ce_5853_7052_5745,
        0x5c07_1a97_a256_ec6d,
        0x15f6_5ec3_fa80_e493,
    ],
};

#[allow(unsafe_code, reason = "a function of blst")]
pub(super) fn add(a: &blst_fp, b: &blst_fp) -> blst_fp {
    let mut sum = blst_fp::default();
    // SAFETY: all three arguments point to field elements.
    unsafe { blst_fp_add(&mut sum, a, b) };
    sum
}

#[allow(unsafe_code, reason = "a function of blst")]
pub(super) fn sub(a: &blst_fp, b: &blst_fp) -> blst_fp {
    let mut difference = blst_fp::default();
    // SAFETY: all three arguments point to field elements.
    unsafe { blst_fp_sub(&mut difference, a, b) };
    difference
}

#[allow(unsafe_code, reason = "a function of blst")]
pub(super) fn mul(a: &blst_fp, b: &blst_fp) -> blst_fp {
    let mut product = blst_fp::default();
    // SAFETY: all three arguments point to field elements.
    unsafe { blst_fp_mul(&mut product, a, b) };
    product
}

#[allow(unsafe_code, reason = "a function of blst")]
pub(super) fn sqr(a: &blst_fp) -> blst_fp {
    let mut square = blst_fp::default();
    // SAFETY: both arguments point to field elements.
    unsafe { blst_fp_sqr(&mut square, a) };
    square
}

#[allow(unsafe_code, reason = "a function of blst")]
pub(super) fn negate(a: &blst_fp) -> blst_fp {
    let mut negative = blst_fp::default();
    // SAFETY: both arguments point to field elements.
    unsafe { blst_fp_cneg(&mut negative, a, true) };
    negative
}

/// The inverse of a non-zero element.
#[allow(unsafe_code, reason = "a function of blst")]
pub(super) fn invert(a: &blst_fp) -> blst_fp {
    let mut inverse = blst_fp::default();
    // SAFETY: both arguments point to field elements.
    unsafe { blst_fp_eucl_inverse(&mut inverse, a) };
    inverse
}

/// Whether `point` is the identity, which blst encodes as `(0, 0)`.
pub(super) fn is_identity(point: &blst_p1_affine) -> bool {
    point.x.l == [0; 6] && point.y.l == [0; 6]
}

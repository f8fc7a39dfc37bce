//! Arithmetic in the base field of the curve: `p` is its modulus.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "some of it serves the lanes alone"))]

#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma;

use blst::{
    blst_bendian_from_fp, blst_fp, blst_fp_add, blst_fp_cneg, blst_fp_eucl_inverse, blst_fp_from_bendian, blst_fp_mul,
    blst_fp_sqr, blst_fp_sub, blst_p1_affine,
};

/// Bytes of an element.
pub(crate) const BYTES: usize = 48;

/// `p` in limbs of 64 bits.
pub(crate) const MODULUS: [u64; 6] = [
    0xb9fe_ffff_ffff_aaab,
    0x1eab_fffe_b153_ffff,
    0x6730_d2a0_f6b0_f624,
    0x6477_4b84_f385_12bf,
    0x4b1b_a7b6_434b_acd7,
    0x1a01_11ea_397f_e69a,
];

/// `p`, most significant byte first.
const MODULUS_BYTES: [u8; BYTES] = to_bytes(&MODULUS);
/// `(p - 1) / 2`, most significant byte first.
const HALF_BYTES: [u8; BYTES] = to_bytes(&shift(&MODULUS, 1));

/// One, in Montgomery form.
pub(crate) const ONE: blst_fp = blst_fp {
    l: [
        0x7609_0000_0002_fffd,
        0xebf4_000b_c40c_0002,
        0x5f48_9857_53c7_58ba,
        0x77ce_5853_7052_5745,
        0x5c07_1a97_a256_ec6d,
        0x15f6_5ec3_fa80_e493,
    ],
};

/// Limbs of 64 bits without the `bits` lowest of them, fewer than 64.
pub(crate) const fn shift(limbs: &[u64; 6], bits: u32) -> [u64; 6] {
    let (mut out, mut i) = (*limbs, 0);
    while i < 6 {
        let above = if i < 5 { limbs[i + 1] } else { 0 };
        out[i] = limbs[i] >> bits | above << (64 - bits);
        i += 1;
    }
    out
}

/// Limbs of 64 bits as bytes, the most significant first.
const fn to_bytes(limbs: &[u64; 6]) -> [u8; BYTES] {
    let (mut bytes, mut i) = ([0; BYTES], 0);
    while i < BYTES {
        bytes[BYTES - 1 - i] = (limbs[i / 8] >> (8 * (i % 8))) as u8;
        i += 1;
    }
    bytes
}

/// The element of an integer below `p`, most significant byte first.
#[allow(unsafe_code, reason = "a function of blst")]
pub(crate) fn from_canonical(bytes: &[u8; BYTES]) -> Option<blst_fp> {
    let mut element = blst_fp::default();
    // SAFETY: the arguments point to a field element and to 48 bytes.
    unsafe { blst_fp_from_bendian(&mut element, bytes.as_ptr()) };
    (*bytes < MODULUS_BYTES).then_some(element)
}

/// Whether an element, as an integer below `p`, is above its negative.
#[allow(unsafe_code, reason = "a function of blst")]
pub(crate) fn is_larger_than_negative(a: &blst_fp) -> bool {
    let mut bytes = [0; BYTES];
    // SAFETY: the arguments point to 48 bytes and to a field element.
    unsafe { blst_bendian_from_fp(bytes.as_mut_ptr(), a) };
    bytes > HALF_BYTES
}

#[allow(unsafe_code, reason = "a function of blst")]
pub(crate) fn add(a: &blst_fp, b: &blst_fp) -> blst_fp {
    let mut sum = blst_fp::default();
    // SAFETY: all three arguments point to field elements.
    unsafe { blst_fp_add(&mut sum, a, b) };
    sum
}

#[allow(unsafe_code, reason = "a function of blst")]
pub(crate) fn sub(a: &blst_fp, b: &blst_fp) -> blst_fp {
    let mut difference = blst_fp::default();
    // SAFETY: all three arguments point to field elements.
    unsafe { blst_fp_sub(&mut difference, a, b) };
    difference
}

#[allow(unsafe_code, reason = "a function of blst")]
pub(crate) fn mul(a: &blst_fp, b: &blst_fp) -> blst_fp {
    let mut product = blst_fp::default();
    // SAFETY: all three arguments point to field elements.
    unsafe { blst_fp_mul(&mut product, a, b) };
    product
}

#[allow(unsafe_code, reason = "a function of blst")]
pub(crate) fn sqr(a: &blst_fp) -> blst_fp {
    let mut square = blst_fp::default();
    // SAFETY: both arguments point to field elements.
    unsafe { blst_fp_sqr(&mut square, a) };
    square
}

#[allow(unsafe_code, reason = "a function of blst")]
pub(crate) fn negate(a: &blst_fp) -> blst_fp {
    let mut negative = blst_fp::default();
    // SAFETY: both arguments point to field elements.
    unsafe { blst_fp_cneg(&mut negative, a, true) };
    negative
}

/// The inverse of a non-zero element.
#[allow(unsafe_code, reason = "a function of blst")]
pub(crate) fn invert(a: &blst_fp) -> blst_fp {
    let mut inverse = blst_fp::default();
    // SAFETY: both arguments point to field elements.
    unsafe { blst_fp_eucl_inverse(&mut inverse, a) };
    inverse
}

/// Whether `point` is the identity, which blst encodes as `(0, 0)`.
pub(crate) fn is_identity(point: &blst_p1_affine) -> bool {
    point.x.l == [0; 6] && point.y.l == [0; 6]
}

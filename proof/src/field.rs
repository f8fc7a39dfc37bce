//! The field, the group, and small-integer conversions.

use crate::block;
use ff::{Field, PrimeField};
pub use halo2curves::{Bls12, Fq as Fr, G1Affine, G1Projective as G1};
use nanozk_plan::MASK_ROWS;

/// The commitment scheme that the verifier uses.
pub type Kzg = halo2_proofs::poly::kzg::KZGCommitmentScheme<Bls12>;

/// Random values of the mask rows of a committed column.
pub type Mask = [Fr; MASK_ROWS];

/// A signed integer as a field element.
pub fn int(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// `base^exponent` for an exponent of either sign; `inverse` is `base^-1`.
pub fn power(base: Fr, inverse: Fr, exponent: i64) -> Fr {
    let b = if exponent < 0 { inverse } else { base };
    let e = exponent.unsigned_abs();
    let bits = (0..u64::BITS - e.leading_zeros()).rev();
    bits.fold(Fr::ONE, |p, bit| if e >> bit & 1 == 1 { p.square() * b } else { p.square() })
}

/// `1, base, base^2, ...`, `len` of them.
pub fn powers(base: Fr, len: usize) -> Vec<Fr> {
    series(Fr::ONE, base, len)
}

/// Below this length a series is not worth the vector arithmetic.
const SHORT_SERIES: usize = 32;

/// `first, first ratio, first ratio^2, ...`, `len` of them.
pub fn series(first: Fr, ratio: Fr, len: usize) -> Vec<Fr> {
    if len >= SHORT_SERIES {
        return block::series(first, ratio, len);
    }
    std::iter::successors(Some(first), |p| Some(*p * ratio)).take(len).collect()
}

/// Field elements as factors of integers: `sum_i factor_i x_i` in integer arithmetic, with one reduction.
#[derive(Clone, Debug)]
pub struct IntegerDot {
    /// 32-bit limbs of the canonical representatives.
    factors: Vec<[i128; 8]>,
}

impl IntegerDot {
    /// For these factors, of which there are fewer than `2^31`.
    pub fn new(factors: &[Fr]) -> Self {
        IntegerDot { factors: factors.iter().map(limbs).collect() }
    }

    /// `sum_i factors[i] values[i]` over the shorter of the two lengths.
    pub fn sum(&self, values: impl Iterator<Item = i64>) -> Fr {
        let mut sums = [0i128; 8];
        for (limbs, value) in self.factors.iter().zip(values).filter(|(_, value)| *value != 0) {
            sums.iter_mut().zip(limbs).for_each(|(sum, limb)| *sum += value as i128 * limb);
        }
        let shift = Fr::from(1 << 32);
        sums.iter().rev().fold(Fr::ZERO, |total, sum| total * shift + wide(*sum))
    }
}

/// 32-bit limbs of the canonical representative.
fn limbs(x: &Fr) -> [i128; 8] {
    let bytes = x.to_repr();
    let bytes = bytes.as_ref();
    std::array::from_fn(|i| {
        let limb: [u8; 4] = std::array::from_fn(|j| bytes[4 * i + j]);
        u32::from_le_bytes(limb) as i128
    })
}

/// A signed integer of up to 127 bits as a field element.
fn wide(value: i128) -> Fr {
    let magnitude = value.unsigned_abs();
    let low = Fr::from(magnitude as u64);
    let x = match (magnitude >> 64) as u64 {
        0 => low,
        high => Fr::from(high) * Fr::from(1 << 32).square() + low,
    };
    if value < 0 { -x } else { x }
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

//! Signed digits of scalars.

use group::Group;
use rayon::prelude::*;

use crate::field::{Fr, G1};

/// Bits of a field element.
const FIELD_BITS: usize = 255;
/// Limbs of a field element with room for the bias.
const LIMBS: usize = 5;
/// Windows to choose from: digits fit an `i16`.
const WINDOWS: std::ops::RangeInclusive<usize> = 3..=15;
/// Multiplications to add a point to a bucket.
const ADD_COST: usize = 6;
/// Multiplications to add a bucket to the result.
const BUCKET_COST: usize = 15;

/// The scalars of a product.
#[derive(Clone, Copy)]
pub(super) enum Scalars<'a> {
    /// Field elements.
    Full(&'a [Fr]),
    /// Signed integers.
    Small(&'a [i64]),
}

/// Signed digits in base `2^window`: scalar `i` of `n` is `sum_r 2^(window r) digits[r n + i]`.
pub(super) struct Digits {
    pub(super) window: usize,
    pub(super) digits: Vec<i16>,
}

impl Scalars<'_> {
    /// How many scalars there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Scalars::Full(scalars) => scalars.len(),
            Scalars::Small(values) => values.len(),
        }
    }

    /// How many scalars have each bit length; all non-zero field elements count as full-size.
    pub(super) fn histogram(&self) -> [usize; FIELD_BITS + 1] {
        let mut histogram = [0; FIELD_BITS + 1];
        match self {
            Scalars::Full(scalars) => {
                let zeros = scalars.iter().filter(|s| **s == Fr::default()).count();
                (histogram[0], histogram[FIELD_BITS]) = (zeros, scalars.len() - zeros);
            }
            Scalars::Small(values) => {
                values.iter().for_each(|v| histogram[64 - v.unsigned_abs().leading_zeros() as usize] += 1);
            }
        }
        histogram
    }

    /// Digits for `window`, with as many rows as scalars of `bits` bits need.
    pub(super) fn digits(&self, window: usize, bits: usize) -> Digits {
        let rows = row_count(window, bits);
        // Adding half a window to every digit makes all of them non-negative, and so independent of each other.
        let mut bias = [0u64; LIMBS];
        (0..rows).map(|row| row * window + window - 1).for_each(|bit| bias[bit / 64] |= 1 << (bit % 64));
        let biased: Vec<[u64; LIMBS]> = match self {
            Scalars::Full(scalars) => scalars.par_iter().map(|s| add(&bias, &limbs(s))).collect(),
            Scalars::Small(values) => values.par_iter().map(|v| add(&bias, &sign_extend(*v))).collect(),
        };
        let mut digits = vec![0i16; rows * self.len()];
        digits.par_chunks_mut(self.len().max(1)).enumerate().for_each(|(row, digits)| {
            let (bit, last) = (row * window, row + 1 == rows);
            for (digit, limbs) in digits.iter_mut().zip(&biased) {
                let low = limbs[bit / 64] >> (bit % 64);
                let high = if bit % 64 == 0 { 0 } else { limbs.get(bit / 64 + 1).map_or(0, |l| l << (64 - bit % 64)) };
                // The top digit has one more bit when the largest scalars use the row in full.
                let width = if last { window + 1 } else { window };
                let value = (low | high) & ((1 << width) - 1);
                *digit = (value as i32 - (1 << (window - 1))) as i16;
            }
        });
        Digits { window, digits }
    }
}

/// Digits needed for magnitudes below `2^bits`.
fn row_count(window: usize, bits: usize) -> usize {
    bits / window + 1
}

/// The longest bit length in a histogram.
pub(super) fn longest(histogram: &[usize]) -> usize {
    histogram.iter().rposition(|count| *count > 0).unwrap_or(0)
}

/// The window for which the product is cheapest.
pub(super) fn window(histogram: &[usize]) -> usize {
    let top = longest(histogram);
    let cost = |window: &usize| {
        let additions: usize = histogram.iter().enumerate().skip(1).map(|(b, n)| n * row_count(*window, b)).sum();
        ADD_COST * additions + row_count(*window, top) * (BUCKET_COST << (window - 1).min(top))
    };
    WINDOWS.min_by_key(cost).unwrap_or(8)
}

fn limbs(scalar: &Fr) -> [u64; LIMBS] {
    let mut limbs = [0; LIMBS];
    for (limb, bytes) in limbs.iter_mut().zip(scalar.to_bytes_le().chunks_exact(8)) {
        *limb = bytes.iter().rev().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
    }
    limbs
}

fn sign_extend(value: i64) -> [u64; LIMBS] {
    let mut limbs = [if value < 0 { u64::MAX } else { 0 }; LIMBS];
    limbs[0] = value as u64;
    limbs
}

/// `a + b` modulo `2^(64 LIMBS)`.
fn add(a: &[u64; LIMBS], b: &[u64; LIMBS]) -> [u64; LIMBS] {
    let mut carry = false;
    std::array::from_fn(|i| {
        let (sum, first) = a[i].overflowing_add(b[i]);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        carry = first || second;
        sum
    })
}

/// `sum_r 2^(window r) rows[r]`.
pub(super) fn horner(rows: &[G1], window: usize) -> G1 {
    rows.iter().rev().fold(G1::identity(), |sum, row| (0..window).fold(sum, |sum, _| sum.double()) + row)
}

//! Multi-scalar multiplication on BLS12-381 G1.
//!
//! All work is cut into rayon tasks, so that one product uses all threads, while many products computed side by side
//! share them without oversubscription.

mod bases;
mod buckets;
mod digits;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod tiles;

use blst::{blst_p1, blst_p1_affine};
use ff::Field;
use rayon::prelude::*;

use crate::field::{Fr, G1, G1Affine};
pub use bases::Bases;
use buckets::Points;
use digits::{Digits, Scalars, horner, longest, window};

/// Below this many points the shared inversions of the bucket method cost more than they save.
const FEW_POINTS: usize = 256;
/// As [`FEW_POINTS`] where additions run on vectors.
const FEW_POINTS_ON_VECTORS: usize = 128;

/// `sum_i scalars[i] * bases[i]` over the shorter of the two lengths.
pub fn dense(bases: &[G1Affine], scalars: &[Fr]) -> G1 {
    let len = bases.len().min(scalars.len());
    product(bases, Scalars::Full(&scalars[..len]), None)
}

/// `sum_i values[i] * bases[i]` for signed integers, over the shorter of the two lengths, at the cost of as many bits as
/// each value has.
pub fn small(bases: &[G1Affine], values: &[i64]) -> G1 {
    let len = bases.len().min(values.len());
    product(bases, Scalars::Small(&values[..len]), None)
}

/// `sum_i scalars[i] * points[i]` for projective points, over the shorter of the two lengths.
pub fn lincomb(points: &[G1], scalars: &[Fr]) -> G1 {
    let len = points.len().min(scalars.len());
    dense(&to_affine(&points[..len]), &scalars[..len])
}

/// Affine forms of `points`, with one field inversion per slice of points.
#[allow(unsafe_code, reason = "a function of blst")]
pub fn to_affine(points: &[G1]) -> Vec<G1Affine> {
    let mut affine = vec![G1Affine::default(); points.len()];
    affine.par_chunks_mut(1024).zip(points.par_chunks(1024)).for_each(|(to, from)| {
        let sources: [*const blst_p1; 2] = [from[0].as_ref(), std::ptr::null()];
        // SAFETY: `G1Affine` and `G1` are `repr(transparent)` over the blst types; the null entry makes blst
        // read `from` as one contiguous array, and it reads and writes exactly `from.len() == to.len()` elements.
        unsafe { blst::blst_p1s_to_affine(to.as_mut_ptr().cast(), sources.as_ptr(), from.len()) };
    });
    affine
}

/// The signed integer that `scalar` stands for (negative values as `r - |v|`), if its magnitude is below `2^63`.
pub fn to_signed(scalar: &Fr) -> Option<i64> {
    let magnitude = |scalar: &Fr| {
        let bytes = scalar.to_bytes_le();
        let (low, high) = bytes.split_at(8);
        let low = low.iter().rev().fold(0u64, |acc, byte| acc << 8 | u64::from(*byte));
        high.iter().all(|byte| *byte == 0).then(|| i64::try_from(low).ok()).flatten()
    };
    magnitude(scalar).or_else(|| magnitude(&-scalar).map(|m| -m))
}

/// The product of `scalars` with the bases of the same index; `prepared` is the converted form of the bases, if at hand.
fn product(bases: &[G1Affine], scalars: Scalars, prepared: Option<&Points>) -> G1 {
    let histogram = scalars.histogram();
    let used: usize = histogram[1..].iter().sum();
    let bits = longest(&histogram);
    let few_points = if buckets::on_vectors() { FEW_POINTS_ON_VECTORS } else { FEW_POINTS };
    if used < few_points {
        return few(bases, scalars, bits, used);
    }
    let Digits { window, digits } = scalars.digits(window(&histogram), bits);
    let converted;
    let points = match prepared {
        Some(points) => points,
        None => {
            converted = Points::new(bases[..scalars.len()].into());
            &converted
        }
    };
    let rows: Vec<G1> = digits.par_chunks(scalars.len()).map(|row| buckets::product(points, row)).collect();
    horner(&rows, window)
}

/// [`product`] when only `used` scalars, of at most `bits` bits, are not zero.
fn few(bases: &[G1Affine], scalars: Scalars, bits: usize, used: usize) -> G1 {
    let width = bits.div_ceil(8);
    let mut bytes = Vec::with_capacity(used * width);
    let mut points: Vec<blst_p1_affine> = Vec::with_capacity(used);
    match scalars {
        Scalars::Full(scalars) => {
            for (scalar, base) in scalars.iter().zip(bases).filter(|(scalar, _)| !scalar.is_zero_vartime()) {
                bytes.extend_from_slice(&scalar.to_bytes_le());
                points.push(*base.as_ref());
            }
        }
        Scalars::Small(values) => {
            for (value, base) in values.iter().zip(bases).filter(|(value, _)| **value != 0) {
                bytes.extend_from_slice(&value.unsigned_abs().to_le_bytes()[..width]);
                points.push(*if *value < 0 { -*base } else { *base }.as_ref());
            }
        }
    }
    tiles::product(&points, &bytes, bits)
}

#[cfg(test)]
mod tests;

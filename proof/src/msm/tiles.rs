//! Products of few points by blst's Pippenger, cut into tiles (one window of the scalars of one slice of points) that
//! run as rayon tasks.

use blst::{blst_p1, blst_p1_affine, blst_p1s_mult_pippenger_scratch_sizeof, blst_p1s_tile_pippenger};
use group::Group;
use rayon::prelude::*;

use super::digits::horner;
use crate::field::G1;

/// Integrating a bucket costs two additions of about 1.4 times the price of adding an affine point.
const BUCKET_COST: usize = 3;

/// `sum_i scalars[i] * points[i]` with little-endian scalars of `nbits` bits in `ceil(nbits / 8)` bytes each.
pub(super) fn product(points: &[blst_p1_affine], scalars: &[u8], nbits: usize) -> G1 {
    assert_eq!(points.len() * nbits.div_ceil(8), scalars.len());
    match points {
        [] => return G1::identity(),
        [point] => return single(point, scalars, nbits),
        _ => {}
    }
    let cost = |window: &usize| (nbits / window + 1) * (points.len() + (BUCKET_COST << (window - 1)));
    let window = (2..=12).min_by_key(cost).unwrap_or(2);
    let tiles: Vec<G1> =
        (0..nbits / window + 1).into_par_iter().map(|row| tile(points, scalars, nbits, row * window, window)).collect();
    horner(&tiles, window)
}

/// The contribution of bits `bit0 .. bit0 + window` of all scalars, for at least two points.
#[allow(unsafe_code, reason = "functions of blst")]
fn tile(points: &[blst_p1_affine], scalars: &[u8], nbits: usize, bit0: usize, window: usize) -> G1 {
    let mut sum = G1::identity();
    let point_source: [*const blst_p1_affine; 2] = [points.as_ptr(), std::ptr::null()];
    let scalar_source: [*const u8; 2] = [scalars.as_ptr(), std::ptr::null()];
    // SAFETY: the size query for an empty product gives the size of one bucket, and a tile needs `2^(window - 1)` zeroed
    // ones; the null entries make blst read contiguous arrays, of which it reads `points.len() >= 2` points and as many
    // scalars of `ceil(nbits / 8)` bytes, the lengths `product` has checked.
    unsafe {
        let mut buckets = vec![0u64; (blst_p1s_mult_pippenger_scratch_sizeof(0) / 8) << (window - 1)];
        blst_p1s_tile_pippenger(
            sum.as_mut(),
            point_source.as_ptr(),
            points.len(),
            scalar_source.as_ptr(),
            nbits,
            buckets.as_mut_ptr(),
            bit0,
            window,
        );
    }
    sum
}

/// `scalar * point` for a scalar of `nbits` bits.
#[allow(unsafe_code, reason = "functions of blst")]
fn single(point: &blst_p1_affine, scalar: &[u8], nbits: usize) -> G1 {
    let mut product = G1::identity();
    // SAFETY: `point` is valid and `scalar` has `ceil(nbits / 8)` bytes.
    unsafe {
        let mut projective = blst_p1::default();
        blst::blst_p1_from_affine(&mut projective, point);
        blst::blst_p1_mult(product.as_mut(), &projective, scalar.as_ptr(), nbits);
    }
    product
}

//! Multi-scalar multiplication on BLS12-381 G1 over blst's Pippenger tiles.
//!
//! Work is cut into tiles (one scalar window of one slice of points) that run as rayon tasks, so that a single product
//! uses all threads while many products computed side by side share the same pool without oversubscription.
#![allow(unsafe_code)]

use blst::{blst_fp_cneg, blst_p1, blst_p1_affine, blst_p1s_mult_pippenger_scratch_sizeof, blst_p1s_tile_pippenger};
use ff::Field;
use group::Group;
use rayon::prelude::*;

use crate::field::{Fr, G1, G1Affine};

const SCALAR_BITS: usize = 255;
/// Adding a bucket costs two additions of about 1.4 times the price of adding an affine point.
const BUCKET_COST: usize = 3;
/// Smallest slice of points worth a task of its own.
const MIN_CHUNK: usize = 256;

/// `sum_i scalars[i] * bases[i]` over the shorter of the two lengths; zero scalars are skipped.
pub fn dense(bases: &[G1Affine], scalars: &[Fr]) -> G1 {
    let len = bases.len().min(scalars.len());
    let (bases, scalars) = (&bases[..len], &scalars[..len]);
    let zeros = scalars.iter().filter(|s| s.is_zero_vartime()).count();
    if zeros * 16 <= len {
        let bytes: Vec<u8> = scalars.iter().flat_map(Fr::to_bytes_le).collect();
        return pippenger(as_blst(bases), &bytes, SCALAR_BITS);
    }
    let mut bytes = Vec::with_capacity((len - zeros) * 32);
    let mut points = Vec::with_capacity(len - zeros);
    for (scalar, base) in scalars.iter().zip(bases) {
        if !scalar.is_zero_vartime() {
            bytes.extend_from_slice(&scalar.to_bytes_le());
            points.push(*base.as_ref());
        }
    }
    pippenger(&points, &bytes, SCALAR_BITS)
}

/// `sum_i values[i] * bases[i]` for signed integers, over the shorter of the two lengths.
///
/// The sign is moved into the point and only as many bits as the values need are processed. A few values larger than
/// the rest are summed apart, so that they do not widen the product of all others.
pub fn small(bases: &[G1Affine], values: &[i64]) -> G1 {
    let len = bases.len().min(values.len());
    let (bases, values) = (&bases[..len], &values[..len]);
    let mut histogram = [0usize; 65];
    for value in values {
        histogram[bit_length(*value)] += 1;
    }
    let Some(top) = (1..=64).rev().find(|bits| histogram[*bits] > 0) else {
        return G1::identity();
    };
    let total: usize = histogram[1..].iter().sum();
    let mut split = (total_cost(total, top), top);
    let mut below = 0;
    for (bits, count) in histogram.iter().enumerate().take(top).skip(1) {
        below += count;
        if below > 0 {
            split = split.min((total_cost(below, bits) + total_cost(total - below, top), bits));
        }
    }
    let narrow = signed_range(bases, values, 1, split.1);
    if split.1 == top { narrow } else { narrow + signed_range(bases, values, split.1 + 1, top) }
}

/// `sum_i scalars[i] * points[i]` for projective points, over the shorter of the two lengths.
pub fn lincomb(points: &[G1], scalars: &[Fr]) -> G1 {
    let len = points.len().min(scalars.len());
    dense(&to_affine(&points[..len]), &scalars[..len])
}

/// Affine forms of `points`, with one field inversion per slice of points.
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

/// The bytes of `values` as they lie in memory (Montgomery form): a key for equality, not an encoding.
pub(crate) fn memory_bytes(values: &[Fr]) -> &[u8] {
    // SAFETY: `Fr` is `repr(transparent)` over an array of four `u64`: no padding, and any byte may be read as `u8`.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
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

fn bit_length(value: i64) -> usize {
    64 - value.unsigned_abs().leading_zeros() as usize
}

/// The part of a signed product whose values have between `from` and `to` bits.
fn signed_range(bases: &[G1Affine], values: &[i64], from: usize, to: usize) -> G1 {
    let width = to.div_ceil(8);
    let mut bytes = Vec::with_capacity(values.len() * width);
    let mut points = Vec::with_capacity(values.len());
    for (value, base) in values.iter().zip(bases) {
        if !(from..=to).contains(&bit_length(*value)) {
            continue;
        }
        bytes.extend_from_slice(&value.unsigned_abs().to_le_bytes()[..width]);
        let mut point = *base.as_ref();
        if *value < 0 {
            // SAFETY: both arguments are valid field elements; blst allows the output to alias the input.
            unsafe { blst_fp_cneg(&mut point.y, &point.y, true) };
        }
        points.push(point);
    }
    pippenger(&points, &bytes, to)
}

fn as_blst(points: &[G1Affine]) -> &[blst_p1_affine] {
    // SAFETY: `G1Affine` is `repr(transparent)` over `blst_p1_affine`.
    unsafe { std::slice::from_raw_parts(points.as_ptr().cast(), points.len()) }
}

/// How a product is cut into tiles: `rows` windows of `window` bits for each of `chunks` slices of the points.
#[derive(Clone, Copy)]
struct Tiling {
    window: usize,
    rows: usize,
    chunks: usize,
}

impl Tiling {
    fn new(points: usize, nbits: usize) -> Self {
        let threads = rayon::current_num_threads();
        let whole = Self::cheapest(points, nbits, 1);
        if threads == 1 || whole.rows >= 4 * threads || points < threads * MIN_CHUNK {
            whole
        } else {
            Self::cheapest(points, nbits, threads)
        }
    }

    fn cheapest(points: usize, nbits: usize, chunks: usize) -> Self {
        (2..=14)
            .map(|window| Tiling { window, rows: nbits / window + 1, chunks })
            .min_by_key(|tiling| tiling.cost(points))
            .unwrap_or(Tiling { window: 2, rows: nbits / 2 + 1, chunks })
    }

    /// Cost in additions of an affine point.
    fn cost(&self, points: usize) -> usize {
        self.rows * (points + self.chunks * BUCKET_COST * (1 << (self.window - 1)))
    }
}

fn total_cost(points: usize, nbits: usize) -> usize {
    if points == 0 { 0 } else { Tiling::cheapest(points, nbits, 1).cost(points) }
}

/// `sum_i scalars[i] * points[i]` with little-endian scalars of `nbits` bits in `ceil(nbits / 8)` bytes each.
fn pippenger(points: &[blst_p1_affine], scalars: &[u8], nbits: usize) -> G1 {
    let width = nbits.div_ceil(8);
    assert_eq!(points.len() * width, scalars.len());
    match points {
        [] => return G1::identity(),
        [point] => return single(point, scalars, nbits),
        _ => {}
    }
    let tiling = Tiling::new(points.len(), nbits);
    let chunk = points.len() / tiling.chunks;
    let bounds =
        |index: usize| (index * chunk, if index + 1 == tiling.chunks { points.len() } else { (index + 1) * chunk });
    let tiles: Vec<G1> = (0..tiling.rows * tiling.chunks)
        .into_par_iter()
        .map(|task| {
            let (row, (start, end)) = (task / tiling.chunks, bounds(task % tiling.chunks));
            tile(&points[start..end], &scalars[start * width..end * width], nbits, row * tiling.window, tiling.window)
        })
        .collect();
    let mut total = G1::identity();
    for row in tiles.chunks(tiling.chunks).rev() {
        for _ in 0..tiling.window {
            total = total.double();
        }
        total += row.iter().sum::<G1>();
    }
    total
}

/// The contribution of bits `bit0 .. bit0 + window` of all scalars, with `2 <= points.len()` and points and scalars of
/// equal count.
fn tile(points: &[blst_p1_affine], scalars: &[u8], nbits: usize, bit0: usize, window: usize) -> G1 {
    let mut sum = G1::identity();
    let point_source: [*const blst_p1_affine; 2] = [points.as_ptr(), std::ptr::null()];
    let scalar_source: [*const u8; 2] = [scalars.as_ptr(), std::ptr::null()];
    // SAFETY: blst takes the size of one bucket from the size query for an empty product, needs `2^(window - 1)` zeroed
    // buckets, and reads exactly `points.len()` points and as many scalars of `ceil(nbits / 8)` bytes.
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

#[cfg(test)]
mod tests;

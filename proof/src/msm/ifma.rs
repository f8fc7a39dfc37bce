//! Affine additions, eight at a time, with the 52-bit multiply-add instructions of AVX-512.
//!
//! Coordinates are in the form of [`crate::fp::ifma`], with one addition per vector lane.

use std::arch::x86_64::*;

use blst::blst_p1_affine;

use crate::cpu::Ifma;
use crate::fp::ifma::{
    Field, LANES, Limbs, Vector, add, broadcast, enter, gather, invert_lanes, leave, multiple, rows,
};

/// Levels of a tree of additions after which coordinates are brought below `1.1 p` again.
const LEVELS: u32 = 10;

/// A point other than the identity.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Point {
    x: Limbs,
    y: Limbs,
}

impl Point {
    /// Converts a point that is not the identity.
    pub(super) fn new(point: &blst_p1_affine) -> Self {
        Point { x: enter(&point.x), y: enter(&point.y) }
    }

    /// The blst form of a point whose coordinates are below `2 p`.
    pub(super) fn to_blst(self) -> blst_p1_affine {
        blst_p1_affine { x: leave(&self.x), y: leave(&self.y) }
    }
}

/// How many points ahead [`select`] asks the memory for.
const AHEAD: usize = 12;

/// The points that `entries` name: an index, and the bit `negative` for the negative of the point. The points were made
/// by [`Point::new`]; the limbs of negatives are signed, with borrows pending, as [`sum_runs`] takes them.
#[allow(unsafe_code, reason = "the function is compiled for more than the basic instructions")]
pub(super) fn select(_: Ifma, points: &[Point], entries: &[u32], negative: u32) -> Vec<Point> {
    // SAFETY: the token says that this machine has them.
    unsafe { select_unchecked(points, entries, negative) }
}

#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(unsafe_code, reason = "loads and stores through pointers")]
fn select_unchecked(points: &[Point], entries: &[u32], negative: u32) -> Vec<Point> {
    let modulus = multiple(1);
    let mut selected = Vec::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        let ahead = &points[(entries[(i + AHEAD).min(entries.len() - 1)] & !negative) as usize];
        // SAFETY: a prefetch reads nothing; the loads and the store are of eight `u64` and need no alignment.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(ahead.x.as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(ahead.y.as_ptr().cast());
            let mut point = points[(entry & !negative) as usize];
            let y = _mm512_loadu_epi64(point.y.as_ptr().cast());
            let mask = if entry & negative == 0 { 0 } else { u8::MAX };
            let y = _mm512_mask_sub_epi64(y, mask, _mm512_loadu_epi64(modulus.as_ptr().cast()), y);
            _mm512_storeu_epi64(point.y.as_mut_ptr().cast(), y);
            selected.push(point);
        }
    }
    selected
}

/// Sums consecutive runs of `counts[j]` points with coordinates below `2 p`, whose limbs may be signed; returns the sums
/// of the runs that are not empty, with coordinates below `1.1 p`. `None` if two points of equal or opposite values meet,
/// which the formulas do not cover.
#[allow(unsafe_code, reason = "the function is compiled for more than the basic instructions")]
pub(super) fn sum_runs(_: Ifma, points: Vec<Point>, counts: &[u32]) -> Option<Vec<Point>> {
    // SAFETY: the token says that this machine has them.
    unsafe { sum_runs_unchecked(points, counts) }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn sum_runs_unchecked(mut points: Vec<Point>, counts: &[u32]) -> Option<Vec<Point>> {
    let mut counts = counts.to_vec();
    let mut sums = Vec::with_capacity(points.len() / 2 + counts.len());
    let mut pairs = Vec::with_capacity(points.len() / 2 + LANES);
    let mut products = vec![];
    let (mut bound, mut levels) = (2, 0);
    while counts.iter().any(|count| *count > 1) {
        if levels == LEVELS {
            reduce(&mut points);
            (bound, levels) = (2, 0);
        }
        pairs.clear();
        sums.clear();
        sums.resize(counts.iter().map(|count| count.div_ceil(2) as usize).sum(), points[0]);
        let (mut from, mut to) = (0, 0);
        for count in &mut counts {
            for _ in 0..*count / 2 {
                pairs.push((from, to));
                (from, to) = (from + 2, to + 1);
            }
            if *count % 2 == 1 {
                sums[to] = points[from];
                (from, to) = (from + 1, to + 1);
            }
            *count = count.div_ceil(2);
        }
        // Repeating a pair fills the lanes of the last group.
        let last = pairs[pairs.len() - 1];
        pairs.resize(pairs.len().next_multiple_of(LANES), last);
        add_pairs(&points, &pairs, &mut sums, bound, &mut products)?;
        std::mem::swap(&mut points, &mut sums);
        (bound, levels) = (2 * bound + 2, levels + 1);
    }
    reduce(&mut points);
    Some(points)
}

/// `sums[to] = points[from] + points[from + 1]` for all pairs `(from, to)`, whose number is a multiple of the lanes, for
/// coordinates below `bound * p`. `products` is scratch space.
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_pairs(
    points: &[Point],
    pairs: &[(usize, usize)],
    sums: &mut [Point],
    bound: u64,
    products: &mut Vec<(Vector, Vector)>,
) -> Option<()> {
    let field = Field::new();
    let offsets = [bound, 2 * bound, 2 * bound + 2].map(|factor| broadcast(&multiple(factor)));
    let x = |from: usize, group: &[(usize, usize)]| gather(|lane| &points[group[lane].0 + from].x);
    let y = |from: usize, group: &[(usize, usize)]| gather(|lane| &points[group[lane].0 + from].y);

    products.clear();
    let mut product = field.one();
    for group in pairs.chunks_exact(LANES) {
        let difference = field.sub(&x(1, group), &x(0, group), &offsets[0]);
        products.push((product, difference));
        product = field.mul(&product, &difference);
    }
    let mut inverse = invert_lanes(&product)?;
    for (group, (prefix, difference)) in pairs.chunks_exact(LANES).zip(products.iter()).rev() {
        let (x0, x1, y0, y1) = (x(0, group), x(1, group), y(0, group), y(1, group));
        let slope = field.mul(&field.sub(&y1, &y0, &offsets[0]), &field.mul(&inverse, prefix));
        inverse = field.mul(&inverse, difference);
        let sum_x = field.sub(&field.square(&slope), &add(&x0, &x1), &offsets[1]);
        let sum_y = field.sub(&field.product(&slope, &field.sub(&x0, &sum_x, &offsets[2])), &y0, &offsets[0]);
        for ((_, to), (x, y)) in group.iter().zip(rows(&sum_x).into_iter().zip(rows(&sum_y))) {
            sums[*to] = Point { x, y };
        }
    }
    Some(())
}

/// Brings all coordinates below `1.1 p`.
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce(points: &mut [Point]) {
    let field = Field::new();
    let one = field.one();
    for group in points.chunks_mut(LANES) {
        let last = group.len() - 1;
        let x = rows(&field.mul(&gather(|lane| &group[lane.min(last)].x), &one));
        let y = field.propagate(&gather(|lane| &group[lane.min(last)].y));
        let y = rows(&field.mul(&y, &one));
        for (point, (x, y)) in group.iter_mut().zip(x.into_iter().zip(y)) {
            *point = Point { x, y };
        }
    }
}

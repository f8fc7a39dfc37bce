//! The bucket method with additions in affine coordinates.
//!
//! Points are sorted by digit, and the points of each bucket are summed as a balanced tree. The additions of one level
//! are independent, so they share one field inversion and cost six multiplications each, against ten for the mixed
//! addition in extended coordinates.

use std::ops::Range;

use blst::{blst_fp, blst_p1_affine};
use group::Group;
use rayon::prelude::*;

use super::fp::{ONE, add, invert, is_identity, mul, negate, sqr, sub};
use crate::field::{G1, G1Affine};

/// Points summed by one task; bounds the memory a task touches to about what a core caches.
const TASK_POINTS: usize = 4096;
/// Marks a negated point in the sorted order.
const NEGATIVE: u32 = 1 << 31;

/// `sum_i digits[i] * points[i]`, where `points` may be longer than `digits`.
pub(super) fn product(points: &[G1Affine], digits: &[i16]) -> G1 {
    assert!(digits.len() <= points.len() && digits.len() < NEGATIVE as usize);
    let (order, ends) = sort_by_magnitude(digits);
    let start = |bucket: usize| if bucket == 0 { 0 } else { ends[bucket - 1] as usize };
    let mut tasks = vec![];
    let mut first = 0;
    for bucket in 0..ends.len() {
        if ends[bucket] as usize - start(first) >= TASK_POINTS || bucket + 1 == ends.len() {
            tasks.push(first..bucket + 1);
            first = bucket + 1;
        }
    }
    let partial = |buckets: Range<usize>| {
        let mut sorted: Vec<blst_p1_affine> = order[start(buckets.start)..start(buckets.end)]
            .iter()
            .map(|entry| {
                let mut point = *points[(entry & !NEGATIVE) as usize].as_ref();
                if entry & NEGATIVE != 0 {
                    point.y = negate(&point.y);
                }
                point
            })
            .collect();
        let mut counts: Vec<u32> = buckets.clone().map(|bucket| ends[bucket] - start(bucket) as u32).collect();
        sum_runs(&mut sorted, &mut counts);
        integrate(&sorted, &counts, buckets.start)
    };
    tasks.into_par_iter().map(partial).sum()
}

/// Indices of the non-zero digits by ascending magnitude, negative ones marked, and where each magnitude from 1 up to
/// the largest ends.
fn sort_by_magnitude(digits: &[i16]) -> (Vec<u32>, Vec<u32>) {
    let largest = digits.iter().map(|digit| digit.unsigned_abs()).max().unwrap_or(0);
    let mut ends = vec![0u32; usize::from(largest) + 1];
    for digit in digits {
        ends[usize::from(digit.unsigned_abs())] += 1;
    }
    let mut total = 0;
    for end in &mut ends[1..] {
        total += *end;
        *end = total - *end;
    }
    let mut order = vec![0u32; total as usize];
    for (index, digit) in digits.iter().enumerate() {
        if *digit != 0 {
            let next = &mut ends[usize::from(digit.unsigned_abs())];
            order[*next as usize] = index as u32 | if *digit < 0 { NEGATIVE } else { 0 };
            *next += 1;
        }
    }
    ends.remove(0);
    (order, ends)
}

/// How two points are added.
#[derive(Clone, Copy)]
enum Addition {
    Generic,
    Double,
    First,
    Second,
    Cancel,
}

impl Addition {
    /// The case and the denominator of its slope.
    fn new(a: &blst_p1_affine, b: &blst_p1_affine) -> (Self, blst_fp) {
        if is_identity(b) {
            return (Addition::First, ONE);
        }
        if is_identity(a) {
            return (Addition::Second, ONE);
        }
        if a.x.l != b.x.l {
            return (Addition::Generic, sub(&b.x, &a.x));
        }
        if a.y.l == b.y.l { (Addition::Double, add(&a.y, &a.y)) } else { (Addition::Cancel, ONE) }
    }

    fn apply(self, a: &blst_p1_affine, b: &blst_p1_affine, inverse: &blst_fp) -> blst_p1_affine {
        let slope = match self {
            Addition::First => return *a,
            Addition::Second => return *b,
            Addition::Cancel => return blst_p1_affine::default(),
            Addition::Generic => mul(&sub(&b.y, &a.y), inverse),
            Addition::Double => {
                let square = sqr(&a.x);
                mul(&add(&add(&square, &square), &square), inverse)
            }
        };
        let x = sub(&sub(&sqr(&slope), &a.x), &b.x);
        let y = sub(&mul(&slope, &sub(&a.x, &x)), &a.y);
        blst_p1_affine { x, y }
    }
}

/// Sums consecutive runs of `counts[j]` points until no run is longer than one; runs stay in order at the front.
fn sum_runs(points: &mut [blst_p1_affine], counts: &mut [u32]) {
    let mut pairs: Vec<(Addition, blst_fp)> = Vec::with_capacity(points.len() / 2);
    let mut inverses: Vec<blst_fp> = Vec::with_capacity(points.len() / 2);
    loop {
        pairs.clear();
        inverses.clear();
        let mut product = ONE;
        let mut next = 0;
        for count in counts.iter() {
            let run = &points[next..next + *count as usize];
            for pair in run.chunks_exact(2) {
                let (kind, denominator) = Addition::new(&pair[0], &pair[1]);
                inverses.push(product);
                product = mul(&product, &denominator);
                pairs.push((kind, denominator));
            }
            next += run.len();
        }
        if pairs.is_empty() {
            return;
        }
        let mut inverse = invert(&product);
        for ((_, denominator), prefix) in pairs.iter().zip(&mut inverses).rev() {
            *prefix = mul(prefix, &inverse);
            inverse = mul(&inverse, denominator);
        }
        let mut additions = pairs.iter().zip(&inverses);
        let (mut from, mut to) = (0, 0);
        for count in counts.iter_mut() {
            let (halves, odd) = (*count as usize / 2, *count as usize % 2);
            for ((kind, _), inverse) in additions.by_ref().take(halves) {
                points[to] = kind.apply(&points[from], &points[from + 1], inverse);
                (from, to) = (from + 2, to + 1);
            }
            if odd == 1 {
                points[to] = points[from];
                (from, to) = (from + 1, to + 1);
            }
            *count = (halves + odd) as u32;
        }
    }
}

/// `sum_j (start + j + 1) * bucket_j`, where the buckets with `counts[j] = 1` hold the next of `points` and the others
/// are empty.
fn integrate(points: &[blst_p1_affine], counts: &[u32], start: usize) -> G1 {
    let mut sums = points[..counts.iter().sum::<u32>() as usize].iter().rev();
    let (mut running, mut total) = (G1::identity(), G1::identity());
    for count in counts.iter().rev() {
        if *count == 1
            && let Some(point) = sums.next()
        {
            let mut affine = G1Affine::default();
            *affine.as_mut() = *point;
            running += affine;
        }
        total += running;
    }
    let mut offset = G1::identity();
    for bit in (0..usize::BITS - start.leading_zeros()).rev() {
        offset = offset.double();
        if start >> bit & 1 == 1 {
            offset += running;
        }
    }
    total + offset
}

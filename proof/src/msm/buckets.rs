//! The bucket method with additions in affine coordinates.
//!
//! Points are sorted by digit, and the points of each bucket are summed as a balanced tree. The additions of one level
//! are independent, so they share one field inversion and cost six multiplications each, against ten for the mixed
//! addition in extended coordinates.

use std::borrow::Cow;
use std::ops::Range;

use blst::{blst_fp, blst_p1_affine};
use group::Group;
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::ifma;
#[cfg(target_arch = "x86_64")]
use crate::cpu::Ifma;
use crate::field::{G1, G1Affine};
use crate::fp::{ONE, add, invert, is_identity, mul, negate, sqr, sub};

/// Points summed by one task; bounds the memory a task touches to about what a core caches.
const TASK_POINTS: usize = 4096;
/// Buckets from which on they are summed by rows and columns.
#[cfg(target_arch = "x86_64")]
const MIN_SQUARE: usize = 32;
/// Marks a negated point in the sorted order.
const NEGATIVE: u32 = 1 << 31;

/// Whether this machine adds points in vectors.
pub(super) fn on_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    return Ifma::detect().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Points in the form that this machine adds fastest.
#[derive(Debug)]
pub(super) enum Points<'a> {
    /// As blst has them.
    Plain(Cow<'a, [G1Affine]>),
    /// For vector instructions.
    #[cfg(target_arch = "x86_64")]
    Vector(Ifma, Vec<ifma::Point>),
}

impl<'a> Points<'a> {
    /// Converts `points`.
    pub(super) fn new(points: Cow<'a, [G1Affine]>) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(ifma) = Ifma::detect()
            && !points.par_iter().any(|point| is_identity(point.as_ref()))
        {
            return Points::Vector(ifma, points.par_iter().map(|point| ifma::Point::new(point.as_ref())).collect());
        }
        Points::Plain(points)
    }

    fn len(&self) -> usize {
        match self {
            Points::Plain(points) => points.len(),
            #[cfg(target_arch = "x86_64")]
            Points::Vector(_, points) => points.len(),
        }
    }

    /// `sum_j (start + j) * bucket_j`, where bucket `j` is the sum of the points of the next `counts[j]` of `entries`.
    fn weighted_sum(&self, entries: &[u32], counts: &[u32], start: usize) -> G1 {
        let plain: Vec<blst_p1_affine> = match self {
            Points::Plain(points) => entries.iter().map(|entry| *points[index(*entry)].as_ref()).collect(),
            #[cfg(target_arch = "x86_64")]
            Points::Vector(ifma, points) => {
                let selected = ifma::select(*ifma, points, entries, NEGATIVE);
                if let Some(sum) = vector_weighted_sum(*ifma, selected, counts, start) {
                    return sum;
                }
                entries.iter().map(|entry| points[index(*entry)].to_blst()).collect()
            }
        };
        let negate_marked = |(mut point, entry): (blst_p1_affine, &u32)| {
            if entry & NEGATIVE != 0 {
                point.y = negate(&point.y);
            }
            point
        };
        let buckets = sum_runs(plain.into_iter().zip(entries).map(negate_marked).collect(), counts);
        let (weighted, total) = integrate(&buckets, counts);
        weighted + times(total, start)
    }
}

/// [`Points::weighted_sum`] of points in vector form, unless two of equal or opposite values meet.
///
/// With `j = width * row + column`, the weights are those of the sums of all buckets of a row and of a column: two more
/// vector additions for each bucket instead of two additions with scalar instructions.
#[cfg(target_arch = "x86_64")]
fn vector_weighted_sum(ifma: Ifma, points: Vec<ifma::Point>, counts: &[u32], start: usize) -> Option<G1> {
    let integrate = |sums: Vec<ifma::Point>, counts: &[u32]| {
        let sums: Vec<blst_p1_affine> = sums.into_iter().map(ifma::Point::to_blst).collect();
        integrate(&sums, counts)
    };
    let buckets = ifma::sum_runs(ifma, points, counts)?;
    if counts.len() < MIN_SQUARE {
        let (weighted, total) = integrate(buckets, counts);
        return Some(weighted + times(total, start));
    }
    let width = 1 << (counts.len().ilog2() / 2);
    let (mut rows, mut columns) = (vec![0; counts.len().div_ceil(width)], vec![0; width]);
    let mut by_column: Vec<(usize, ifma::Point)> = Vec::with_capacity(buckets.len());
    let used = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(j, _)| j);
    for (j, bucket) in used.zip(&buckets) {
        rows[j / width] += 1;
        columns[j % width] += 1;
        by_column.push((j % width, *bucket));
    }
    by_column.sort_by_key(|(column, _)| *column);
    let by_column = by_column.into_iter().map(|(_, bucket)| bucket).collect();
    let (row_weighted, total) = integrate(ifma::sum_runs(ifma, buckets, &rows)?, &rows);
    let (column_weighted, _) = integrate(ifma::sum_runs(ifma, by_column, &columns)?, &columns);
    Some(times(row_weighted, width) + column_weighted + times(total, start))
}

/// `sum_i digits[i] * points[i]`, where `points` may be longer than `digits`.
pub(super) fn product(points: &Points, digits: &[i16]) -> G1 {
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
        let entries = &order[start(buckets.start)..start(buckets.end)];
        let counts: Vec<u32> = buckets.clone().map(|bucket| ends[bucket] - start(bucket) as u32).collect();
        points.weighted_sum(entries, &counts, buckets.start + 1)
    };
    tasks.into_par_iter().map(partial).sum()
}

fn index(entry: u32) -> usize {
    (entry & !NEGATIVE) as usize
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

/// Sums consecutive runs of `counts[j]` points; returns the sums of the runs that are not empty.
fn sum_runs(mut points: Vec<blst_p1_affine>, counts: &[u32]) -> Vec<blst_p1_affine> {
    let mut counts = counts.to_vec();
    let mut pairs: Vec<(Addition, blst_fp)> = Vec::with_capacity(points.len() / 2);
    let mut inverses: Vec<blst_fp> = Vec::with_capacity(points.len() / 2);
    loop {
        pairs.clear();
        inverses.clear();
        let mut product = ONE;
        let mut next = 0;
        for count in &counts {
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
            return points;
        }
        let mut inverse = invert(&product);
        for ((_, denominator), prefix) in pairs.iter().zip(&mut inverses).rev() {
            *prefix = mul(prefix, &inverse);
            inverse = mul(&inverse, denominator);
        }
        let mut additions = pairs.iter().zip(&inverses);
        let (mut from, mut to) = (0, 0);
        for count in &mut counts {
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
        points.truncate(to);
    }
}

/// `sum_j j * bucket_j` and `sum_j bucket_j`, where the buckets with `counts[j] > 0` have the next of `sums` and the
/// others are empty.
fn integrate(sums: &[blst_p1_affine], counts: &[u32]) -> (G1, G1) {
    let mut sums = sums.iter().rev();
    let (mut running, mut weighted) = (G1::identity(), G1::identity());
    for (j, count) in counts.iter().enumerate().rev() {
        if *count > 0
            && let Some(point) = sums.next()
        {
            let mut affine = G1Affine::default();
            *affine.as_mut() = *point;
            running += affine;
        }
        if j > 0 {
            weighted += running;
        }
    }
    (weighted, running)
}

/// `factor * point`.
fn times(point: G1, factor: usize) -> G1 {
    (0..usize::BITS - factor.leading_zeros()).rev().fold(G1::identity(), |product, bit| {
        let doubled = product.double();
        if factor >> bit & 1 == 1 { doubled + point } else { doubled }
    })
}

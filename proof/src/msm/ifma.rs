//! Affine additions, eight at a time, with the 52-bit multiply-add instructions of AVX-512.
//!
//! A coordinate is eight limbs of 52 bits in Montgomery form with factor `2^416`, one vector per limb and one addition
//! per vector lane. The 35 bits between the modulus and `2^416` make reductions unnecessary: Montgomery products are
//! below `1.1 p` for operands below `2^15 p`, and differences add a multiple of `p` that keeps them positive.

use std::arch::x86_64::*;
use std::sync::LazyLock;

use blst::{blst_fp, blst_p1_affine};

use super::fp;
use crate::cpu::Ifma;

const LIMBS: usize = 8;
const LANES: usize = 8;
const LIMB_BITS: u32 = 52;
const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;
/// Levels of a tree of additions after which coordinates are brought below `1.1 p` again.
const LEVELS: u32 = 10;

/// The modulus of the base field in limbs of 64 bits.
const MODULUS: [u64; 6] = [
    0xb9fe_ffff_ffff_aaab,
    0x1eab_fffe_b153_ffff,
    0x6730_d2a0_f6b0_f624,
    0x6477_4b84_f385_12bf,
    0x4b1b_a7b6_434b_acd7,
    0x1a01_11ea_397f_e69a,
];

type Limbs = [u64; LIMBS];
type Vector = [__m512i; LIMBS];

/// A point other than the identity.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Point {
    x: Limbs,
    y: Limbs,
}

struct Constants {
    /// `p` in limbs of 52 bits.
    modulus: Limbs,
    /// `-1/p` modulo `2^52`.
    negative_inverse: u64,
    /// `2^32`, which takes blst's Montgomery form to ours.
    enter: blst_fp,
    /// `2^-32`, which takes our form to blst's.
    leave: blst_fp,
    /// `2^64`, which takes blst's inverse of our form to our inverse.
    leave_inverse: blst_fp,
    /// One in our form.
    one: Limbs,
}

static CONSTANTS: LazyLock<Constants> = LazyLock::new(|| {
    let power = |bits| (0..bits).fold(fp::ONE, |power, _| fp::add(&power, &power));
    let newton = |inverse: u64, _| inverse.wrapping_mul(2u64.wrapping_sub(MODULUS[0].wrapping_mul(inverse)));
    Constants {
        modulus: split(&MODULUS),
        negative_inverse: (0..6).fold(1, newton).wrapping_neg() & LIMB_MASK,
        enter: power(32),
        leave: fp::invert(&power(32)),
        leave_inverse: power(64),
        one: split(&power(32).l),
    }
});

impl Point {
    /// Converts a point that is not the identity.
    pub(super) fn new(point: &blst_p1_affine) -> Self {
        let enter = |coordinate| split(&fp::mul(coordinate, &CONSTANTS.enter).l);
        Point { x: enter(&point.x), y: enter(&point.y) }
    }

    /// The blst form of a point whose coordinates are below `2 p`.
    pub(super) fn to_blst(self) -> blst_p1_affine {
        let leave = |limbs: &Limbs| fp::mul(&join(limbs), &CONSTANTS.leave);
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
    let modulus = CONSTANTS.modulus;
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
    let offsets = [bound, 2 * bound, 2 * bound + 2].map(|factor| broadcast(&multiple(&CONSTANTS.modulus, factor)));
    let x = |from: usize, group: &[(usize, usize)]| gather(|lane| &points[group[lane].0 + from].x);
    let y = |from: usize, group: &[(usize, usize)]| gather(|lane| &points[group[lane].0 + from].y);

    products.clear();
    let mut product = broadcast(&CONSTANTS.one);
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
        let sum_x = field.sub2(&field.mul(&slope, &slope), &x0, &x1, &offsets[1]);
        let sum_y = field.sub(&field.mul(&slope, &field.sub(&x0, &sum_x, &offsets[2])), &y0, &offsets[0]);
        for ((_, to), (x, y)) in group.iter().zip(rows(&sum_x).into_iter().zip(rows(&sum_y))) {
            sums[*to] = Point { x, y };
        }
    }
    Some(())
}

/// Brings all coordinates below `1.1 p`.
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce(points: &mut [Point]) {
    let (field, one) = (Field::new(), broadcast(&CONSTANTS.one));
    for group in points.chunks_mut(LANES) {
        let last = group.len() - 1;
        let x = rows(&field.mul(&gather(|lane| &group[lane.min(last)].x), &one));
        let y = field.propagate(gather(|lane| &group[lane.min(last)].y));
        let y = rows(&field.mul(&y, &one));
        for (point, (x, y)) in group.iter_mut().zip(x.into_iter().zip(y)) {
            *point = Point { x, y };
        }
    }
}

/// Inverses of the values in all lanes, which are below `2 p`; `None` if one is zero.
#[target_feature(enable = "avx512f,avx512ifma")]
fn invert_lanes(values: &Vector) -> Option<Vector> {
    let values = rows(values).map(|limbs| join(&limbs));
    if values.iter().any(|value| value.l == [0; 6]) {
        return None;
    }
    let mut prefixes = [fp::ONE; LANES];
    for lane in 1..LANES {
        prefixes[lane] = fp::mul(&prefixes[lane - 1], &values[lane - 1]);
    }
    let mut inverse = fp::invert(&fp::mul(&prefixes[LANES - 1], &values[LANES - 1]));
    inverse = fp::mul(&inverse, &CONSTANTS.leave_inverse);
    let mut inverses = [[0; LIMBS]; LANES];
    for lane in (0..LANES).rev() {
        inverses[lane] = split(&fp::mul(&inverse, &prefixes[lane]).l);
        inverse = fp::mul(&inverse, &values[lane]);
    }
    Some(gather(|lane| &inverses[lane]))
}

/// Arithmetic in all lanes.
struct Field {
    modulus: Vector,
    negative_inverse: __m512i,
    mask: __m512i,
}

impl Field {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new() -> Self {
        Field {
            modulus: broadcast(&CONSTANTS.modulus),
            negative_inverse: _mm512_set1_epi64(CONSTANTS.negative_inverse as i64),
            mask: _mm512_set1_epi64(LIMB_MASK as i64),
        }
    }

    /// `a b / 2^416`, below `p + a b / 2^416`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mul(&self, a: &Vector, b: &Vector) -> Vector {
        let zero = _mm512_setzero_si512();
        let mut sum = [zero; LIMBS];
        for factor in b {
            for (sum, a) in sum.iter_mut().zip(a) {
                *sum = _mm512_madd52lo_epu64(*sum, *a, *factor);
            }
            let quotient = _mm512_madd52lo_epu64(zero, sum[0], self.negative_inverse);
            for (sum, modulus) in sum.iter_mut().zip(&self.modulus) {
                *sum = _mm512_madd52lo_epu64(*sum, quotient, *modulus);
            }
            let carry = _mm512_srli_epi64::<LIMB_BITS>(sum[0]);
            sum = [_mm512_add_epi64(sum[1], carry), sum[2], sum[3], sum[4], sum[5], sum[6], sum[7], zero];
            for ((sum, a), modulus) in sum.iter_mut().zip(a).zip(&self.modulus) {
                *sum = _mm512_madd52hi_epu64(*sum, *a, *factor);
                *sum = _mm512_madd52hi_epu64(*sum, quotient, *modulus);
            }
        }
        self.propagate(sum)
    }

    /// `a - b + offset`, which must not be negative.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn sub(&self, a: &Vector, b: &Vector, offset: &Vector) -> Vector {
        let mut limbs = *offset;
        for ((limb, a), b) in limbs.iter_mut().zip(a).zip(b) {
            *limb = _mm512_add_epi64(*limb, _mm512_sub_epi64(*a, *b));
        }
        self.propagate(limbs)
    }

    /// `a - b - c + offset`, which must not be negative.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn sub2(&self, a: &Vector, b: &Vector, c: &Vector, offset: &Vector) -> Vector {
        let mut limbs = *offset;
        for (((limb, a), b), c) in limbs.iter_mut().zip(a).zip(b).zip(c) {
            *limb = _mm512_add_epi64(*limb, _mm512_sub_epi64(*a, _mm512_add_epi64(*b, *c)));
        }
        self.propagate(limbs)
    }

    /// Brings signed limbs of a value in `0 .. 2^416` into `0 .. 2^52`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn propagate(&self, mut limbs: Vector) -> Vector {
        let mut carry = _mm512_setzero_si512();
        for limb in &mut limbs {
            let total = _mm512_add_epi64(*limb, carry);
            carry = _mm512_srai_epi64::<LIMB_BITS>(total);
            *limb = _mm512_and_si512(total, self.mask);
        }
        limbs
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn broadcast(limbs: &Limbs) -> Vector {
    let mut vector = [_mm512_setzero_si512(); LIMBS];
    for (vector, limb) in vector.iter_mut().zip(limbs) {
        *vector = _mm512_set1_epi64(*limb as i64);
    }
    vector
}

/// The vector with the limbs `limbs(lane)` in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(unsafe_code, reason = "loads and stores through pointers")]
fn gather<'a>(limbs: impl Fn(usize) -> &'a Limbs) -> Vector {
    let mut rows = [_mm512_setzero_si512(); LANES];
    for (lane, row) in rows.iter_mut().enumerate() {
        // SAFETY: the pointer is to eight readable `u64`, and the load needs no alignment.
        *row = unsafe { _mm512_loadu_epi64(limbs(lane).as_ptr().cast()) };
    }
    transpose(&rows)
}

/// The limbs in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(unsafe_code, reason = "loads and stores through pointers")]
fn rows(vector: &Vector) -> [Limbs; LANES] {
    let mut limbs = [[0; LIMBS]; LANES];
    for (limbs, row) in limbs.iter_mut().zip(transpose(vector)) {
        // SAFETY: the pointer is to eight writable `u64`, and the store needs no alignment.
        unsafe { _mm512_storeu_epi64(limbs.as_mut_ptr().cast(), row) };
    }
    limbs
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn transpose(r: &[__m512i; 8]) -> [__m512i; 8] {
    let half = |a: [__m512i; 4]| {
        let low = _mm512_shuffle_i64x2::<0x88>(a[0], a[1]);
        let high = _mm512_shuffle_i64x2::<0xdd>(a[0], a[1]);
        let low2 = _mm512_shuffle_i64x2::<0x88>(a[2], a[3]);
        let high2 = _mm512_shuffle_i64x2::<0xdd>(a[2], a[3]);
        [
            _mm512_shuffle_i64x2::<0x88>(low, low2),
            _mm512_shuffle_i64x2::<0x88>(high, high2),
            _mm512_shuffle_i64x2::<0xdd>(low, low2),
            _mm512_shuffle_i64x2::<0xdd>(high, high2),
        ]
    };
    let even = half([
        _mm512_unpacklo_epi64(r[0], r[1]),
        _mm512_unpacklo_epi64(r[2], r[3]),
        _mm512_unpacklo_epi64(r[4], r[5]),
        _mm512_unpacklo_epi64(r[6], r[7]),
    ]);
    let odd = half([
        _mm512_unpackhi_epi64(r[0], r[1]),
        _mm512_unpackhi_epi64(r[2], r[3]),
        _mm512_unpackhi_epi64(r[4], r[5]),
        _mm512_unpackhi_epi64(r[6], r[7]),
    ]);
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}

/// Limbs of 52 bits from limbs of 64 bits.
fn split(limbs: &[u64; 6]) -> Limbs {
    std::array::from_fn(|i| {
        let bit = i * LIMB_BITS as usize;
        let (word, shift) = (bit / 64, bit % 64);
        let high = if shift == 0 { 0 } else { limbs.get(word + 1).map_or(0, |limb| limb << (64 - shift)) };
        (limbs[word] >> shift | high) & LIMB_MASK
    })
}

/// The field element below `p` from limbs of a value below `2 p`.
fn join(limbs: &Limbs) -> blst_fp {
    let mut wide = [0u64; 7];
    for (i, limb) in limbs.iter().enumerate() {
        let bit = i * LIMB_BITS as usize;
        let shifted = u128::from(*limb) << (bit % 64);
        wide[bit / 64] |= shifted as u64;
        wide[bit / 64 + 1] |= (shifted >> 64) as u64;
    }
    let [l0, l1, l2, l3, l4, l5, _] = wide;
    fp::add(&blst_fp { l: [l0, l1, l2, l3, l4, l5] }, &blst_fp::default())
}

/// `factor * limbs`, for a small factor.
fn multiple(limbs: &Limbs, factor: u64) -> Limbs {
    let mut carry = 0;
    limbs.map(|limb| {
        let total = u128::from(limb) * u128::from(factor) + carry;
        carry = total >> LIMB_BITS;
        total as u64 & LIMB_MASK
    })
}

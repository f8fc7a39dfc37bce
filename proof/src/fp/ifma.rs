//! Base field arithmetic in eight lanes with the 52-bit multiply-add instructions of AVX-512.
//!
//! An element is eight limbs of 52 bits in Montgomery form with factor `2^416`, one vector per limb and one element per
//! vector lane. The 35 bits between the modulus and `2^416` make reductions unnecessary: Montgomery products are below
//! `1.1 p` for operands below `2^15 p`, and differences add a multiple of `p` that keeps them positive. In a *tight*
//! value every limb is below `2^52`, as operands of products must be; in others, limbs are signed and carries are pending.

use std::arch::x86_64::*;
use std::sync::LazyLock;

use blst::blst_fp;

use super::MODULUS;

pub(crate) const LIMBS: usize = 8;
pub(crate) const LANES: usize = 8;
const LIMB_BITS: u32 = 52;
const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;

/// Tight limbs of one element.
pub(crate) type Limbs = [u64; LIMBS];
/// An element in each lane.
pub(crate) type Vector = [__m512i; LIMBS];
/// A product before its reduction.
type Wide = [__m512i; 2 * LIMBS];

/// `p` in limbs of 52 bits.
const LIMBS_OF_MODULUS: Limbs = split(&MODULUS);
/// `-1/p` modulo `2^52`.
const NEGATIVE_INVERSE: u64 = {
    let (mut inverse, mut step) = (1u64, 0);
    while step < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(MODULUS[0].wrapping_mul(inverse)));
        step += 1;
    }
    inverse.wrapping_neg() & LIMB_MASK
};

struct Constants {
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
    let power = |bits| (0..bits).fold(super::ONE, |power, _| super::add(&power, &power));
    Constants { enter: power(32), leave: super::invert(&power(32)), leave_inverse: power(64), one: split(&power(32).l) }
});

/// Our form of an element.
pub(crate) fn enter(element: &blst_fp) -> Limbs {
    split(&super::mul(element, &CONSTANTS.enter).l)
}

/// The element of a value below `2 p`.
pub(crate) fn leave(limbs: &Limbs) -> blst_fp {
    super::mul(&join(limbs), &CONSTANTS.leave)
}

/// Arithmetic in all lanes.
pub(crate) struct Field {
    modulus: Vector,
    negative_inverse: __m512i,
    mask: __m512i,
}

impl Field {
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn new() -> Self {
        Field {
            modulus: broadcast(&LIMBS_OF_MODULUS),
            negative_inverse: _mm512_set1_epi64(NEGATIVE_INVERSE as i64),
            mask: _mm512_set1_epi64(LIMB_MASK as i64),
        }
    }

    /// One.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn one(&self) -> Vector {
        broadcast(&CONSTANTS.one)
    }

    /// `a b / 2^416`, below `p + a b / 2^416`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn mul(&self, a: &Vector, b: &Vector) -> Vector {
        self.propagate(&self.product(a, b))
    }

    /// [`Field::mul`] of `a` with itself.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn sqr(&self, a: &Vector) -> Vector {
        self.propagate(&self.square(a))
    }

    /// [`Field::mul`], not tight: limbs are in `0 .. 2^58`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn product(&self, a: &Vector, b: &Vector) -> Vector {
        let mut wide = [_mm512_setzero_si512(); 2 * LIMBS];
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                wide[i + j] = _mm512_madd52lo_epu64(wide[i + j], a[j], b[i]);
                wide[i + j + 1] = _mm512_madd52hi_epu64(wide[i + j + 1], a[j], b[i]);
            }
        }
        self.reduce(wide)
    }

    /// [`Field::sqr`], not tight: limbs are in `0 .. 2^58`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn square(&self, a: &Vector) -> Vector {
        let mut wide = [_mm512_setzero_si512(); 2 * LIMBS];
        add_row::<0>(&mut wide, a);
        add_row::<1>(&mut wide, a);
        add_row::<2>(&mut wide, a);
        add_row::<3>(&mut wide, a);
        add_row::<4>(&mut wide, a);
        add_row::<5>(&mut wide, a);
        add_row::<6>(&mut wide, a);
        for i in 0..LIMBS {
            let (low, high) = (_mm512_slli_epi64::<1>(wide[2 * i]), _mm512_slli_epi64::<1>(wide[2 * i + 1]));
            wide[2 * i] = _mm512_madd52lo_epu64(low, a[i], a[i]);
            wide[2 * i + 1] = _mm512_madd52hi_epu64(high, a[i], a[i]);
        }
        self.reduce(wide)
    }

    /// Montgomery's reduction: `wide / 2^416`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce(&self, mut wide: Wide) -> Vector {
        for i in 0..LIMBS {
            let quotient = _mm512_madd52lo_epu64(_mm512_setzero_si512(), wide[i], self.negative_inverse);
            // The lowest product makes limb i the next multiple of 2^52.
            let carry = _mm512_srli_epi64::<LIMB_BITS>(_mm512_add_epi64(wide[i], self.mask));
            wide[i + 1] = _mm512_add_epi64(wide[i + 1], carry);
            for j in 1..LIMBS {
                wide[i + j] = _mm512_madd52lo_epu64(wide[i + j], quotient, self.modulus[j]);
            }
            for j in 0..LIMBS {
                wide[i + j + 1] = _mm512_madd52hi_epu64(wide[i + j + 1], quotient, self.modulus[j]);
            }
        }
        let mut limbs = [_mm512_setzero_si512(); LIMBS];
        limbs.copy_from_slice(&wide[LIMBS..]);
        limbs
    }

    /// `a - b + offset`, which must not be negative.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn sub(&self, a: &Vector, b: &Vector, offset: &Vector) -> Vector {
        let mut limbs = *offset;
        for ((limb, a), b) in limbs.iter_mut().zip(a).zip(b) {
            *limb = _mm512_add_epi64(*limb, _mm512_sub_epi64(*a, *b));
        }
        self.propagate(&limbs)
    }

    /// The same value, tight, for one in `0 .. 2^416`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn propagate(&self, value: &Vector) -> Vector {
        let mut limbs = *value;
        let mut carry = _mm512_setzero_si512();
        for limb in &mut limbs {
            let total = _mm512_add_epi64(*limb, carry);
            carry = _mm512_srai_epi64::<LIMB_BITS>(total);
            *limb = _mm512_and_si512(total, self.mask);
        }
        limbs
    }

    /// The lanes in which a tight value below `2^15 p` is a multiple of `p`.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn zeros(&self, value: &Vector) -> u8 {
        // Hardly more than p, so that 0 and p are the only multiples.
        let reduced = self.mul(value, &self.one());
        let (mut zero, mut modulus) = (u8::MAX, u8::MAX);
        for (limb, of_modulus) in reduced.iter().zip(&self.modulus) {
            zero &= _mm512_testn_epi64_mask(*limb, *limb);
            modulus &= _mm512_cmpeq_epi64_mask(*limb, *of_modulus);
        }
        zero | modulus
    }
}

/// Adds to `wide` the products of limb `I` with those after it.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_row<const I: usize>(wide: &mut Wide, a: &Vector) {
    for j in I + 1..LIMBS {
        wide[I + j] = _mm512_madd52lo_epu64(wide[I + j], a[I], a[j]);
        wide[I + j + 1] = _mm512_madd52hi_epu64(wide[I + j + 1], a[I], a[j]);
    }
}

/// `a + b`, not tight.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn add(a: &Vector, b: &Vector) -> Vector {
    let mut sum = *a;
    for (sum, b) in sum.iter_mut().zip(b) {
        *sum = _mm512_add_epi64(*sum, *b);
    }
    sum
}

/// `2^BITS a`, not tight.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn shift<const BITS: u32>(a: &Vector) -> Vector {
    let mut shifted = *a;
    for limb in &mut shifted {
        *limb = _mm512_slli_epi64::<BITS>(*limb);
    }
    shifted
}

/// Inverses of the values in all lanes, which are below `2 p`; `None` if one is zero.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn invert_lanes(values: &Vector) -> Option<Vector> {
    let values = rows(values).map(|limbs| join(&limbs));
    if values.iter().any(|value| value.l == [0; 6]) {
        return None;
    }
    let mut prefixes = [super::ONE; LANES];
    for lane in 1..LANES {
        prefixes[lane] = super::mul(&prefixes[lane - 1], &values[lane - 1]);
    }
    let mut inverse = super::invert(&super::mul(&prefixes[LANES - 1], &values[LANES - 1]));
    inverse = super::mul(&inverse, &CONSTANTS.leave_inverse);
    let mut inverses = [[0; LIMBS]; LANES];
    for lane in (0..LANES).rev() {
        inverses[lane] = split(&super::mul(&inverse, &prefixes[lane]).l);
        inverse = super::mul(&inverse, &values[lane]);
    }
    Some(gather(|lane| &inverses[lane]))
}

/// The same limbs in all lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn broadcast(limbs: &Limbs) -> Vector {
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
pub(crate) fn gather<'a>(limbs: impl Fn(usize) -> &'a Limbs) -> Vector {
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
pub(crate) fn rows(vector: &Vector) -> [Limbs; LANES] {
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

/// `factor p`, for a small factor.
pub(crate) const fn multiple(factor: u64) -> Limbs {
    let (mut limbs, mut carry, mut i) = ([0; LIMBS], 0, 0);
    while i < LIMBS {
        let total = LIMBS_OF_MODULUS[i] as u128 * factor as u128 + carry;
        limbs[i] = total as u64 & LIMB_MASK;
        carry = total >> LIMB_BITS;
        i += 1;
    }
    limbs
}

/// Limbs of 52 bits from limbs of 64 bits.
const fn split(limbs: &[u64; 6]) -> Limbs {
    let (mut out, mut i) = ([0; LIMBS], 0);
    while i < LIMBS {
        let (word, shift) = (i * LIMB_BITS as usize / 64, i * LIMB_BITS as usize % 64);
        let high = if shift > 64 - LIMB_BITS as usize && word < 5 { limbs[word + 1] << (64 - shift) } else { 0 };
        out[i] = (limbs[word] >> shift | high) & LIMB_MASK;
        i += 1;
    }
    out
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
    super::add(&blst_fp { l: [l0, l1, l2, l3, l4, l5] }, &blst_fp::default())
}

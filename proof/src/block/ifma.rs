//! Scalar field arithmetic in eight lanes with the 52-bit multiply-add instructions of AVX-512.
//!
//! An element is five limbs of 52 bits in Montgomery form with factor `2^260`. The five bits between the modulus and
//! `2^260` put reductions off. In a *tight* value every limb is below `2^52`; in others, limbs are signed and carries are
//! pending.

use std::arch::x86_64::*;
use std::sync::LazyLock;

use ff::Field;

use crate::block::{Block, Constant, LANES, Ops};
use crate::cpu::Ifma;
use halo2curves::Fq as Fr;

const LIMBS: usize = 5;
const LIMB_BITS: u32 = 52;
const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;
/// Multiples of the modulus that subtractions may ask for.
const MULTIPLES: usize = 32;

/// The modulus in limbs of 64 bits.
const MODULUS: [u64; 4] = [0xffff_ffff_0000_0001, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];
/// The modulus in limbs of 52 bits.
const LIMBS_OF_MODULUS: [u64; LIMBS] = split(&MODULUS);
/// `-1/p` modulo `2^52`: with `p = 1 + e`, `2^32` divides `e`, so `p (1 - e) = 1 - e^2` is 1 modulo `2^64`.
const NEGATIVE_INVERSE: u64 = (MODULUS[0] - 1).wrapping_sub(1) & LIMB_MASK;
/// `0 p, 1 p, 2 p, ...`.
const OFFSETS: [[u64; LIMBS]; MULTIPLES] = {
    let mut out = [[0; LIMBS]; MULTIPLES];
    let mut factor = 1;
    while factor < MULTIPLES {
        let (mut carry, mut limb) = (0u64, 0);
        while limb < LIMBS {
            let total = out[factor - 1][limb] + LIMBS_OF_MODULUS[limb] + carry;
            out[factor][limb] = total & LIMB_MASK;
            carry = total >> LIMB_BITS;
            limb += 1;
        }
        factor += 1;
    }
    out
};

/// Takes the library's Montgomery form, of factor `2^256`, to ours: `2^264` as an integer.
static ENTER: LazyLock<Constant> = LazyLock::new(|| operand(&Fr::from(16)));
/// Takes our form to the library's: `2^256` as an integer.
static LEAVE: LazyLock<Constant> = LazyLock::new(|| operand(&Fr::from(16).invert().unwrap_or(Fr::ZERO)));

/// 1 in our form.
static ONE: LazyLock<Constant> = LazyLock::new(|| operand(&Fr::ONE));

type Vector = [__m512i; LIMBS];

// Every method and function below has the token: whoever calls it has asked the processor.
#[allow(unsafe_code, reason = "instructions of vectors")]
impl Ops for Ifma {
    type Value = Vector;

    #[inline(always)]
    fn load(self, block: &Block) -> Vector {
        let mut value = zero(self);
        for (limb, row) in value.iter_mut().zip(&block.0) {
            // SAFETY: the token; `row` is eight `u64`, and the load needs no alignment.
            *limb = unsafe { _mm512_loadu_epi64(row.as_ptr().cast()) };
        }
        value
    }

    #[inline(always)]
    fn store(self, value: Vector) -> Block {
        let mut block = Block::BLANK;
        for (limb, row) in value.into_iter().zip(&mut block.0) {
            // SAFETY: the token; `row` is eight `u64`, and the store needs no alignment.
            unsafe { _mm512_storeu_epi64(row.as_mut_ptr().cast(), limb) };
        }
        block
    }

    #[inline(always)]
    fn enter(self, elements: &[Fr; LANES]) -> Vector {
        let mut block = Block::BLANK;
        for (lane, element) in elements.iter().enumerate() {
            let limbs = split(&blst::blst_fr::from(*element).l);
            limbs.into_iter().zip(&mut block.0).for_each(|(limb, row)| row[lane] = limb);
        }
        self.tight(self.mul(self.load(&block), self.broadcast(&ENTER)))
    }

    #[inline(always)]
    fn leave(self, value: Vector) -> [Fr; LANES] {
        let block = self.store(self.tight(self.mul(self.tight(value), self.broadcast(&LEAVE))));
        std::array::from_fn(|lane| {
            let limbs: [u64; LIMBS] = std::array::from_fn(|limb| block.0[limb][lane]);
            blst::blst_fr { l: below_modulus(join(&limbs)) }.into()
        })
    }

    #[inline(always)]
    fn constant(self, element: &Fr) -> Constant {
        operand(element)
    }

    #[inline(always)]
    fn broadcast(self, constant: &Constant) -> Vector {
        splat(self, &constant.0)
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        // SAFETY: the token.
        unsafe {
            let negative_inverse = _mm512_set1_epi64(NEGATIVE_INVERSE as i64);
            let modulus = splat(self, &LIMBS_OF_MODULUS);
            let mut sum = zero(self);
            for factor in b {
                for limb in 0..LIMBS {
                    sum[limb] = _mm512_madd52lo_epu64(sum[limb], a[limb], factor);
                }
                let quotient = _mm512_madd52lo_epu64(_mm512_setzero_si512(), sum[0], negative_inverse);
                for limb in 0..LIMBS {
                    sum[limb] = _mm512_madd52lo_epu64(sum[limb], quotient, modulus[limb]);
                }
                let carry = _mm512_srli_epi64::<LIMB_BITS>(sum[0]);
                sum = [_mm512_add_epi64(sum[1], carry), sum[2], sum[3], sum[4], _mm512_setzero_si512()];
                for limb in 0..LIMBS {
                    sum[limb] = _mm512_madd52hi_epu64(sum[limb], a[limb], factor);
                    sum[limb] = _mm512_madd52hi_epu64(sum[limb], quotient, modulus[limb]);
                }
            }
            sum
        }
    }

    #[inline(always)]
    fn add(self, mut a: Vector, b: Vector) -> Vector {
        for (a, b) in a.iter_mut().zip(b) {
            // SAFETY: the token.
            *a = unsafe { _mm512_add_epi64(*a, b) };
        }
        a
    }

    #[inline(always)]
    fn sub(self, mut a: Vector, b: Vector, multiple: u64) -> Vector {
        let offset = splat(self, &OFFSETS[multiple as usize]);
        for ((a, b), offset) in a.iter_mut().zip(b).zip(offset) {
            // SAFETY: the token.
            *a = unsafe { _mm512_add_epi64(_mm512_sub_epi64(*a, b), offset) };
        }
        a
    }

    #[inline(always)]
    fn tight(self, mut value: Vector) -> Vector {
        // SAFETY: the token.
        unsafe {
            let mask = _mm512_set1_epi64(LIMB_MASK as i64);
            let mut carry = _mm512_setzero_si512();
            for limb in &mut value {
                let total = _mm512_add_epi64(*limb, carry);
                carry = _mm512_srai_epi64::<LIMB_BITS>(total);
                *limb = _mm512_and_si512(total, mask);
            }
        }
        value
    }

    #[inline(always)]
    fn reduce(self, value: Vector) -> Vector {
        self.mul(self.tight(value), self.broadcast(&ONE))
    }

    #[inline(always)]
    fn transpose(self, values: &mut [Vector; LANES]) {
        for limb in 0..LIMBS {
            // SAFETY: the token.
            let mut rows = unsafe { [_mm512_setzero_si512(); LANES] };
            for (row, value) in rows.iter_mut().zip(values.iter()) {
                *row = value[limb];
            }
            for (value, row) in values.iter_mut().zip(transposed(self, &rows)) {
                value[limb] = row;
            }
        }
    }
}

/// An element in our form, for all lanes.
fn operand(element: &Fr) -> Constant {
    Constant(split(&blst::blst_fr::from(*element * Fr::from(16)).l))
}

#[inline(always)]
#[allow(unsafe_code, reason = "instructions of vectors")]
fn zero(_: Ifma) -> Vector {
    // SAFETY: the token.
    unsafe { [_mm512_setzero_si512(); LIMBS] }
}

/// The same limbs in all lanes.
#[inline(always)]
#[allow(unsafe_code, reason = "instructions of vectors")]
fn splat(ifma: Ifma, limbs: &[u64; LIMBS]) -> Vector {
    let mut value = zero(ifma);
    for (vector, limb) in value.iter_mut().zip(limbs) {
        // SAFETY: the token.
        *vector = unsafe { _mm512_set1_epi64(*limb as i64) };
    }
    value
}

/// Swaps lanes and positions of eight vectors.
#[inline(always)]
#[allow(unsafe_code, reason = "instructions of vectors")]
fn transposed(ifma: Ifma, r: &[__m512i; LANES]) -> [__m512i; LANES] {
    // SAFETY: the token.
    let even = unsafe {
        [
            _mm512_unpacklo_epi64(r[0], r[1]),
            _mm512_unpacklo_epi64(r[2], r[3]),
            _mm512_unpacklo_epi64(r[4], r[5]),
            _mm512_unpacklo_epi64(r[6], r[7]),
        ]
    };
    // SAFETY: the token.
    let odd = unsafe {
        [
            _mm512_unpackhi_epi64(r[0], r[1]),
            _mm512_unpackhi_epi64(r[2], r[3]),
            _mm512_unpackhi_epi64(r[4], r[5]),
            _mm512_unpackhi_epi64(r[6], r[7]),
        ]
    };
    let ([e0, e2, e4, e6], [o1, o3, o5, o7]) = (quarters(ifma, even), quarters(ifma, odd));
    [e0, o1, e2, o3, e4, o5, e6, o7]
}

/// Pairs 0, 1, 2 and 3 of all vectors.
#[inline(always)]
#[allow(unsafe_code, reason = "instructions of vectors")]
fn quarters(_: Ifma, r: [__m512i; 4]) -> [__m512i; 4] {
    // SAFETY: the token.
    unsafe {
        let (low, high) = (_mm512_shuffle_i64x2::<0x88>(r[0], r[1]), _mm512_shuffle_i64x2::<0xdd>(r[0], r[1]));
        let (low2, high2) = (_mm512_shuffle_i64x2::<0x88>(r[2], r[3]), _mm512_shuffle_i64x2::<0xdd>(r[2], r[3]));
        [
            _mm512_shuffle_i64x2::<0x88>(low, low2),
            _mm512_shuffle_i64x2::<0x88>(high, high2),
            _mm512_shuffle_i64x2::<0xdd>(low, low2),
            _mm512_shuffle_i64x2::<0xdd>(high, high2),
        ]
    }
}

/// Limbs of 52 bits from limbs of 64 bits.
const fn split(l: &[u64; 4]) -> [u64; LIMBS] {
    [
        l[0] & LIMB_MASK,
        (l[0] >> 52 | l[1] << 12) & LIMB_MASK,
        (l[1] >> 40 | l[2] << 24) & LIMB_MASK,
        (l[2] >> 28 | l[3] << 36) & LIMB_MASK,
        l[3] >> 16,
    ]
}

/// Limbs of 64 bits from tight limbs of a value below `2^256`.
#[inline(always)]
fn join(l: &[u64; LIMBS]) -> [u64; 4] {
    [l[0] | l[1] << 52, l[1] >> 12 | l[2] << 40, l[2] >> 24 | l[3] << 28, l[3] >> 36 | l[4] << 16]
}

/// The same value modulo `p`, below `p`, for a value below `2 p`.
#[inline(always)]
fn below_modulus(value: [u64; 4]) -> [u64; 4] {
    let mut reduced = [0; 4];
    let mut borrow = false;
    for (i, limb) in reduced.iter_mut().enumerate() {
        let (difference, under) = value[i].overflowing_sub(MODULUS[i]);
        let (difference, under_too) = difference.overflowing_sub(u64::from(borrow));
        (*limb, borrow) = (difference, under | under_too);
    }
    if borrow { value } else { reduced }
}

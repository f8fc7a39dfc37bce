//! Decoding in eight lanes.
//!
//! A point of the curve is in the subgroup if and only if `phi(P) = -[z^2] P`, where `phi(x, y) = (beta x, y)` for a cube
//! root `beta` of 1 and z is the parameter of the curve (Scott, "A note on group membership tests for G1, G2 and GT on BLS
//! pairing-friendly curves", eprint 2021/1130): `phi^2 + phi + 1 = 0`, so that the equation gives `[z^4 - z^2 + 1] P = 0`,
//! and that is the order of the subgroup.

use blst::{blst_fp, blst_p1_affine};

use super::encoding::{Encoding, decode_one};
use crate::cpu::Ifma;
use crate::field::G1Affine;
use crate::fp::ifma::{Field, LANES, Limbs, Vector, add, broadcast, enter, gather, leave, multiple, rows, shift};
use crate::fp::{self, MODULUS};

/// Fewer points take longer in lanes than one after the other.
pub(super) const FEWEST: usize = 3;

/// `-z`.
const MINUS_Z: u64 = 0xd201_0000_0001_0000;
/// The cube root of 1, in blst's form.
const BETA: blst_fp = blst_fp {
    l: [
        0x30f1_361b_798a_64e8,
        0xf3b8_ddab_7ece_5a2a,
        0x16a8_ca3a_c615_77f7,
        0xc26a_2ff8_74fd_029b,
        0x3636_b766_6070_1c6e,
        0x051b_a4ab_241b_6160,
    ],
};
/// `(p + 1) / 4`, of which a power is a square root if there is one: p is 3 modulo 4, so that this is `p / 4` rounded up.
const ROOT: [u64; 6] = {
    let mut root = fp::shift(&MODULUS, 2);
    root[0] += 1;
    root
};
/// Bits of [`ROOT`].
const ROOT_BITS: usize = 379;
/// Bits of the exponent that one multiplication takes in.
const WINDOW: usize = 5;

const COMPRESSED: u8 = 0x80;
const IDENTITY: u8 = 0x40;
const LARGER: u8 = 0x20;

/// [`super::decode`] of at most eight encodings.
pub(super) fn decode(ifma: Ifma, encodings: &[Encoding]) -> Vec<Option<G1Affine>> {
    let x: Vec<Option<blst_fp>> = encodings.iter().map(abscissa).collect();
    let limbs: [Limbs; LANES] = std::array::from_fn(|lane| enter(&x.get(lane).copied().flatten().unwrap_or_default()));
    let (y, members) = ordinates(ifma, &limbs);
    let point = |(lane, encoding): (usize, &Encoding)| {
        // The identity, and what is not the encoding of anything.
        let Some(x) = x[lane] else { return decode_one(encoding) };
        let y = leave(&y[lane]);
        let larger = encoding[0] & LARGER != 0;
        let y = if fp::is_larger_than_negative(&y) == larger { y } else { fp::negate(&y) };
        let mut point = G1Affine::default();
        *point.as_mut() = blst_p1_affine { x, y };
        (members >> lane & 1 == 1).then_some(point)
    };
    encodings.iter().enumerate().map(point).collect()
}

/// The x coordinate of the encoding of a point other than the identity, which need not exist.
fn abscissa(encoding: &Encoding) -> Option<blst_fp> {
    let mut bytes = *encoding;
    bytes[0] &= !(COMPRESSED | IDENTITY | LARGER);
    fp::from_canonical(&bytes).filter(|_| encoding[0] & (COMPRESSED | IDENTITY) == COMPRESSED)
}

/// For each x coordinate a y coordinate, below `2 p`, and the lanes in which the two are those of a point of the subgroup.
#[allow(unsafe_code, reason = "the function is compiled for more than the basic instructions")]
fn ordinates(_: Ifma, x: &[Limbs; LANES]) -> ([Limbs; LANES], u8) {
    // SAFETY: the token says that this machine has them.
    unsafe { ordinates_unchecked(x) }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn ordinates_unchecked(x: &[Limbs; LANES]) -> ([Limbs; LANES], u8) {
    let field = Field::new();
    let x = gather(|lane| &x[lane]);
    let four = shift::<2>(&field.one());
    let square = field.propagate(&add(&field.product(&field.sqr(&x), &x), &four));
    let y = root(&field, &square);
    let on_curve = field.zeros(&field.sub(&field.square(&y), &square, &broadcast(&multiple(6))));
    (rows(&y), on_curve & members(&field, &x, &y))
}

/// `a^((p + 1) / 4)`.
#[target_feature(enable = "avx512f,avx512ifma")]
fn root(field: &Field, a: &Vector) -> Vector {
    let bit = |i: usize| (ROOT[i / 64] >> (i % 64) & 1) as usize;
    let square = field.sqr(a);
    let mut odd = [*a; 1 << (WINDOW - 1)];
    for i in 1..odd.len() {
        odd[i] = field.mul(&odd[i - 1], &square);
    }
    let mut power = field.one();
    let mut left = ROOT_BITS;
    while left > 0 {
        // The longest window that ends in a 1; a 0 alone where it starts with one.
        let width = (1..=WINDOW.min(left)).rev().find(|width| bit(left - width) == 1);
        let width = width.filter(|_| bit(left - 1) == 1);
        let window = (left - width.unwrap_or(1)..left).rev().fold(0, |window, i| window << 1 | bit(i));
        for _ in 0..width.unwrap_or(1) {
            power = field.sqr(&power);
        }
        if window > 0 {
            power = field.mul(&power, &odd[window / 2]);
        }
        left -= width.unwrap_or(1);
    }
    power
}

/// The lanes of points of the subgroup, for points of the curve other than the identity.
///
/// The additions of multiples of a point do not cover equal points and the identity. Neither occurs in the subgroup,
/// whose order is a large prime; where one occurs, z becomes 0 and stays so, and the lane is not counted.
#[target_feature(enable = "avx512f,avx512ifma")]
fn members(field: &Field, x: &Vector, y: &Vector) -> u8 {
    let point = Jacobian { x: *x, y: *y, z: field.one() };
    let product = times_minus_z(field, &times_minus_z(field, &point));
    let square = field.sqr(&product.z);
    let offset = broadcast(&multiple(11));
    let image = field.mul(x, &broadcast(&enter(&BETA)));
    let x_differs = field.sub(&field.product(&image, &square), &product.x, &offset);
    let y_sum = field.propagate(&add(&field.product(y, &field.mul(&square, &product.z)), &product.y));
    field.zeros(&x_differs) & field.zeros(&y_sum) & !field.zeros(&product.z)
}

/// A point `(x / z^2, y / z^3)`, with coordinates below `11 p`.
#[derive(Clone, Copy)]
struct Jacobian {
    x: Vector,
    y: Vector,
    z: Vector,
}

/// `[-z] point`.
#[target_feature(enable = "avx512f,avx512ifma")]
fn times_minus_z(field: &Field, point: &Jacobian) -> Jacobian {
    let mut multiple = *point;
    for bit in (0..MINUS_Z.ilog2()).rev() {
        multiple = double(field, &multiple);
        if MINUS_Z >> bit & 1 == 1 {
            multiple = add_points(field, &multiple, point);
        }
    }
    multiple
}

/// The double of a point; the curve has none of order 2.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn double(field: &Field, point: &Jacobian) -> Jacobian {
    let xx = field.square(&point.x);
    let slope = field.propagate(&add(&shift::<1>(&xx), &xx));
    let yy = field.sqr(&point.y);
    let xyy = field.product(&point.x, &yy);
    let x = field.sub(&field.square(&slope), &shift::<3>(&xyy), &broadcast(&multiple(9)));
    let difference = field.sub(&shift::<2>(&xyy), &x, &broadcast(&multiple(11)));
    let y = field.sub(&field.product(&slope, &difference), &shift::<3>(&field.square(&yy)), &broadcast(&multiple(9)));
    let z = field.propagate(&shift::<1>(&field.product(&point.y, &point.z)));
    Jacobian { x, y, z }
}

/// The sum of two points that are neither equal nor the identity; z is 0 if their values are equal or opposite, or if
/// one is the identity.
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_points(field: &Field, a: &Jacobian, b: &Jacobian) -> Jacobian {
    let offset = broadcast(&multiple(2));
    let (azz, bzz) = (field.sqr(&a.z), field.sqr(&b.z));
    let ax = field.mul(&a.x, &bzz);
    let ay = field.mul(&a.y, &field.mul(&bzz, &b.z));
    let run = field.sub(&field.product(&b.x, &azz), &ax, &offset);
    let rise = field.sub(&field.product(&b.y, &field.mul(&azz, &a.z)), &ay, &offset);
    let square = field.sqr(&run);
    let cube = field.mul(&square, &run);
    let axx = field.mul(&ax, &square);
    let x = field.sub(&field.square(&rise), &add(&cube, &shift::<1>(&axx)), &broadcast(&multiple(4)));
    let difference = field.sub(&axx, &x, &broadcast(&multiple(6)));
    let y = field.sub(&field.product(&rise, &difference), &field.product(&ay, &cube), &offset);
    let z = field.mul(&field.mul(&a.z, &b.z), &run);
    Jacobian { x, y, z }
}

use super::*;
use crate::field::{Fr, G1};
use ff::Field;
use group::{Curve, Group, GroupEncoding};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// Order of the subgroup, in limbs of 64 bits.
const ORDER: [u64; 4] = [0xffff_ffff_0000_0001, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];
/// `1 - z`, which times the order of the subgroup takes every point of the curve to the identity.
const COFACTOR: u64 = 0xd201_0000_0001_0001;
/// Its prime factors.
const PRIMES: [u64; 5] = [3, 11, 10_177, 859_267, 52_437_899];

/// Double and add, which unlike the library's multiplication holds outside of the subgroup.
fn times(point: G1, limbs: &[u64]) -> G1 {
    let bits = limbs.iter().rev().flat_map(|limb| (0..64).rev().map(move |bit| limb >> bit & 1 == 1));
    bits.fold(G1::identity(), |sum, bit| if bit { sum.double() + point } else { sum.double() })
}

fn encode(point: G1) -> Encoding {
    point.to_bytes().as_ref().try_into().expect("48 bytes")
}

/// A random point of the whole curve.
fn on_curve(rng: &mut impl RngCore) -> G1 {
    loop {
        let mut encoding = [0; POINT_BYTES];
        rng.fill_bytes(&mut encoding);
        encoding[0] = encoding[0] & 0x1f | 0x80;
        let mut repr = <G1Affine as GroupEncoding>::Repr::default();
        repr.as_mut().copy_from_slice(&encoding);
        if let Some(point) = Option::<G1Affine>::from(G1Affine::from_bytes_unchecked(&repr)) {
            return point.into();
        }
    }
}

/// A point other than the identity whose order divides this factor of the cofactor.
fn torsion(order: u64, rng: &mut impl RngCore) -> G1 {
    assert_eq!(COFACTOR % order, 0);
    let mut points = std::iter::repeat_with(|| times(times(on_curve(rng), &ORDER), &[COFACTOR / order]));
    points.find(|point| !bool::from(point.is_identity())).expect("most points of the curve are outside of the subgroup")
}

fn random(rng: &mut impl RngCore) -> G1 {
    G1::generator() * Fr::random(rng)
}

/// Encodings that must be judged as the stock decoder does, with whether it accepts them.
fn cases() -> Vec<(String, Encoding, bool)> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut cases: Vec<(String, Encoding, bool)> = Vec::new();
    let mut case = |name: &str, encoding: Encoding, accepted: bool| cases.push((name.into(), encoding, accepted));
    let changed = |mut encoding: Encoding, change: &dyn Fn(&mut Encoding)| {
        change(&mut encoding);
        encoding
    };
    let (point, identity) = (encode(random(&mut rng)), encode(G1::identity()));
    case("a point", point, true);
    case("its negative", changed(point, &|e| e[0] ^= LARGER), true);
    case("the generator", encode(G1::generator()), true);
    case("the identity", identity, true);
    case("a point that claims not to be compressed", changed(point, &|e| e[0] ^= 0x80), false);
    case("a point that claims to be the identity", changed(point, &|e| e[0] ^= 0x40), false);
    case("the identity with a sign", changed(identity, &|e| e[0] |= LARGER), false);
    case("the identity with a coordinate", changed(identity, &|e| e[47] = 1), false);
    case("the identity that claims not to be compressed", changed(identity, &|e| e[0] = 0x40), false);
    case("only zeros", [0; POINT_BYTES], false);
    case("only ones", [0xff; POINT_BYTES], false);
    case("x = 0", changed([0; POINT_BYTES], &|e| e[0] = 0x80), false);
    case("x = 0 with a sign", changed([0; POINT_BYTES], &|e| e[0] = 0xa0), false);
    for prime in PRIMES {
        let other = torsion(prime, &mut rng);
        case(&format!("a point of order {prime}"), encode(other), false);
        case(&format!("the negative of a point of order {prime}"), encode(-other), false);
        case(&format!("a point of the subgroup and one of order {prime}"), encode(random(&mut rng) + other), false);
    }
    for order in [33, 3 * 52_437_899, COFACTOR] {
        let point = random(&mut rng) + torsion(order, &mut rng);
        case(&format!("a point of the subgroup and one whose order divides {order}"), encode(point), false);
    }
    case("a point of the curve", encode(on_curve(&mut rng)), false);
    // x + p stands for the same coordinate and fits into 381 bits for small x.
    for small in 0..20u8 {
        let x = changed([0; POINT_BYTES], &|e| e[47] = small);
        let stock = |bytes: &Encoding| decode_one(&changed(*bytes, &|e| e[0] |= 0x80)).is_some();
        case(&format!("x = {small}"), changed(x, &|e| e[0] |= 0x80), stock(&x));
        let mut sum = crate::fp::MODULUS.map(u64::to_be_bytes);
        sum.reverse();
        let mut sum: Encoding = sum.concat().try_into().expect("48 bytes");
        let mut carry = u16::from(small);
        for byte in sum.iter_mut().rev() {
            carry += u16::from(*byte);
            *byte = carry as u8;
            carry >>= 8;
        }
        case(&format!("x = p + {small}"), changed(sum, &|e| e[0] |= 0x80), false);
    }
    // Half of all x have no root.
    let mut encoding = point;
    while !cases.iter().any(|(name, ..)| name == "an x without y") {
        encoding[47] = encoding[47].wrapping_add(1);
        let mut repr = <G1Affine as GroupEncoding>::Repr::default();
        repr.as_mut().copy_from_slice(&encoding);
        if bool::from(G1Affine::from_bytes_unchecked(&repr).is_none()) {
            cases.push(("an x without y".into(), encoding, false));
        }
    }
    cases
}

const LARGER: u8 = 0x20;

#[test]
fn every_encoding_is_judged_alike_in_every_lane() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let fill: Vec<Encoding> = (0..BLOCK).map(|_| encode(random(&mut rng))).collect();
    for (name, encoding, accepted) in cases() {
        let stock = decode_one(&encoding);
        assert_eq!(stock.is_some(), accepted, "{name}");
        for lane in 0..BLOCK {
            let mut encodings = fill.clone();
            encodings[lane] = encoding;
            let expected: Vec<_> = encodings.iter().map(decode_one).collect();
            assert_eq!(decode(&encodings), expected, "{name} in lane {lane}");
        }
    }
}

#[test]
fn all_encodings_beside_each_other_and_in_every_number() {
    let encodings: Vec<Encoding> = cases().into_iter().map(|(_, encoding, _)| encoding).collect();
    let expected: Vec<_> = encodings.iter().map(decode_one).collect();
    assert_eq!(decode(&encodings), expected);
    for len in 0..=2 * BLOCK + 1 {
        assert_eq!(decode(&encodings[..len]), expected[..len], "{len} encodings");
    }
}

#[test]
fn random_points_come_back() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let points: Vec<G1> = (0..200).map(|_| random(&mut rng)).collect();
    let encodings: Vec<Encoding> = points.iter().map(|point| encode(*point)).collect();
    let expected: Vec<_> = points.iter().map(|point| Some(point.to_affine())).collect();
    assert_eq!(decode(&encodings), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_judged_alike(bytes in proptest::collection::vec(any::<u8>(), BLOCK * POINT_BYTES), flags: [u8; BLOCK]) {
        let mut encodings = bytes.as_chunks().0.to_vec();
        for (encoding, flags) in encodings.iter_mut().zip(flags) {
            // Mostly an x below p of a compressed point.
            if flags & 0x0f != 0 {
                encoding[0] = encoding[0] & 0x0f | 0x80 | flags & LARGER;
            }
        }
        let expected: Vec<_> = encodings.iter().map(decode_one).collect();
        prop_assert_eq!(decode(&encodings), expected);
    }
}

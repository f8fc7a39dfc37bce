//! Attacks on the bytes of a proof: flipped, cut, extended, elements that are none.

use crate::{Attacks, CHAIN, Chain, SINGLE, STEP};
use group::{Group, GroupEncoding};
use nanozk_plan::format::{self, Kind};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::field::G1;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::verify::VerifyError;
use nanozk_proof::wire::POINT_BYTES;

/// Flips one bit of every `step`-th byte of the proofs and of the file.
fn flipped_bytes(step: usize) {
    let (fixture, honest) = &*SINGLE;
    let mut attacks = Attacks::new("flipped bytes of the layer proof", &fixture.key, honest);
    for (n, at) in (0..honest.layers[0].bytes.len()).step_by(step).enumerate() {
        attacks.forge(&format!("byte {at}"), |b| b.layers[0].bytes[at] ^= 1 << (n % 8));
    }
    attacks.report();

    let file = honest.to_bytes().unwrap();
    let payload = format::open(Kind::Proof, &file).unwrap();
    let mut attacks = Attacks::new("flipped bytes of the file, resealed", &fixture.key, honest);
    let mut unreadable = 0;
    for (n, at) in (0..payload.len()).step_by(step).enumerate() {
        let mut forged = payload.to_vec();
        forged[at] ^= 1 << (n % 8);
        match Bundle::from_bytes(&format::seal(Kind::Proof, &forged)) {
            Ok(bundle) => drop(attacks.rejects(&format!("byte {at}"), &fixture.key, &bundle)),
            Err(_) => unreadable += 1,
        }
    }
    println!("flipped bytes of the file, resealed: {unreadable} more unreadable");
    attacks.report();
}

#[test]
pub fn some_bytes_flipped() {
    flipped_bytes(STEP);
}

#[test]
#[ignore = "every byte: a minute"]
fn all_bytes_flipped() {
    flipped_bytes(1);
}

#[test]
pub fn truncated_and_extended() {
    let (fixture, honest) = &*SINGLE;
    let bytes = &honest.layers[0].bytes;
    let mut attacks = Attacks::new("truncated and extended", &fixture.key, honest);
    for length in (0..bytes.len()).step_by(STEP).chain([bytes.len() - 1, bytes.len() - 32, bytes.len() - 48]) {
        attacks.forge(&format!("{length} bytes"), |b| b.layers[0].bytes.truncate(length));
    }
    for extra in [1, 16, 32, 48, 1000] {
        let error = attacks.forge("extended", |b| b.layers[0].bytes.extend(vec![0; extra]));
        assert!(matches!(error, VerifyError::Layer { .. }), "{error}");
        attacks.forge("extended in front", |b| drop(b.layers[0].bytes.splice(0..0, vec![0; extra])));
    }
    attacks.forge("twice", |b| b.layers[0].bytes.extend_from_slice(bytes));
    let file = honest.to_bytes().unwrap();
    let payload = format::open(Kind::Proof, &file).unwrap();
    for length in (0..payload.len()).step_by(STEP) {
        assert!(Bundle::from_bytes(&format::seal(Kind::Proof, &payload[..length])).is_err(), "{length} bytes");
    }
    let longer = [payload, &[0]].concat();
    assert!(Bundle::from_bytes(&format::seal(Kind::Proof, &longer)).is_err(), "a trailing byte");
    attacks.report();
}

/// A compressed point of the curve outside the prime-order subgroup.
fn outside_subgroup() -> [u8; POINT_BYTES] {
    for x in 1u8.. {
        let mut repr = <G1 as GroupEncoding>::Repr::default();
        repr.as_mut()[0] = 0x80;
        repr.as_mut()[POINT_BYTES - 1] = x;
        let on_curve = bool::from(G1::from_bytes_unchecked(&repr).is_some());
        if on_curve && bool::from(G1::from_bytes(&repr).is_none()) {
            return repr.as_ref().try_into().unwrap();
        }
    }
    unreachable!("half of all x have a point")
}

/// `bytes + p` when `bytes` is the little-endian encoding of a scalar.
fn plus_modulus(bytes: &[u8]) -> Option<[u8; 32]> {
    let modulus: [u8; 32] = [
        0x01, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0x02, 0xa4, 0xbd, 0x53, 0x05, 0xd8,
        0xa1, 0x09, 0x08, 0xd8, 0x39, 0x33, 0x48, 0x7d, 0x9d, 0x29, 0x53, 0xa7, 0xed, 0x73,
    ];
    if !bytes.iter().rev().lt(modulus.iter().rev()) {
        return None;
    }
    let mut carry = 0;
    let sum = std::array::from_fn(|i| {
        let digit = bytes[i] as u16 + modulus[i] as u16 + carry;
        carry = digit >> 8;
        digit as u8
    });
    (carry == 0).then_some(sum)
}

/// Points have 48 bytes and scalars 32, so every element of a proof starts at a multiple of 16.
#[test]
pub fn invalid_elements() {
    let (fixture, honest) = &*SINGLE;
    let bytes = &honest.layers[0].bytes;
    let outside = outside_subgroup();
    let mut attacks = Attacks::new("points outside the subgroup, scalars >= p", &fixture.key, honest);
    let (mut points, mut scalars) = (0, 0);
    for at in (0..bytes.len()).step_by(16) {
        let point = bytes.get(at..at + POINT_BYTES).filter(|b| {
            let mut repr = <G1 as GroupEncoding>::Repr::default();
            repr.as_mut().copy_from_slice(b);
            bool::from(G1::from_bytes(&repr).is_some())
        });
        if point.is_some() {
            points += 1;
            attacks.forge("outside", |b| b.layers[0].bytes[at..at + POINT_BYTES].copy_from_slice(&outside));
            attacks.forge("identity", |b| {
                let identity = G1::identity().to_bytes();
                b.layers[0].bytes[at..at + POINT_BYTES].copy_from_slice(identity.as_ref());
            });
        }
        if let Some(sum) = bytes.get(at..at + 32).and_then(plus_modulus) {
            scalars += 1;
            attacks.forge("scalar + p", |b| b.layers[0].bytes[at..at + 32].copy_from_slice(&sum));
        }
    }
    println!("{points} points, {scalars} scalars (some windows are both)");
    assert!(points > 10 && scalars > 10);
    attacks.report();

    let Chain { fixture, first, .. } = &*CHAIN;
    let file = first.to_bytes().unwrap();
    let payload = format::open(Kind::Proof, &file).unwrap();
    let valid = first.committed[0].lanes[0].to_bytes();
    let at = payload.windows(POINT_BYTES).position(|w| w == valid.as_ref()).unwrap();
    let mut forged = payload.to_vec();
    forged[at..at + POINT_BYTES].copy_from_slice(&outside);
    assert!(Bundle::from_bytes(&format::seal(Kind::Proof, &forged)).is_err(), "a tensor commitment");
    let file = fixture.key.to_bytes().unwrap();
    let payload = format::open(Kind::Verifier, &file).unwrap();
    let valid = fixture.key.layers[0].weights[0].to_bytes();
    let at = payload.windows(POINT_BYTES).position(|w| w == valid.as_ref()).unwrap();
    let mut forged = payload.to_vec();
    forged[at..at + POINT_BYTES].copy_from_slice(&outside);
    assert!(VerifierKey::from_bytes(&format::seal(Kind::Verifier, &forged)).is_err(), "a weight commitment");
}

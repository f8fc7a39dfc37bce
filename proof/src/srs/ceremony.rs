//! Public ceremonies, known by their `[s]_2`, with the powers of them that come with this program.

use super::file::{read_exact, read_points};
use super::{MAX_K, Srs, SrsError, SrsVerifierPart};
use crate::field::G1Affine;
use group::GroupEncoding;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// A ceremony that made an SRS in public. Whoever trusts that one participant forgot its share can trust proofs under it.
#[derive(Debug, PartialEq, Eq)]
pub struct Ceremony {
    /// Its name.
    pub name: &'static str,
    /// log2 of the number of powers of s that it published in G1.
    pub log_powers: u32,
    /// `[s]_2`, compressed, in hexadecimal digits.
    s_g2: &'static str,
}

/// Largest k that an SRS in this program serves.
pub const EMBEDDED_K: u32 = 14;

/// Largest k that the one of fewest powers serves, under which proofs have the most bits.
pub const STRONGEST_K: u32 = 12;

/// The four sets of Ethereum's KZG ceremony of 2023, each with an s of its own; the first serves Ethereum's blobs, and EIP-4844
/// states its `[s]_2` as `KZG_SETUP_G2_MONOMIAL_1`. `data/ethereum-kzg/README.md` tells where the others were taken from. Each
/// set has 65 powers in G2 too, which give 64 more powers of s by pairing: not one more bit to an attack whose exponent
/// divides p - 1.
static ETHEREUM: [Ceremony; 4] = [
    Ceremony {
        name: "Ethereum KZG, 2^12 powers",
        log_powers: STRONGEST_K,
        s_g2: concat!(
            "b5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72",
            "185cbfee53492714734429b7b38608e23926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2",
        ),
    },
    Ceremony {
        name: "Ethereum KZG, 2^13 powers",
        log_powers: 13,
        s_g2: concat!(
            "87be0a2178f491e7553b05faabdfa2908c94acbbb6e10f5d721384bd07c65e7f9d1c485fb6fd1cc3337e90dc9b955826",
            "128c2fd449acac959903173b6684adabfdc2afc9c0320df9fead548b45f9da111c0b299e960c9bf428abca8ceb0e706b",
        ),
    },
    Ceremony {
        name: "Ethereum KZG, 2^14 powers",
        log_powers: 14,
        s_g2: concat!(
            "a55a45d276bb5c0bc9fb77ef125d7dd2a9f451453dd42bede25bc954a6298bc62aec8f16664a27cdf74e837b8e130115",
            "04068937544ff6f0c53e5ce9b8f0073b918a3bf9d5b97b1dba5e8019ef01a1794d4ca0772cae8506a08216aee1e03305",
        ),
    },
    Ceremony {
        name: "Ethereum KZG, 2^15 powers",
        log_powers: 15,
        s_g2: concat!(
            "a78b94342f7d47a92f8618d0cf60cd3f8c77279ffafb2f0d71e4be074979f1b2f536007e9dcd236abaabcac376993079",
            "1224556839c0c3b5bf3f3bad9727dfc5c3326539883a6b798bef5302776ede7b939374a236e96658b269c3f4a2ea859e",
        ),
    },
];

/// The Midnight ceremony updates Filecoin's; point and powers were taken from the file `bls_midnight_2p14` whose SHA-256,
/// `fc253016...38e2b244`, the ceremony's catalogue lists.
static MIDNIGHT: Ceremony = Ceremony {
    name: "Midnight",
    log_powers: 25,
    s_g2: concat!(
        "a4bbe1a24fcc4f988c6ef268d0c1160eac0a0c4f53d80bd74f3d2e4667be27408625a83825354e27c70859883102eb43",
        "07acb569b3187c0fd1993980aa52a6e9e2080b9697fab96abd5c5f1c3b988256f2d99366f1bbccf13cf0e20702fee18c",
    ),
};

fn ceremonies() -> impl Iterator<Item = &'static Ceremony> {
    ETHEREUM.iter().chain([&MIDNIGHT])
}

/// Powers of a ceremony that come with this program, compressed.
struct Embedded {
    ceremony: &'static Ceremony,
    /// log2 of their number.
    k: u32,
    /// `[s^i]_1`.
    monomial: &'static [u8],
    /// Lagrange bases of the sizes that compiled models have, which are functions of these: to read them takes a tenth of the
    /// time of the group FFT.
    lagrange: [(u32, &'static [u8]); 2],
}

/// In the order in which they are taken; `data/*/README.md` tell their origin.
static EMBEDDED: [Embedded; 2] = [
    Embedded {
        ceremony: &ETHEREUM[0],
        k: STRONGEST_K,
        monomial: include_bytes!("../../data/ethereum-kzg/g1_monomial_4096.bin"),
        lagrange: [
            (11, include_bytes!("../../data/ethereum-kzg/g1_lagrange_2048.bin")),
            (12, include_bytes!("../../data/ethereum-kzg/g1_lagrange_4096.bin")),
        ],
    },
    Embedded {
        ceremony: &MIDNIGHT,
        k: EMBEDDED_K,
        monomial: include_bytes!("../../data/midnight/g1_monomial_16384.bin"),
        lagrange: [
            (13, include_bytes!("../../data/midnight/g1_lagrange_8192.bin")),
            (14, include_bytes!("../../data/midnight/g1_lagrange_16384.bin")),
        ],
    },
];

/// Bytes of a compressed point of G1.
const POINT_BYTES: usize = 48;

impl Ceremony {
    fn verifier_part(&self) -> Option<SrsVerifierPart> {
        SrsVerifierPart::try_from(hex::decode(self.s_g2).ok()?).ok()
    }
}

impl SrsVerifierPart {
    /// The public ceremony that this SRS comes from, if it is a known one.
    pub fn ceremony(&self) -> Option<&'static Ceremony> {
        let digits = hex::encode(self.s_g2.to_bytes());
        ceremonies().find(|ceremony| ceremony.s_g2 == digits)
    }

    /// log2 of the number of powers of s that are public. Of an unknown SRS the number is unknown: as many as the longest
    /// SRS that this program reads.
    pub fn log_powers(&self) -> u32 {
        self.ceremony().map_or(MAX_K, |ceremony| ceremony.log_powers)
    }
}

impl Srs {
    /// The ceremony whose powers in this program serve circuits of up to `2^k` rows.
    pub fn embedded_ceremony(k: u32) -> Option<&'static Ceremony> {
        EMBEDDED.iter().find(|set| k <= set.k).map(|set| set.ceremony)
    }

    /// The SRS in this program for circuits of up to `2^k` rows: of Ethereum's ceremony up to [`STRONGEST_K`], of Midnight's
    /// above. Its points are not checked when it is read: tests check that they are the powers that belong to the
    /// ceremony's `[s]_2`.
    ///
    /// # Errors
    /// [`SrsError::TooLarge`] if `k` exceeds [`EMBEDDED_K`].
    pub fn embedded(k: u32) -> Result<Self, SrsError> {
        let Some(set) = EMBEDDED.iter().find(|set| k <= set.k) else {
            return Err(SrsError::TooLarge { k, limit: EMBEDDED_K });
        };
        let read = |part, k, bytes: &[u8]| {
            let mut rest = bytes;
            let decode = |bytes: &[u8]| bytes.par_chunks(POINT_BYTES).map(decode_unchecked).collect();
            read_points(part, k, POINT_BYTES, |block| read_exact(&mut rest, block), decode)
        };
        let monomial = read("monomial bases", k, set.monomial)?;
        let mut tables = BTreeMap::new();
        for (size, bytes) in set.lagrange.into_iter().filter(|(size, _)| *size == k) {
            tables.insert(size, read("Lagrange bases", size, bytes)?.into());
        }
        let verifier = set.ceremony.verifier_part().ok_or(SrsError::BadPoint { part: "[s]_2", index: 0 })?;
        Ok(Srs::from_parts(k, monomial, tables, verifier))
    }
}

fn decode_unchecked(bytes: &[u8]) -> Option<G1Affine> {
    let mut encoding = <G1Affine as GroupEncoding>::Repr::default();
    encoding.as_mut().copy_from_slice(bytes);
    G1Affine::from_bytes_unchecked(&encoding).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srs::checks::{check_lagrange, check_powers, decode_compressed};
    use sha2::{Digest, Sha256};

    /// `[s]_2` fixes every power, so with these checks nothing is left to trust but the constants above.
    #[test]
    fn the_embedded_powers_are_those_of_the_ceremony() {
        for set in &EMBEDDED {
            let srs = Srs::embedded(set.k).expect("reads");
            assert_eq!(srs.verifier_part().ceremony(), Some(set.ceremony));
            let all = |bytes: &[u8]| -> Vec<G1Affine> {
                assert_eq!(bytes.len() % POINT_BYTES, 0);
                bytes.chunks(POINT_BYTES).map(|b| decode_compressed(b).expect("a point of the subgroup")).collect()
            };
            let monomial = all(set.monomial);
            assert_eq!(monomial.len(), 1 << set.k);
            assert_eq!(monomial[0], group::prime::PrimeCurveAffine::generator());
            assert_eq!(srs.monomial(), monomial);
            check_powers(&monomial, srs.verifier_part().s_g2()).expect("consecutive powers");
            for (k, bytes) in set.lagrange {
                let lagrange = all(bytes);
                assert_eq!(lagrange.len(), 1 << k);
                check_lagrange(k, &monomial[..1 << k], &lagrange).expect("the bases of these powers");
                assert_eq!(Srs::embedded(k).and_then(|s| s.lagrange(k)).expect("reads")[..], lagrange);
            }
        }
    }

    /// The hashes of the files of these names in the package `c-kzg` 2.1.8, which Ethereum's clients verify blobs with.
    #[test]
    fn the_embedded_files_are_the_published_ones() {
        let [Embedded { monomial, lagrange: [_, (_, lagrange)], .. }, _] = &EMBEDDED;
        for (bytes, published) in [
            (monomial, "08797579f6cfd5788eddc1a215d64dcfabd04acbcaf2953fb2c1afb830f43315"),
            (lagrange, "52c7615a9bd3eb20df67eb5a81ee701c96787c82a5ff638740b54fbadfde960b"),
        ] {
            assert_eq!(hex::encode(Sha256::digest(bytes)), published);
        }
    }

    #[test]
    fn sizes_are_served_by_the_strongest_set_that_has_them() {
        let (small, all) = (Srs::embedded(5).expect("reads"), Srs::embedded(STRONGEST_K).expect("reads"));
        assert_eq!(small.monomial(), &all.monomial()[..32]);
        check_lagrange(5, small.monomial(), &small.lagrange(5).expect("derives")).expect("the bases of these powers");
        for (k, ceremony) in [(5, &ETHEREUM[0]), (12, &ETHEREUM[0]), (13, &MIDNIGHT), (14, &MIDNIGHT)] {
            assert_eq!(Srs::embedded(k).expect("reads").verifier_part().ceremony(), Some(ceremony));
            assert_eq!(Srs::embedded_ceremony(k), Some(ceremony));
        }
        assert!(matches!(Srs::embedded(15), Err(SrsError::TooLarge { k: 15, limit: 14 })));
        assert_eq!(Srs::embedded_ceremony(15), None);
    }

    #[test]
    fn known_ceremonies_are_valid_points_and_found() {
        for ceremony in ceremonies() {
            assert_eq!(ceremony.verifier_part().expect("a point").ceremony(), Some(ceremony));
        }
    }
}

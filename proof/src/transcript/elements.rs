//! What a transcript is made of: the elements of a proof, and the hash that takes them in.
//!
//! The hash is Halo2's BLAKE2b over canonical encodings. It is a type of its own because Halo2 lets the hash decide how
//! elements are read, and points are decoded many at a time, before Halo2 asks for them one after the other.

use crate::field::{Fr, G1, G1Affine};
use crate::points::{self, Encoding, POINT_BYTES};
use blake2b_simd::State;
use group::UncompressedEncoding;
use halo2_proofs::transcript::{Hashable, Sampleable, TranscriptHash};
use std::collections::HashMap;
use std::io::{self, Read};

/// Hash of a transcript.
#[derive(Clone, Debug)]
pub struct LayerHash(State);

/// Canonical encoding of an element, as it is hashed.
#[derive(Clone, Debug)]
pub struct Canonical(Vec<u8>);

impl TranscriptHash for LayerHash {
    type Input = Canonical;
    type Output = Vec<u8>;

    fn init() -> Self {
        LayerHash(TranscriptHash::init())
    }

    fn absorb(&mut self, input: &Canonical) {
        self.0.absorb(&input.0);
    }

    fn squeeze(&mut self) -> Vec<u8> {
        self.0.squeeze()
    }
}

impl Sampleable<LayerHash> for Fr {
    fn sample(output: Vec<u8>) -> Self {
        Sampleable::<State>::sample(output)
    }
}

impl Hashable<LayerHash> for Fr {
    fn to_input(&self) -> Canonical {
        Canonical(Hashable::<State>::to_input(self))
    }

    fn to_bytes(&self) -> Vec<u8> {
        Hashable::<State>::to_bytes(self)
    }

    fn read(buffer: &mut impl Read) -> io::Result<Self> {
        Hashable::<State>::read(buffer)
    }
}

impl Hashable<LayerHash> for G1 {
    fn to_input(&self) -> Canonical {
        Canonical(Hashable::<State>::to_input(self))
    }

    fn to_bytes(&self) -> Vec<u8> {
        Hashable::<State>::to_bytes(self)
    }

    /// Reads the coordinates of a point whose membership in the subgroup `buffer` answers for, as [`Proof`] does.
    fn read(buffer: &mut impl Read) -> io::Result<Self> {
        let mut coordinates = <G1Affine as UncompressedEncoding>::Uncompressed::default();
        buffer.read_exact(coordinates.as_mut())?;
        let point: Option<G1Affine> = G1Affine::from_uncompressed_unchecked(&coordinates).into();
        point.map(G1::from).ok_or_else(invalid_point)
    }
}

/// Bytes of the coordinates of a point.
const COORDINATES: usize = 2 * POINT_BYTES;

fn invalid_point() -> io::Error {
    io::Error::other("an invalid curve point")
}

/// A proof that is read or written element by element.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    bytes: Vec<u8>,
    position: usize,
    /// Points that are decoded, by the position of their encoding.
    points: HashMap<usize, Option<G1Affine>>,
}

impl Proof {
    /// A proof to be read.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Proof { bytes: bytes.to_vec(), position: 0, points: HashMap::new() }
    }

    /// Decodes the points at these positions, as far as the proof reaches.
    pub(super) fn decode(&mut self, positions: impl Iterator<Item = usize>) {
        let (positions, encodings): (Vec<usize>, Vec<Encoding>) =
            positions.map_while(|at| Some((at, self.encoding(at)?))).unzip();
        self.points.extend(positions.into_iter().zip(points::decode(&encodings)));
    }

    fn encoding(&self, at: usize) -> Option<Encoding> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    /// The next point, which is in the subgroup.
    fn point(&mut self) -> io::Result<G1Affine> {
        let encoding = self.encoding(self.position).ok_or(io::ErrorKind::UnexpectedEof)?;
        let decoded = self.points.get(&self.position).copied();
        let point = decoded.unwrap_or_else(|| points::decode_one(&encoding)).ok_or_else(invalid_point)?;
        self.position += POINT_BYTES;
        Ok(point)
    }

    /// Appends an encoding.
    pub(super) fn append(&mut self, encoding: &[u8]) {
        self.bytes.extend_from_slice(encoding);
    }

    /// Where the next element stands.
    #[cfg(test)]
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Whether nothing is left.
    pub(super) fn is_read(&self) -> bool {
        self.position == self.bytes.len()
    }

    /// All of it.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A reader of as many bytes as the coordinates of a point have gets those of the next point, which stands compressed;
/// any other gets the bytes as they stand.
impl Read for Proof {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.len() == COORDINATES {
            out.copy_from_slice(self.point()?.to_uncompressed().as_ref());
            return Ok(COORDINATES);
        }
        let mut rest = &self.bytes[self.position..];
        let read = rest.read(out)?;
        self.position += read;
        Ok(read)
    }
}

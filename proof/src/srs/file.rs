//! The SRS file format.
//!
//! `magic (8) | version u32 | k u32 | domains u32 | [s]_2 compressed (96) | monomial bases | Lagrange bases | hash (32)`,
//! integers little-endian, G1 points uncompressed (96 bytes). Bit `j` of `domains` says that the Lagrange bases of the
//! domain of size `2^j` are stored, in ascending order. The hash is BLAKE2b-256 of all bytes before it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use group::{GroupEncoding, UncompressedEncoding};
use rayon::prelude::*;

use super::{MAX_K, Srs, SrsError, SrsVerifierPart, check_k, content_hasher, finish};
use crate::field::G1Affine;

const MAGIC: [u8; 8] = *b"nanoSRS\0";
const VERSION: u32 = 1;
const PERSONAL: &[u8] = b"nanozk-srs-file";
const POINT_BYTES: usize = 96;
const S_G2_BYTES: usize = 96;
/// Points decoded at a time: memory grows with the data that arrives, not with what a header claims.
const BLOCK: usize = 1 << 14;

impl Srs {
    /// Writes the SRS with all Lagrange bases derived so far. Writing to a temporary file and renaming it is left to
    /// the caller.
    ///
    /// # Errors
    /// [`SrsError::Io`] if `writer` fails.
    pub fn write(&self, writer: &mut impl Write) -> Result<(), SrsError> {
        let tables = self.lagrange_tables().clone();
        let domains = tables.keys().fold(0u32, |mask, k| mask | 1 << k);
        let mut hasher = content_hasher(PERSONAL);
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            writer.write_all(bytes)
        };
        put(&MAGIC)?;
        put(&VERSION.to_le_bytes())?;
        put(&self.k.to_le_bytes())?;
        put(&domains.to_le_bytes())?;
        put(self.verifier.s_g2.to_bytes().as_ref())?;
        for points in std::iter::once(&self.monomial).chain(tables.values()) {
            for block in points.chunks(BLOCK) {
                let encodings: Vec<_> = block.par_iter().map(G1Affine::to_uncompressed).collect();
                encodings.iter().try_for_each(|encoding| put(encoding.as_ref()))?;
            }
        }
        writer.write_all(&finish(&hasher))?;
        Ok(())
    }

    /// Reads what [`Srs::write`] wrote. Points are checked to be on the curve; membership in the subgroup and the
    /// relations between points were established by [`Srs::import`] or [`Srs::generate_unsafe`] before writing, and the
    /// hash guards against damage since then, not against forgery: read files from trusted places only.
    ///
    /// # Errors
    /// [`SrsError`] for foreign, damaged, truncated or oversized content.
    pub fn read(reader: &mut impl Read) -> Result<Self, SrsError> {
        let mut input = HashingReader { reader, hasher: content_hasher(PERSONAL) };
        if input.array::<8>()? != MAGIC {
            return Err(SrsError::BadMagic);
        }
        let version = input.u32()?;
        if version != VERSION {
            return Err(SrsError::BadVersion { found: version, expected: VERSION });
        }
        let k = input.u32()?;
        check_k(k, MAX_K)?;
        let domains = input.u32()?;
        if domains >> k > 1 {
            return Err(SrsError::BadHeader("it lists a domain larger than the SRS"));
        }
        let s_g2 = input.array::<S_G2_BYTES>()?;
        let monomial = input.points("monomial bases", k)?;
        let mut lagrange = BTreeMap::new();
        for domain in (0..=k).filter(|j| domains >> j & 1 == 1) {
            lagrange.insert(domain, input.points("Lagrange bases", domain)?.into());
        }
        let hash = finish(&input.hasher);
        if input.array::<32>()? != hash {
            return Err(SrsError::HashMismatch);
        }
        at_end(reader)?;
        Ok(Srs::from_parts(k, monomial, lagrange, SrsVerifierPart::try_from(s_g2.to_vec())?))
    }
}

struct HashingReader<'a, R> {
    reader: &'a mut R,
    hasher: blake2b_simd::State,
}

impl<R: Read> HashingReader<'_, R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SrsError> {
        read_exact(self.reader, bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SrsError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, SrsError> {
        self.array().map(u32::from_le_bytes)
    }

    fn points(&mut self, part: &'static str, k: u32) -> Result<Vec<G1Affine>, SrsError> {
        let decode = |encoding: &[u8]| {
            let mut bytes = <G1Affine as UncompressedEncoding>::Uncompressed::default();
            bytes.as_mut().copy_from_slice(encoding);
            G1Affine::from_uncompressed_unchecked(&bytes).into()
        };
        let decode_all = |bytes: &[u8]| bytes.par_chunks(POINT_BYTES).map(decode).collect();
        read_points(part, k, POINT_BYTES, |bytes| self.fill(bytes), decode_all)
    }
}

/// Reads `2^k` points of `size` bytes with `fill` and decodes them with `decode`, many at a time.
pub(super) fn read_points(
    part: &'static str,
    k: u32,
    size: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<(), SrsError>,
    decode: impl Fn(&[u8]) -> Vec<Option<G1Affine>>,
) -> Result<Vec<G1Affine>, SrsError> {
    let total = 1usize << k;
    let mut points = Vec::new();
    let mut bytes = vec![0; BLOCK.min(total) * size];
    while points.len() < total {
        let start = points.len();
        let bytes = &mut bytes[..BLOCK.min(total - start) * size];
        fill(bytes)?;
        let block = decode(bytes).into_iter().enumerate();
        let block = block.map(|(i, point)| point.ok_or(SrsError::BadPoint { part, index: start + i }));
        points.extend(block.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(points)
}

/// `read_exact` with an early end reported as [`SrsError::Truncated`].
pub(super) fn read_exact(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), SrsError> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SrsError::Truncated,
        _ => SrsError::Io(error),
    })
}

/// Checks that nothing is left to read.
pub(super) fn at_end(reader: &mut impl Read) -> Result<(), SrsError> {
    match read_exact(reader, &mut [0]) {
        Err(SrsError::Truncated) => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(SrsError::TrailingData),
    }
}

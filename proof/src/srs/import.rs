//! Import of ceremony files: what all formats have in common, and halo2's.

use std::io::Read;

use group::UncompressedEncoding;
use halo2curves::G2Affine;
use rayon::prelude::*;

use super::checks::{check_lagrange, checked, decode_compressed};
use super::file::{at_end, read_exact, read_points};
use super::json;
use super::{MAX_K, Srs, SrsError, check_k};
use crate::points;

/// Set in the first byte of a compressed point, clear in that of an uncompressed one.
const COMPRESSED_FLAG: u8 = 0x80;

impl Srs {
    /// Imports an SRS from a ceremony file, for circuits of up to `2^rows` rows if `rows` is given, which is one of these:
    /// - the layout of halo2's `ParamsKZG`: `k` (u32 little-endian), `2^k` monomial bases, `2^k` Lagrange bases, the
    ///   generator of G2, `[s]_2`; all points compressed (`Processed`) or all uncompressed (`RawBytes`), which is detected;
    /// - JSON of Ethereum's KZG ceremony: its transcript, of which the smallest set that serves `rows` is taken, without
    ///   `rows` the largest, or one of its sets as consensus clients take them.
    ///
    /// Checks every point to be on the curve and in the prime-order subgroup, the generators to be those of the curve,
    /// and, by random linear combinations over 255-bit scalars, that the monomial bases are consecutive powers of the
    /// secret of `[s]_2` and that the Lagrange bases belong to them.
    ///
    /// # Errors
    /// [`SrsError`] for the first check that fails, for truncated, oversized or unreadable input, and for more `rows` than the
    /// file serves.
    pub fn import(mut reader: impl Read, rows: Option<u32>) -> Result<Self, SrsError> {
        let mut start = [0; 4];
        read_exact(&mut reader, &mut start)?;
        let srs = if start[0] == b'{' {
            json::import(start.chain(reader), rows)?
        } else {
            import_halo2(u32::from_le_bytes(start), reader)?
        };
        match rows {
            Some(rows) => srs.truncated(rows),
            None => Ok(srs),
        }
    }
}

fn import_halo2(k: u32, mut reader: impl Read) -> Result<Srs, SrsError> {
    check_k(k, MAX_K)?;
    let mut first = [0; 1];
    read_exact(&mut reader, &mut first)?;
    let compressed = first[0] & COMPRESSED_FLAG != 0;
    let mut reader = (&first[..]).chain(reader);

    let mut bases = |part| {
        let fill = |bytes: &mut [u8]| read_exact(&mut reader, bytes);
        if compressed {
            read_points(part, k, 48, fill, |bytes| points::decode(bytes.as_chunks().0))
        } else {
            let decode = |bytes: &[u8]| bytes.par_chunks(96).map(decode_uncompressed).collect();
            read_points(part, k, 96, fill, decode)
        }
    };
    let monomial = bases("monomial bases")?;
    let lagrange = bases("Lagrange bases")?;
    let mut g2_point = |part| {
        let mut bytes = vec![0; if compressed { 96 } else { 192 }];
        read_exact(&mut reader, &mut bytes)?;
        let point = if compressed { decode_compressed(&bytes) } else { decode_uncompressed(&bytes) };
        point.ok_or(SrsError::BadPoint { part, index: 0 })
    };
    let g2: G2Affine = g2_point("generator of G2")?;
    let s_g2: G2Affine = g2_point("[s]_2")?;
    at_end(&mut reader)?;

    let srs = checked(k, monomial, [g2, s_g2])?;
    check_lagrange(k, &srs.monomial, &lagrange)?;
    srs.cache_lagrange(k, lagrange.into());
    Ok(srs)
}

fn decode_uncompressed<P: UncompressedEncoding>(bytes: &[u8]) -> Option<P> {
    let mut encoding = P::Uncompressed::default();
    encoding.as_mut().copy_from_slice(bytes);
    P::from_uncompressed(&encoding).into()
}

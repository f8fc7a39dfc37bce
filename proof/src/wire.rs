//! Serde for group elements: compressed points, each checked to be on the curve and in the subgroup on reading.

use crate::field::G1;
use group::GroupEncoding;
use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Bytes of a compressed point.
pub const POINT_BYTES: usize = 48;

/// Compressed encoding.
pub fn encode(points: &[G1]) -> Vec<u8> {
    points.iter().flat_map(|p| p.to_bytes().as_ref().to_vec()).collect()
}

/// Reads compressed points; `None` for a partial or invalid one.
pub fn decode(bytes: &[u8]) -> Option<Vec<G1>> {
    if !bytes.len().is_multiple_of(POINT_BYTES) {
        return None;
    }
    let point = |chunk: &[u8]| {
        let mut encoding = <G1 as GroupEncoding>::Repr::default();
        encoding.as_mut().copy_from_slice(chunk);
        Option::<G1>::from(G1::from_bytes(&encoding))
    };
    bytes.par_chunks(POINT_BYTES).map(point).collect()
}

/// `#[serde(with = "wire::points")]` for `Vec<G1>`.
pub mod points {
    use super::*;

    /// Writes the points as one byte string.
    pub fn serialize<S: Serializer>(points: &[G1], s: S) -> Result<S::Ok, S::Error> {
        encode(points).serialize(s)
    }

    /// Reads and checks the points.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<G1>, D::Error> {
        decode(&Vec::<u8>::deserialize(d)?).ok_or_else(|| D::Error::custom("an invalid curve point"))
    }
}

/// `#[serde(with = "wire::point_lists")]` for `Vec<Vec<G1>>`.
pub mod point_lists {
    use super::*;

    /// Writes each list as one byte string.
    pub fn serialize<S: Serializer>(lists: &[Vec<G1>], s: S) -> Result<S::Ok, S::Error> {
        lists.iter().map(|l| encode(l)).collect::<Vec<_>>().serialize(s)
    }

    /// Reads and checks the points.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Vec<G1>>, D::Error> {
        let lists = Vec::<Vec<u8>>::deserialize(d)?;
        lists.iter().map(|l| decode(l).ok_or_else(|| D::Error::custom("an invalid curve point"))).collect()
    }
}

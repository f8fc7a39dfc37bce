//! Serde for group elements (compressed points, each checked to be on the curve and in the subgroup on reading) and for
//! field elements (each checked to be canonical).

use crate::field::{Fr, G1, Mask};
pub use crate::points::POINT_BYTES;
use ff::PrimeField;
use group::GroupEncoding;
use nanozk_plan::MASK_ROWS;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Bytes of a field element.
pub const SCALAR_BYTES: usize = 32;

/// Compressed encoding.
pub fn encode(points: &[G1]) -> Vec<u8> {
    points.iter().flat_map(|p| p.to_bytes().as_ref().to_vec()).collect()
}

/// Reads compressed points; `None` for a partial or invalid one.
pub fn decode(bytes: &[u8]) -> Option<Vec<G1>> {
    let (encodings, []) = bytes.as_chunks() else { return None };
    crate::points::decode(encodings).into_iter().map(|point| Some(point?.into())).collect()
}

/// `#[serde(with = "wire::points")]` for `Vec<G1>`.
pub mod points {
    use super::*;

    /// Writes the points as one byte string.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(points: &[G1], s: S) -> Result<S::Ok, S::Error> {
        encode(points).serialize(s)
    }

    /// Reads and checks the points.
    ///
    /// # Errors
    /// Bytes that are none of them, and those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<G1>, D::Error> {
        decode(&Vec::<u8>::deserialize(d)?).ok_or_else(|| D::Error::custom("an invalid curve point"))
    }
}

/// The field element of a canonical encoding.
fn read_scalar(bytes: &[u8; SCALAR_BYTES]) -> Option<Fr> {
    let mut encoding = <Fr as PrimeField>::Repr::default();
    encoding.as_mut().copy_from_slice(bytes);
    Option::from(Fr::from_repr(encoding))
}

/// The encoding of a field element.
fn write_scalar(scalar: &Fr) -> [u8; SCALAR_BYTES] {
    let mut bytes = [0; SCALAR_BYTES];
    bytes.copy_from_slice(scalar.to_repr().as_ref());
    bytes
}

/// `#[serde(with = "wire::scalar")]` for `Fr`.
pub mod scalar {
    use super::*;

    /// Writes the canonical bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(scalar: &Fr, s: S) -> Result<S::Ok, S::Error> {
        write_scalar(scalar).serialize(s)
    }

    /// Reads and checks them.
    ///
    /// # Errors
    /// Bytes that are none of them, and those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Fr, D::Error> {
        read_scalar(&<[u8; SCALAR_BYTES]>::deserialize(d)?).ok_or_else(|| D::Error::custom("an invalid field element"))
    }
}

/// `#[serde(with = "wire::masks")]` for `Vec<Mask>`.
pub mod masks {
    use super::*;

    /// Writes the masks cell by cell.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(masks: &[Mask], s: S) -> Result<S::Ok, S::Error> {
        masks.iter().map(|mask| mask.each_ref().map(write_scalar)).collect::<Vec<_>>().serialize(s)
    }

    /// Reads and checks the masks.
    ///
    /// # Errors
    /// Bytes that are none of them, and those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Mask>, D::Error> {
        let read = |cells: [[u8; SCALAR_BYTES]; MASK_ROWS]| {
            let cells: Option<Vec<Fr>> = cells.iter().map(read_scalar).collect();
            cells?.try_into().ok()
        };
        let masks: Option<Vec<Mask>> =
            Vec::<[[u8; SCALAR_BYTES]; MASK_ROWS]>::deserialize(d)?.into_iter().map(read).collect();
        masks.ok_or_else(|| D::Error::custom("an invalid field element"))
    }
}

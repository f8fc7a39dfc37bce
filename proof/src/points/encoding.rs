//! Compressed points, one at a time.

use crate::field::G1Affine;
use group::GroupEncoding;

/// Bytes of a compressed point.
pub const POINT_BYTES: usize = 48;

/// Bytes of one compressed point.
pub(crate) type Encoding = [u8; POINT_BYTES];

/// The point of one encoding, as in [`super::decode`].
pub(crate) fn decode_one(encoding: &Encoding) -> Option<G1Affine> {
    let mut repr = <G1Affine as GroupEncoding>::Repr::default();
    repr.as_mut().copy_from_slice(encoding);
    G1Affine::from_bytes(&repr).into()
}

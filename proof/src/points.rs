//! Points from their compressed encodings, eight at a time where the processor has the instructions.
//!
//! An encoding is the x coordinate, most significant byte first, with three flags in its highest bits: that it is
//! compressed, that the point is the identity, and that y is the larger of the two roots. Whatever decodes, the same
//! encodings are accepted, and of the same points, as by the stock decoder: those of points in the subgroup, each in its
//! one canonical form.

mod encoding;
#[cfg(target_arch = "x86_64")]
mod ifma;
#[cfg(test)]
mod tests;

use crate::field::G1Affine;
pub use encoding::POINT_BYTES;
pub(crate) use encoding::{Encoding, decode_one};
use rayon::prelude::*;

/// Encodings decoded by one task.
const BLOCK: usize = 8;

/// The points of encodings; `None` where there is none in the subgroup, or the encoding is not its canonical one.
pub(crate) fn decode(encodings: &[Encoding]) -> Vec<Option<G1Affine>> {
    encodings.par_chunks(BLOCK).flat_map_iter(decode_block).collect()
}

fn decode_block(encodings: &[Encoding]) -> Vec<Option<G1Affine>> {
    #[cfg(target_arch = "x86_64")]
    if encodings.len() >= ifma::FEWEST
        && let Some(ifma) = crate::cpu::Ifma::detect()
    {
        return ifma::decode(ifma, encodings);
    }
    encodings.iter().map(decode_one).collect()
}

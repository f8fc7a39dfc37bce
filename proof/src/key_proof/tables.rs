//! The values of pair tables, which the publisher states in the clear.
//!
//! A table's commitment has no mask, so the values say nothing that a guess could not be tested against. Stated once for
//! each distinct table, they make its column one that everybody knows ([`super::known`]).
//!
//! Tables are smooth: second differences are a few bits each. They are written in blocks of 64, zigzag, with the bits that
//! the widest of the block needs (after the frame-of-reference coding of columnar files). A general compressor would make
//! the id of a model with open weights depend on the compressor's version.

use crate::{field::G1, keys::VerifierKey, wire};
use nanozk_plan::Geometry;
use std::collections::HashSet;

/// Magnitudes are below 2^62, the bound of every value of the integer model.
const MAGNITUDE_BITS: u32 = 62;

/// Differences with one width.
const BLOCK: usize = 64;

/// A pair table of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The first layer that has it.
    pub layer: usize,
    /// Its index in that layer.
    pub index: usize,
    /// Rows of its column.
    pub geometry: Geometry,
    /// Commitment of its column.
    pub commitment: G1,
}

/// The distinct tables of a model in the order of their first use.
pub fn tables(key: &VerifierKey) -> Vec<Table> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (layer, data) in key.layers.iter().enumerate() {
        let geometry = key.shapes[data.shape as usize].plan.geometry;
        for (index, commitment) in data.tables.iter().enumerate() {
            if seen.insert((geometry, wire::encode(&[*commitment]))) {
                out.push(Table { layer, index, geometry, commitment: *commitment });
            }
        }
    }
    out
}

/// Bits of the widest of `values` as a signed integer. `None` if one is not a value of an integer model.
pub fn width(values: &[i64]) -> Option<u32> {
    let magnitudes = values.iter().fold(0, |all, v| all | if *v < 0 { !*v } else { *v });
    let fits = values.iter().all(|v| v.unsigned_abs() < 1 << MAGNITUDE_BITS);
    fits.then_some(i64::BITS + 1 - magnitudes.leading_zeros())
}

/// Writes the values of a table.
pub fn encode(values: &[i64]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut last, mut slope) = (0i64, 0i64);
    let mut code = |value: i64| {
        let step = value.wrapping_sub(last);
        let second = step.wrapping_sub(slope);
        (last, slope) = (value, step);
        ((second << 1) ^ (second >> (i64::BITS - 1))) as u64
    };
    for block in values.chunks(BLOCK) {
        let codes: Vec<u64> = block.iter().map(|v| code(*v)).collect();
        let width = u64::BITS - codes.iter().fold(0, |all, c| all | c).leading_zeros();
        out.push(width as u8);
        let (mut bits, mut held) = (0u128, 0);
        for code in codes {
            bits |= u128::from(code) << held;
            held += width;
            while held >= 8 {
                out.push(bits as u8);
                bits >>= 8;
                held -= 8;
            }
        }
        if held > 0 {
            out.push(bits as u8);
        }
    }
    out
}

/// Reads the `len` values of a table. `None` for bytes that [`encode`] does not write.
pub fn decode(bytes: &[u8], len: usize) -> Option<Vec<i64>> {
    let mut out = Vec::with_capacity(len);
    let mut rest = bytes;
    let (mut last, mut slope) = (0i64, 0i64);
    while out.len() < len {
        let count = BLOCK.min(len - out.len());
        let (&width, tail) = rest.split_first().filter(|(width, _)| u32::from(**width) <= u64::BITS)?;
        let (mut packed, tail) = tail.split_at_checked((count * usize::from(width)).div_ceil(8))?;
        let (mut bits, mut held) = (0u128, 0);
        for _ in 0..count {
            while held < u32::from(width) {
                let (&byte, tail) = packed.split_first()?;
                bits |= u128::from(byte) << held;
                (packed, held) = (tail, held + 8);
            }
            let code = (bits & ((1 << width) - 1)) as u64;
            bits >>= width;
            held -= u32::from(width);
            let second = (code >> 1) as i64 ^ -((code & 1) as i64);
            slope = slope.wrapping_add(second);
            last = last.wrapping_add(slope);
            out.push(last);
        }
        rest = tail;
    }
    (encode(&out) == bytes).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn smooth_tables_are_short() {
        let gelu = |i: i64| {
            let x = i as f64 / 256.0;
            (512.0 * x * (1.0 + (0.8 * x + 0.04 * x.powi(3)).tanh())).round() as i64
        };
        let values: Vec<i64> = (-2048..2048).map(gelu).collect();
        let bytes = encode(&values);
        assert!(bytes.len() < values.len() / 4, "{} bytes", bytes.len());
        assert_eq!(decode(&bytes, values.len()), Some(values));
    }

    #[test]
    fn other_bytes_are_refused() {
        let values: Vec<i64> = (0..100).map(|i| i * i * i).collect();
        let good = encode(&values);
        for len in [0, 99, 101, 164] {
            assert_eq!(decode(&good, len), None, "{len} values");
        }
        for keep in 0..good.len() {
            assert_eq!(decode(&good[..keep], values.len()), None, "{keep} bytes");
        }
        for at in 0..good.len() * 8 {
            let mut other = good.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert_ne!(decode(&other, values.len()), Some(values.clone()), "bit {at}");
        }
        assert_eq!(decode(&[good, vec![0]].concat(), values.len()), None);
        assert_eq!(decode(&[65], 1), None);
        assert_eq!(decode(&[1, 2], 1), None, "padding");
    }

    #[test]
    fn widths() {
        let limit = 1i64 << MAGNITUDE_BITS;
        for (values, expected) in [
            (vec![], Some(1)),
            (vec![0, -1], Some(1)),
            (vec![1], Some(2)),
            (vec![127, -128], Some(8)),
            (vec![0, 128], Some(9)),
            (vec![limit - 1, 1 - limit], Some(63)),
            (vec![limit], None),
            (vec![0, -limit], None),
            (vec![i64::MIN, i64::MAX], None),
        ] {
            assert_eq!(width(&values), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(values in proptest::collection::vec(prop_oneof![any::<i64>(), -9i64..9], 0..200)) {
            prop_assert_eq!(decode(&encode(&values), values.len()), Some(values));
        }

        #[test]
        fn hostile_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), len in 0usize..200) {
            if let Some(values) = decode(&bytes, len) {
                prop_assert_eq!(encode(&values), bytes);
            }
        }
    }
}

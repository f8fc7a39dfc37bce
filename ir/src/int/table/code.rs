//! The values of a table as bytes.
//!
//! Tables are smooth: second differences are a few bits each. They are written in blocks of 64, zigzag, with the bits that
//! the widest of the block needs (after the frame-of-reference coding of columnar files). A general compressor would make
//! the id of a model with open weights depend on the compressor's version.

/// Differences with one width.
const BLOCK: usize = 64;

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
    let mut out = Vec::new();
    walk(bytes, len, |value| out.push(value)).map(|()| out)
}

/// Gives the `len` values of a table to `each`, in order. `None` for bytes that [`encode`] does not write.
pub fn walk(bytes: &[u8], len: usize, mut each: impl FnMut(i64)) -> Option<()> {
    let mut rest = bytes;
    let (mut last, mut slope) = (0i64, 0i64);
    for first in (0..len).step_by(BLOCK) {
        let count = BLOCK.min(len - first);
        let (&width, tail) = rest.split_first().filter(|(width, _)| u32::from(**width) <= u64::BITS)?;
        let (mut packed, tail) = tail.split_at_checked((count * usize::from(width)).div_ceil(8))?;
        let (mut bits, mut held, mut all) = (0u128, 0, 0u64);
        for _ in 0..count {
            while held < u32::from(width) {
                let (&byte, tail) = packed.split_first()?;
                bits |= u128::from(byte) << held;
                (packed, held) = (tail, held + 8);
            }
            let code = (bits & ((1 << width) - 1)) as u64;
            bits >>= width;
            held -= u32::from(width);
            all |= code;
            let second = (code >> 1) as i64 ^ -((code & 1) as i64);
            slope = slope.wrapping_add(second);
            last = last.wrapping_add(slope);
            each(last);
        }
        let least_width = u64::BITS - all.leading_zeros();
        if bits != 0 || u32::from(width) != least_width {
            return None;
        }
        rest = tail;
    }
    rest.is_empty().then_some(())
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

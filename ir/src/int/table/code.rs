//! The values of a table as bytes.
//!
//! Tables are smooth: second differences are a few bits each, and are written as [`packed`] integers.

use crate::int::packed;

/// Writes the values of a table.
pub fn encode(values: &[i64]) -> Vec<u8> {
    let (mut last, mut slope) = (0i64, 0i64);
    packed::pack(values.iter().map(|&value| {
        let step = value.wrapping_sub(last);
        let second = step.wrapping_sub(slope);
        (last, slope) = (value, step);
        second
    }))
}

/// Reads the `len` values of a table. `None` for bytes that [`encode`] does not write.
pub fn decode(bytes: &[u8], len: usize) -> Option<Vec<i64>> {
    let mut out = Vec::new();
    walk(bytes, len, |value| out.push(value)).map(|()| out)
}

/// Gives the `len` values of a table to `each`, in order. `None` for bytes that [`encode`] does not write.
pub fn walk(bytes: &[u8], len: usize, mut each: impl FnMut(i64)) -> Option<()> {
    let (mut last, mut slope) = (0i64, 0i64);
    packed::walk(bytes, len, |second| {
        slope = slope.wrapping_add(second);
        last = last.wrapping_add(slope);
        each(last);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn smooth_tables_are_short() {
        let gelu = |i: i64| {
            let x = i as f64 / 256.0;
            (512.0 * x * (1.0 + libm::tanh(0.8 * x + 0.04 * x.powi(3)))).round() as i64
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

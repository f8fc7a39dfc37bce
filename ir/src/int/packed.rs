//! Integers of few bits as bytes.
//!
//! Blocks of 64, zigzag, with the bits that the widest of the block needs (the frame-of-reference coding of columnar files).
//! There is one form for each sequence. A general compressor would make the id of a model with open weights depend on the
//! compressor's version.

use super::Weights;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Integers of one width.
const BLOCK: usize = 64;

/// Writes integers.
pub fn pack(values: impl IntoIterator<Item = i64>) -> Vec<u8> {
    let (mut out, mut values) = (Vec::new(), values.into_iter());
    let mut codes = [0u64; BLOCK];
    loop {
        let mut count = 0;
        for (code, value) in codes.iter_mut().zip(&mut values) {
            *code = ((value << 1) ^ (value >> (i64::BITS - 1))) as u64;
            count += 1;
        }
        if count == 0 {
            return out;
        }
        let width = u64::BITS - codes[..count].iter().fold(0, |all, c| all | c).leading_zeros();
        out.push(width as u8);
        let (mut bits, mut held) = (0u128, 0);
        for code in &codes[..count] {
            bits |= u128::from(*code) << held;
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
}

/// Gives the `len` integers to `each`, in order. `None` for bytes that [`pack`] does not write.
pub fn walk(bytes: &[u8], len: usize, mut each: impl FnMut(i64)) -> Option<()> {
    let mut rest = bytes;
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
            each((code >> 1) as i64 ^ -((code & 1) as i64));
        }
        let least_width = u64::BITS - all.leading_zeros();
        if bits != 0 || u32::from(width) != least_width {
            return None;
        }
        rest = tail;
    }
    rest.is_empty().then_some(())
}

/// What is known of a layer's weights, as a file holds it.
pub trait Stored: Sized {
    /// Writes it.
    ///
    /// # Errors
    /// Those of the serializer.
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;

    /// Reads it.
    ///
    /// # Errors
    /// Those of the deserializer, and when the bytes are not those of [`Stored::store`].
    fn load<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

impl Stored for () {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.serialize(to)
    }

    fn load<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(from)
    }
}

impl Stored for Weights {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(|matrix| Packed(matrix)))
    }

    fn load<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<Unpacked>::deserialize(from)?.into_iter().map(|matrix| matrix.0).collect())
    }
}

/// A matrix: its number of weights and their bytes.
struct Packed<'a>(&'a [i32]);

impl Serialize for Packed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let bytes = pack(self.0.iter().map(|&w| w.into()));
        (self.0.len() as u64, Bytes(bytes)).serialize(to)
    }
}

/// The same, read.
struct Unpacked(Vec<i32>);

impl<'de> Deserialize<'de> for Unpacked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (len, Bytes(bytes)) = <(u64, Bytes)>::deserialize(from)?;
        let malformed = || de::Error::custom("weights are packed in another way");
        // Each block has a byte at least.
        let len = usize::try_from(len).ok().filter(|len| len.div_ceil(BLOCK) <= bytes.len()).ok_or_else(malformed)?;
        let (mut weights, mut narrow) = (Vec::with_capacity(len), true);
        walk(&bytes, len, |w| match i32::try_from(w) {
            Ok(w) => weights.push(w),
            Err(_) => narrow = false,
        })
        .filter(|()| narrow)
        .ok_or_else(malformed)?;
        Ok(Unpacked(weights))
    }
}

/// Bytes that are read and written whole.
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl de::Visitor<'_> for Reader {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unpack(bytes: &[u8], len: usize) -> Option<Vec<i64>> {
        let mut out = Vec::new();
        walk(bytes, len, |value| out.push(value)).map(|()| out)
    }

    #[test]
    fn weights_cost_their_bits() {
        let weights: Weights = vec![(0..6400).map(|i| (i * 7919) % 4001 - 2000).collect(), vec![i32::MIN, 0, i32::MAX]];
        let layer = crate::int::Layer { weights: weights.clone(), ..Default::default() };
        let bytes = postcard::to_stdvec(&layer).unwrap();
        assert!(bytes.len() <= 6400 * 12 / 8 + 100 + 40, "{} bytes", bytes.len());
        assert_eq!(postcard::from_bytes::<crate::int::Layer>(&bytes).unwrap(), layer);
        assert!(postcard::from_bytes::<crate::int::Layer>(&bytes[..bytes.len() - 9]).is_err());
    }

    #[test]
    fn other_weights_are_refused() {
        let of = |len: u64, values: &[i64]| postcard::to_stdvec(&(len, Bytes(pack(values.iter().copied())))).unwrap();
        let read = |bytes: Vec<u8>| postcard::from_bytes::<Unpacked>(&bytes).map(|matrix| matrix.0).ok();
        assert_eq!(read(of(2, &[5, -6])), Some(vec![5, -6]));
        assert_eq!(read(of(1, &[5, -6])), None);
        assert_eq!(read(of(65, &[5, -6])), None);
        assert_eq!(read(of(u64::MAX, &[5, -6])), None);
        assert_eq!(read(of(1, &[1 << 31])), None);
    }

    proptest! {
        #[test]
        fn round_trip(values in proptest::collection::vec(prop_oneof![any::<i64>(), -9i64..9], 0..200)) {
            prop_assert_eq!(unpack(&pack(values.iter().copied()), values.len()), Some(values));
        }

        #[test]
        fn hostile_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), len in 0usize..200) {
            if let Some(values) = unpack(&bytes, len) {
                prop_assert_eq!(pack(values), bytes);
            }
        }
    }
}

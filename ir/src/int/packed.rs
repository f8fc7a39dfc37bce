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
    // The bits of a block and zeros, so that 16 bytes can be read wherever a code begins.
    let mut block = [0; BLOCK * 8 + 16];
    let mut rest = bytes;
    for first in (0..len).step_by(BLOCK) {
        let count = BLOCK.min(len - first);
        let (&width, tail) = rest.split_first().filter(|(width, _)| u32::from(**width) <= u64::BITS)?;
        let width = usize::from(width);
        let (packed, tail) = tail.split_at_checked((count * width).div_ceil(8))?;
        block[..packed.len()].copy_from_slice(packed);
        let (mask, mut all) = ((1u128 << width) - 1, 0);
        for at in (0..count).map(|i| i * width) {
            let mut bits = [0; 16];
            bits.copy_from_slice(&block[at / 8..at / 8 + 16]);
            let code = (u128::from_le_bytes(bits) >> (at % 8) & mask) as u64;
            all |= code;
            each((code >> 1) as i64 ^ -((code & 1) as i64));
        }
        // Bits of the last byte that no code has.
        let padding = packed.last().map_or(0, |last| u32::from(*last) >> ((count * width + 7) % 8 + 1));
        if padding != 0 || width as u32 != u64::BITS - all.leading_zeros() {
            return None;
        }
        rest = tail;
    }
    rest.is_empty().then_some(())
}

/// The `len` weights in `bytes`. `None` for bytes that [`pack`] does not write of so many.
pub fn unpack(bytes: &[u8], len: u64) -> Option<Vec<i32>> {
    // Each block has a byte at least.
    let len = usize::try_from(len).ok().filter(|len| len.div_ceil(BLOCK) <= bytes.len())?;
    let (mut weights, mut narrow) = (Vec::with_capacity(len), true);
    walk(bytes, len, |w| match i32::try_from(w) {
        Ok(w) => weights.push(w),
        Err(_) => narrow = false,
    })?;
    narrow.then_some(weights)
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
        unpack(&bytes, len).map(Unpacked).ok_or_else(malformed)
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

    fn walked(bytes: &[u8], len: usize) -> Option<Vec<i64>> {
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
            prop_assert_eq!(walked(&pack(values.iter().copied()), values.len()), Some(values));
        }

        #[test]
        fn hostile_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), len in 0usize..200) {
            if let Some(values) = walked(&bytes, len) {
                prop_assert_eq!(pack(values), bytes);
            }
        }
    }
}

//! NumPy archives: one array per model input, by the input's name, or in the order of the archive.
//!
//! The format is that of `numpy.lib.format`. A header's shape is believed only when the archive holds as much data, so
//! that memory is bounded by the file, or by [`MOST_INFLATED`] where it is compressed.

use super::{
    entries::{Entries, Raw},
    error::DataError,
    malformed::Malformed,
};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use std::{
    io::{self, Cursor, Read},
    path::Path,
};
use zip::ZipArchive;

/// Bytes that the arrays of a file may have together if they are more than the file.
const MOST_INFLATED: usize = 1 << 28;

/// Bytes of an array of one value, at most.
const MOST_SINGLE: usize = 1 << 12;

/// Begins the record of an archive of more than 4 GB or 65535 files. Its counts are believed by the archive reader, which
/// then allocates whatever they say.
const ZIP64: &[u8] = b"PK\x06\x07";

pub(super) fn read(path: &Path, inputs: &[&str]) -> Result<Entries, DataError> {
    let format = |reason: Malformed| DataError::Format { path: path.to_owned(), reason };
    let file = std::fs::read(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    if file.windows(ZIP64.len()).any(|bytes| bytes == ZIP64) {
        return Err(format(Malformed::Zip64));
    }
    let size = file.len();
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(|e| format(Malformed::NoArchive(e)))?;
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let position = |input: &&str| names.iter().position(|n| n.trim_end_matches(".npy") == *input);
    let by_name: Option<Vec<usize>> = inputs.iter().map(position).collect();
    if by_name.is_none() && names.len() != inputs.len() {
        return Err(DataError::count(path, inputs, names.len()));
    }
    let chosen = by_name.unwrap_or_else(|| (0..names.len()).collect());
    let mut room = size.max(MOST_INFLATED);
    let mut entry = |index: usize| {
        let bytes = archive.by_index(index).map_err(io::Error::from).and_then(|entry| inflated(entry, room));
        let name = || names[index].clone();
        let bytes = bytes.map_err(|cause| format(Malformed::Unreadable { name: name(), cause }))?;
        room -= bytes.len();
        array(&bytes).map_err(|what| format(Malformed::Array { name: name(), what }))
    };
    let inputs = chosen.iter().map(|&index| entry(index)).collect::<Result<_, _>>()?;
    let others = (0..names.len()).filter(|index| !chosen.contains(index));
    let mut single = |index: usize| {
        let bytes = inflated(archive.by_index(index).ok()?, MOST_SINGLE).ok()?;
        match array(&bytes).ok()?.values[..] {
            [value] => Some((names[index].trim_end_matches(".npy").to_owned(), value)),
            _ => None,
        }
    };
    Ok(Entries { inputs, singles: others.filter_map(&mut single).collect() })
}

/// All bytes of an entry, of which there may be `most`.
fn inflated(entry: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.take(most as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > most {
        true => Err(io::Error::other(format!("the arrays have more than {} MB together", most >> 20))),
        false => Ok(bytes),
    }
}

/// Decodes an `.npy` file.
fn array(bytes: &[u8]) -> Result<Raw, &'static str> {
    let (header, data) = split(bytes).ok_or("no valid header")?;
    let descr = field(header, "descr").and_then(|f| f.strip_prefix('\'')?.split_once('\'')).map(|f| f.0);
    let (values, size) = descr.and_then(|d| decode(d, data)).ok_or("an unsupported type")?;
    let shape = field(header, "shape").and_then(shape).ok_or("no valid shape")?;
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if len != Some(values.len()) || values.len() * size != data.len() {
        return Err("a shape that does not fit its data");
    }
    let column_major = field(header, "fortran_order").is_some_and(|f| f.starts_with("True"));
    let array = ArrayD::from_shape_vec(IxDyn(&shape).set_f(column_major), values).map_err(|_| "an invalid shape")?;
    Ok(Raw { values: array.iter().copied().collect(), shape: Some(shape) })
}

/// The header's text and what follows it.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&version, rest) = bytes.strip_prefix(b"\x93NUMPY")?.split_first()?;
    let rest = rest.get(1..)?;
    let (len, rest) = if version == 1 {
        let (len, rest) = rest.split_first_chunk()?;
        (usize::from(u16::from_le_bytes(*len)), rest)
    } else {
        let (len, rest) = rest.split_first_chunk()?;
        (u32::from_le_bytes(*len) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(len)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// What stands behind a key of the header.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    header.split_once(&format!("'{key}':")).map(|(_, value)| value.trim_start())
}

/// `(2, 3)`, `(2,)` or `()`.
fn shape(text: &str) -> Option<Vec<usize>> {
    let inner = text.strip_prefix('(')?.split_once(')')?.0;
    inner.split(',').map(str::trim).filter(|d| !d.is_empty()).map(|d| d.parse().ok()).collect()
}

/// The elements and the size of one; `descr` is byte order, kind and size, such as `<f4`.
fn decode(descr: &str, data: &[u8]) -> Option<(Vec<f64>, usize)> {
    let (order, kind) = descr.split_at_checked(1)?;
    if !matches!(order, "<" | ">" | "|") {
        return None;
    }
    macro_rules! elements {
        ($t:ty) => {{
            let (chunks, _) = data.as_chunks::<{ size_of::<$t>() }>();
            let read = if order == ">" { <$t>::from_be_bytes } else { <$t>::from_le_bytes };
            (chunks.iter().map(|c| read(*c) as f64).collect(), size_of::<$t>())
        }};
    }
    Some(match kind {
        "f4" => elements!(f32),
        "f8" => elements!(f64),
        "i1" => elements!(i8),
        "i2" => elements!(i16),
        "i4" => elements!(i32),
        "i8" => elements!(i64),
        "u1" => elements!(u8),
        "u2" => elements!(u16),
        "u4" => elements!(u32),
        "u8" => elements!(u64),
        "b1" if data.iter().all(|&b| b <= 1) => elements!(u8),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    /// A part of an array is no array, and an archive of a few bytes can unfold into any number.
    #[test]
    fn what_unfolds_beyond_the_limit_is_refused_and_not_cut() {
        assert_eq!(super::inflated(&[7; 5][..], 5).unwrap(), [7; 5]);
        assert!(super::inflated(&[7; 6][..], 5).is_err());
        assert!(super::inflated(std::io::repeat(0), 1 << 20).unwrap_err().to_string().contains("more than 1 MB"));
    }
}

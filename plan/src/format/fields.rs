//! Files read field by field.
//!
//! A payload has its fields one after the other with nothing between, so that a reader who knows them can take one at a
//! time and pass over bytes that are not needed yet.

use super::{FormatError, HEADER_LEN, Kind, VERSION, check_header, finished, hasher};
use serde::de::DeserializeOwned;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes read at a time.
const BLOCK: u64 = 1 << 16;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is refused.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// The fields of a payload that are not read yet.
#[derive(Debug)]
pub struct Fields<R> {
    kind: Kind,
    file: R,
    /// Bytes of the file that are in memory, of which the first `used` are read.
    window: Vec<u8>,
    used: usize,
    /// Bytes of the payload behind these.
    behind: Range<u64>,
}

impl<R: Read + Seek> Fields<R> {
    /// The fields of the file that takes up `range` of `file`, once its header and its hash are checked.
    ///
    /// # Errors
    /// As [`super::open`], and those of the system.
    pub fn open(kind: Kind, mut file: R, range: Range<u64>) -> Result<Self, ReadError> {
        file.seek(SeekFrom::Start(range.start))?;
        let length = range.end.saturating_sub(range.start);
        let mut header = Vec::new();
        file.by_ref().take(length.min(HEADER_LEN as u64)).read_to_end(&mut header)?;
        let payload = length - header.len() as u64;
        let wanted = check_header(kind, &header, payload)?;
        let (mut hash, mut left, mut block) = (hasher(kind as u8, VERSION), payload, Vec::new());
        while left > 0 {
            block.clear();
            file.by_ref().take(left.min(BLOCK)).read_to_end(&mut block)?;
            if block.is_empty() {
                break;
            }
            hash.update(&block);
            left -= block.len() as u64;
        }
        if finished(&hash) != wanted {
            return Err(FormatError::Damaged { expected: kind, what: "checksum" }.into());
        }
        let first = range.start + HEADER_LEN as u64;
        file.seek(SeekFrom::Start(first))?;
        Ok(Fields { kind, file, window: Vec::new(), used: 0, behind: first..first + payload })
    }

    /// The next field.
    ///
    /// # Errors
    /// Bytes that are no such value.
    pub fn field<T: DeserializeOwned>(&mut self) -> Result<T, ReadError> {
        loop {
            match postcard::take_from_bytes(&self.window[self.used..]) {
                Ok((value, rest)) => {
                    self.used = self.window.len() - rest.len();
                    return Ok(value);
                }
                Err(postcard::Error::DeserializeUnexpectedEnd) if !self.behind.is_empty() => self.widen()?,
                Err(e) => return Err(self.malformed(e.to_string())),
            }
        }
    }

    /// As many elements as the next field says.
    ///
    /// # Errors
    /// Those of `element`.
    pub fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T, ReadError>) -> Result<Vec<T>, ReadError> {
        let (count, mut list) = (self.field::<u64>()?, Vec::new());
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    /// Passes over a field of bytes; where they are in the file.
    ///
    /// # Errors
    /// More bytes than there are.
    pub fn bytes(&mut self) -> Result<Range<u64>, ReadError> {
        let length = self.field::<u64>()?;
        let first = self.behind.start - self.held();
        let end = first.checked_add(length).filter(|end| *end <= self.behind.end);
        let end = end.ok_or_else(|| self.malformed("bytes end behind the file".into()))?;
        if end <= self.behind.start {
            self.used += length as usize;
        } else {
            self.used = self.window.len();
            self.behind.start = end;
            self.file.seek(SeekFrom::Start(end))?;
        }
        Ok(first..end)
    }

    /// Checks that there is no further field.
    ///
    /// # Errors
    /// There is one.
    pub fn finish(self) -> Result<(), ReadError> {
        match self.held() + self.behind.end - self.behind.start {
            0 => Ok(()),
            unread => Err(self.malformed(format!("{unread} unread bytes"))),
        }
    }

    /// How many bytes in memory are not read.
    fn held(&self) -> u64 {
        (self.window.len() - self.used) as u64
    }

    /// Takes more of the file into memory, at least as much again.
    fn widen(&mut self) -> Result<(), ReadError> {
        self.window.drain(..std::mem::take(&mut self.used));
        let more = (self.window.len() as u64).max(BLOCK).min(self.behind.end - self.behind.start);
        let read = self.file.by_ref().take(more).read_to_end(&mut self.window)?;
        if read == 0 {
            return Err(FormatError::Damaged { expected: self.kind, what: "cut off" }.into());
        }
        self.behind.start += read as u64;
        Ok(())
    }

    fn malformed(&self, what: String) -> ReadError {
        FormatError::Malformed { expected: self.kind, what }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{encode, seal};
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    type Value = (u32, Vec<u64>, Vec<u8>, String);

    fn value() -> Value {
        (7, (0..40_000).map(|i| i * i).collect(), (0..200_000u32).map(|i| i as u8).collect(), "end".into())
    }

    /// A file, which has others before and behind it.
    fn between(file: &[u8]) -> (Cursor<Vec<u8>>, Range<u64>) {
        let range = 5..5 + file.len() as u64;
        (Cursor::new([&[1; 5], file, &[2; 9]].concat()), range)
    }

    fn read(file: &[u8]) -> Result<(u32, Vec<u64>, Range<u64>, String), ReadError> {
        let (all, range) = between(file);
        let mut fields = Fields::open(Kind::Prover, all, range)?;
        let value = (fields.field()?, fields.list(Fields::field)?, fields.bytes()?, fields.field()?);
        fields.finish().map(|()| value)
    }

    #[test]
    fn fields_are_those_of_the_value() {
        let file = encode(Kind::Prover, &value()).expect("encodes");
        let (first, list, bytes, last) = read(&file).expect("reads");
        assert_eq!((first, &list, &last), (7, &value().1, &value().3));
        let all = between(&file).0.into_inner();
        assert_eq!(all[bytes.start as usize..bytes.end as usize], value().2);
    }

    /// What is refused is what a reader of the whole file refuses, in the same words.
    #[test]
    fn other_files_are_refused() {
        let good = encode(Kind::Prover, &value()).expect("encodes");
        let mut files: Vec<Vec<u8>> =
            (0..60).chain([good.len() / 2, good.len() - 1]).map(|n| good[..n].to_vec()).collect();
        files.extend((0..80).map(|i| {
            let mut bad = good.clone();
            bad[if i < 60 { i } else { i * 2000 }] ^= 4;
            bad
        }));
        files.push([&good[..], &[0]].concat());
        files.push(encode(Kind::Model, &value()).expect("encodes"));
        let payload = &good[HEADER_LEN..];
        files.extend([&payload[..payload.len() - 1], &[payload, &[0]].concat()].map(|p| seal(Kind::Prover, p)));
        for file in files {
            let whole = super::super::decode::<Value>(Kind::Prover, &file).expect_err("another file").to_string();
            assert_eq!(read(&file).expect_err("another file").to_string(), whole);
        }
    }

    #[test]
    fn bytes_must_be_there() {
        for count in [3, u64::MAX - 60, u64::MAX] {
            let file = encode(Kind::Prover, &(count, [0u8; 2])).expect("encodes");
            let mut fields = Fields::open(Kind::Prover, Cursor::new(&file), 0..file.len() as u64).expect("opens");
            assert!(fields.bytes().is_err(), "{count}");
        }
    }

    proptest! {
        #[test]
        fn hostile_payloads_do_not_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&seal(Kind::Prover, &payload));
        }
    }
}

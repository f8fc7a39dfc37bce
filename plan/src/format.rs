//! The container of nanozk files (except the SRS, which has its own): a 52-byte header and a payload.
//!
//! | bytes | content |
//! |---|---|
//! | 6 | `nanozk` |
//! | 1 | [`Kind`] |
//! | 1 | 0 |
//! | 4 | [`VERSION`], little endian |
//! | 8 | payload length, little endian |
//! | 32 | BLAKE2b-256 of kind, version and payload |
//!
//! The hash finds damage; it is not a signature. Readers still treat the payload as hostile.

mod fields;

pub use fields::{Fields, ReadError};

use serde::{Serialize, de::DeserializeOwned};
use std::cell::Cell;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

/// Version of all file formats. A file of another version is refused.
pub const VERSION: u32 = 5;

/// Bytes before the payload.
pub const HEADER_LEN: usize = 52;

const MAGIC: &[u8; 6] = b"nanozk";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A compiled model.
    Model = 1,
    /// What a verifier needs.
    Verifier = 2,
    /// A proof bundle.
    Proof = 3,
    /// What a prover needs beside the model.
    Prover = 4,
    /// State of an unfinished proof, or what a provider keeps of a commitment.
    Work = 5,
    /// A proof bundle before any layer is proven.
    Commitment = 6,
    /// What a run of jobs consists of, and the key material that its jobs share.
    Run = 7,
    /// A layer of an answer, to be proven.
    Job = 8,
    /// A job that is done.
    Part = 9,
}

impl Kind {
    /// Name with article, and the command that makes such a file.
    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Kind::Model => ("a compiled model", "nanozk compile"),
            Kind::Verifier => ("a verifier file", "nanozk setup"),
            Kind::Proof => ("a proof", "nanozk prove"),
            Kind::Prover => ("a prover file", "nanozk setup"),
            Kind::Work => ("the state of an unfinished proof", "nanozk prove"),
            Kind::Commitment => ("a commitment", "nanozk commit"),
            Kind::Run => ("a file of a run folder", "nanozk jobs split"),
            Kind::Job => ("a job", "nanozk jobs split"),
            Kind::Part => ("a finished job", "nanozk jobs prove"),
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        let kinds = [
            Kind::Model,
            Kind::Verifier,
            Kind::Proof,
            Kind::Prover,
            Kind::Work,
            Kind::Commitment,
            Kind::Run,
            Kind::Job,
            Kind::Part,
        ];
        kinds.into_iter().find(|k| *k as u8 == byte)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.describe().0)
    }
}

/// Why a file is refused: `cause; way out`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; {}", self.cause(), self.way_out())]
pub enum FormatError {
    /// No nanozk file at all.
    Foreign {
        /// What was wanted.
        expected: Kind,
    },
    /// Another kind of nanozk file.
    WrongKind {
        /// What was wanted.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
    /// Made by another version.
    Version {
        /// What was wanted.
        expected: Kind,
        /// Version in the file.
        found: u32,
    },
    /// Shorter or longer than its header says, or its hash differs.
    Damaged {
        /// What was wanted.
        expected: Kind,
        /// What is wrong.
        what: &'static str,
    },
    /// The header is fine, the payload is not.
    Malformed {
        /// What was wanted.
        expected: Kind,
        /// What is wrong.
        what: String,
    },
}

impl FormatError {
    /// What is wrong with the file.
    pub fn cause(&self) -> String {
        match self {
            FormatError::Foreign { .. } => "not a nanozk file".into(),
            FormatError::WrongKind { expected, found } => format!("this is {found}, not {expected}"),
            FormatError::Version { found, .. } => {
                format!("made by another version (format {found}, this binary reads {VERSION})")
            }
            FormatError::Damaged { what, .. } => format!("damaged file ({what})"),
            FormatError::Malformed { what, .. } => format!("malformed content ({what})"),
        }
    }

    /// What helps.
    pub fn way_out(&self) -> String {
        let command = |expected: &Kind| expected.describe().1;
        match self {
            FormatError::Foreign { expected } | FormatError::WrongKind { expected, .. } => {
                format!("{expected} comes from `{}`", command(expected))
            }
            FormatError::Version { expected, .. } | FormatError::Malformed { expected, .. } => {
                format!("make it again with `{}`", command(expected))
            }
            FormatError::Damaged { expected, .. } => {
                format!("copy it again or make it again with `{}`", command(expected))
            }
        }
    }
}

/// The hash of a payload, once it has absorbed it.
fn hasher(kind: u8, version: u32) -> blake2b_simd::State {
    let mut state = blake2b_simd::Params::new().hash_length(32).personal(b"nanozk-file").to_state();
    state.update(&[kind]).update(&version.to_le_bytes());
    state
}

fn digest(kind: u8, version: u32, payload: &[u8]) -> [u8; 32] {
    finished(hasher(kind, version).update(payload))
}

fn finished(state: &blake2b_simd::State) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(state.finalize().as_bytes());
    out
}

/// Puts the header before `payload`.
pub fn seal(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + payload.len());
    out.extend_from_slice(&[0; HEADER_LEN]);
    out.extend_from_slice(payload);
    head(kind, out)
}

/// Writes the header over the first bytes of a file, which the payload follows.
fn head(kind: Kind, mut file: Vec<u8>) -> Vec<u8> {
    let (space, payload) = file.split_at_mut(HEADER_LEN);
    space.copy_from_slice(&header(kind, payload.len() as u64, digest(kind as u8, VERSION, payload)));
    file
}

/// The header of a file whose payload has this length and hash.
fn header(kind: Kind, length: u64, digest: [u8; 32]) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..6].copy_from_slice(MAGIC);
    header[6] = kind as u8;
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&length.to_le_bytes());
    header[20..].copy_from_slice(&digest);
    header
}

/// The kind of file that a header names. Nothing else of it is checked.
pub fn kind(bytes: &[u8]) -> Option<Kind> {
    bytes.strip_prefix(MAGIC)?.first().and_then(|kind| Kind::from_byte(*kind))
}

/// Checks the header and the hash and returns the payload.
///
/// # Errors
/// Whatever makes the file another one than asked for, or a damaged one.
pub fn open(expected: Kind, bytes: &[u8]) -> Result<&[u8], FormatError> {
    let (header, payload) = bytes.split_at(bytes.len().min(HEADER_LEN));
    let hash = check_header(expected, header, payload.len() as u64)?;
    if digest(expected as u8, VERSION, payload) != hash {
        return Err(FormatError::Damaged { expected, what: "checksum" });
    }
    Ok(payload)
}

/// Checks a header, or as much as there is of it, for a payload of this length, and returns the hash in it.
fn check_header(expected: Kind, header: &[u8], found: u64) -> Result<[u8; 32], FormatError> {
    let damaged = |what| FormatError::Damaged { expected, what };
    if header.len() < MAGIC.len() || &header[..MAGIC.len()] != MAGIC {
        return Err(FormatError::Foreign { expected });
    }
    if header.len() < HEADER_LEN {
        return Err(damaged("header cut off"));
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    match Kind::from_byte(header[6]) {
        Some(found) if found == expected => {}
        Some(found) => return Err(FormatError::WrongKind { expected, found }),
        None => return Err(FormatError::Version { expected, found: version }),
    }
    if version != VERSION {
        return Err(FormatError::Version { expected, found: version });
    }
    if header[7] != 0 {
        return Err(damaged("header"));
    }
    let (mut length, mut hash) = ([0; 8], [0; 32]);
    length.copy_from_slice(&header[12..20]);
    hash.copy_from_slice(&header[20..HEADER_LEN]);
    match found.cmp(&u64::from_le_bytes(length)) {
        std::cmp::Ordering::Less => Err(damaged("cut off")),
        std::cmp::Ordering::Greater => Err(damaged("bytes after the end")),
        std::cmp::Ordering::Equal => Ok(hash),
    }
}

/// Serialises `value` into a file of this kind.
///
/// # Errors
/// [`FormatError::Malformed`] for a value that has no such form.
pub fn encode<T: Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>, FormatError> {
    let file = postcard::to_extend(value, vec![0; HEADER_LEN])
        .map_err(|e| FormatError::Malformed { expected: kind, what: format!("cannot be written: {e}") })?;
    Ok(head(kind, file))
}

/// Writes the bytes of [`encode`] to an empty file part by part, so that they are never in memory together. Returns how many
/// they are.
///
/// # Errors
/// What the system says of a file that cannot be written; a value that has no such form.
pub fn write<T: Serialize>(kind: Kind, value: &T, file: &mut (impl Write + Seek)) -> io::Result<u64> {
    /// Counts and hashes what it passes on. The serializer says of a failure only that there was one: it is kept in `failed`.
    struct Payload<'f, W> {
        file: &'f mut W,
        failed: &'f Cell<Option<io::Error>>,
        length: u64,
        hash: blake2b_simd::State,
    }

    impl<W: Write> Write for Payload<'_, W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let written = self.file.write(bytes).map_err(|error| {
                let kind = error.kind();
                self.failed.set(Some(error));
                io::Error::from(kind)
            })?;
            self.hash.update(&bytes[..written]);
            self.length += written as u64;
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }

    file.write_all(&[0; HEADER_LEN])?;
    let failed = Cell::new(None);
    let cause = |error| failed.take().unwrap_or(error);
    let payload = Payload { file: &mut *file, failed: &failed, length: 0, hash: hasher(kind as u8, VERSION) };
    let writer = postcard::to_io(value, BufWriter::new(payload)).map_err(|error| cause(io::Error::other(error)))?;
    let Payload { length, hash, .. } = writer.into_inner().map_err(|error| cause(error.into_error()))?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header(kind, length, finished(&hash)))?;
    Ok(HEADER_LEN as u64 + length)
}

/// Reads a file of this kind; every byte must be used. Memory is bounded by a small multiple of the file's size.
///
/// # Errors
/// As [`open`]; [`FormatError::Malformed`] where the payload is no such value, or longer.
pub fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, FormatError> {
    let payload = open(kind, bytes)?;
    let malformed = |what: String| FormatError::Malformed { expected: kind, what };
    let (value, rest) = postcard::take_from_bytes(payload).map_err(|e| malformed(e.to_string()))?;
    if !rest.is_empty() {
        return Err(malformed(format!("{} unread bytes", rest.len())));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        encode(Kind::Model, &vec![1u32, 2, 3]).expect("encodes")
    }

    #[test]
    fn round_trip() {
        assert_eq!(decode::<Vec<u32>>(Kind::Model, &sample()), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn parts_make_the_same_file() {
        for value in [vec![], (0..100_000u32).collect()] {
            let mut file = io::Cursor::new(Vec::new());
            let length = write(Kind::Model, &value, &mut file).expect("writes");
            let bytes = file.into_inner();
            assert_eq!(length, bytes.len() as u64);
            assert_eq!(encode(Kind::Model, &value), Ok(bytes));
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = sample();
        for i in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[i / 8] ^= 1 << (i % 8);
            assert!(decode::<Vec<u32>>(Kind::Model, &bad).is_err(), "bit {i}");
        }
    }

    #[test]
    fn every_length_is_checked() {
        let good = sample();
        for n in 0..good.len() {
            assert!(decode::<Vec<u32>>(Kind::Model, &good[..n]).is_err(), "{n} bytes");
        }
        let long = [good, vec![0]].concat();
        assert!(matches!(decode::<Vec<u32>>(Kind::Model, &long), Err(FormatError::Damaged { .. })));
    }

    #[test]
    fn causes_are_told_apart() {
        let good = sample();
        assert_eq!(open(Kind::Proof, &good), Err(FormatError::WrongKind { expected: Kind::Proof, found: Kind::Model }));
        assert_eq!(open(Kind::Proof, b"GGUF..."), Err(FormatError::Foreign { expected: Kind::Proof }));
        let mut other = good.clone();
        other[8] = 9;
        assert_eq!(open(Kind::Model, &other), Err(FormatError::Version { expected: Kind::Model, found: 9 }));
        let unread = seal(Kind::Model, &[1, 1, 7]);
        assert!(matches!(decode::<Vec<u32>>(Kind::Model, &unread), Err(FormatError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn hostile_payloads_do_not_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<crate::Plan>(Kind::Verifier, &seal(Kind::Verifier, &payload));
        }
    }
}

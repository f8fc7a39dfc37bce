//! Mutations of files: of bytes and numbers anywhere, of the variable-length integers that nanozk's payloads consist
//! of, and of the message tree of a protobuf file.

use crate::protobuf::{Field, Value, parse, varint, write};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

/// Numbers at which readers go wrong.
const EDGES: [u64; 16] =
    [0, 1, 2, 13, 24, 63, 127, 128, 255, 1 << 14, 1 << 16, 1 << 24, (1 << 31) - 1, u32::MAX as u64, 1 << 40, u64::MAX];

/// A setting of a run.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// A uniform index below `n`, which must be positive.
pub fn below(rng: &mut ChaCha20Rng, n: usize) -> usize {
    (rng.next_u64() % n as u64) as usize
}

/// A range of at most `most` bytes in a file of `len` bytes, seldom long.
fn range(rng: &mut ChaCha20Rng, len: usize, most: usize) -> std::ops::Range<usize> {
    let start = below(rng, len + 1);
    let most = if below(rng, 8) == 0 { most } else { most.min(64) };
    start..(start + below(rng, most + 1)).min(len)
}

/// A number near or at an edge.
fn edge(rng: &mut ChaCha20Rng) -> u64 {
    let edge = EDGES[below(rng, EDGES.len())];
    if below(rng, 4) == 0 { edge.wrapping_add(rng.next_u64() % 5).wrapping_sub(2) } else { edge }
}

/// One to four mutations of one file; `others` and `words` give material to splice in.
pub fn mutate(rng: &mut ChaCha20Rng, file: &[u8], others: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=below(rng, 4) {
        once(rng, &mut bytes, others, words);
    }
    bytes
}

fn once(rng: &mut ChaCha20Rng, bytes: &mut Vec<u8>, others: &[Vec<u8>], words: &[&[u8]]) {
    let len = bytes.len();
    if len == 0 {
        bytes.push(rng.next_u32() as u8);
        return;
    }
    let at = below(rng, len);
    match below(rng, 13) {
        0 | 1 => bytes[at] ^= 1 << below(rng, 8),
        2 => bytes[at] = rng.next_u32() as u8,
        3 => bytes[at] = bytes[at].wrapping_add(1).wrapping_sub(2 * (below(rng, 2) as u8)),
        // A fixed-width number.
        4 => {
            let width = (1 << below(rng, 4)).min(len - at);
            bytes[at..at + width].copy_from_slice(&edge(rng).to_le_bytes()[..width]);
        }
        // A variable-length number, as lengths and most values of a payload are.
        5 | 6 => {
            let end = (at..len).find(|&i| bytes[i] < 0x80).map_or(len, |i| i + 1);
            bytes.splice(at..end, varint(edge(rng)));
        }
        7 => drop(bytes.drain(range(rng, len, len))),
        // A section twice.
        8 => {
            let section = bytes[range(rng, len, len)].to_vec();
            bytes.splice(at..at, section);
        }
        9 => {
            let section = bytes[range(rng, len, len)].to_vec();
            let end = (at + section.len()).min(len);
            bytes.splice(at..end, section);
        }
        10 => bytes.truncate(at),
        11 => {
            let other = &others[below(rng, others.len())];
            let part = other[range(rng, other.len(), other.len())].to_vec();
            bytes.splice(range(rng, len, 64), part);
        }
        _ if words.is_empty() => bytes[at] = 0,
        _ => {
            let word = words[below(rng, words.len())];
            let end = at + if below(rng, 2) == 0 { word.len().min(len - at) } else { 0 };
            bytes.splice(at..end, word.iter().copied());
        }
    }
}

/// A mutation of the message tree of a protobuf file, with all lengths made to fit; of the bytes now and then.
pub fn mutate_protobuf(rng: &mut ChaCha20Rng, file: &[u8], others: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let (Some(mut tree), true) = (parse(file, 0), below(rng, 5) > 0) else { return mutate(rng, file, others, words) };
    for _ in 0..=below(rng, 3) {
        let other = parse(&others[below(rng, others.len())], 0).unwrap_or_default();
        change(rng, &mut tree, &other, words);
    }
    let mut out = Vec::new();
    write(&tree, &mut out);
    out
}

/// Goes down to a random message and changes one of its fields.
fn change(rng: &mut ChaCha20Rng, fields: &mut Vec<Field>, other: &[Field], words: &[&[u8]]) {
    if fields.is_empty() {
        fields.extend(other.first().cloned());
        return;
    }
    let (at, to) = (below(rng, fields.len()), below(rng, fields.len()));
    let (number, down) = (fields[at].number, below(rng, 6) > 0);
    if let (Value::Message(inner), true) = (&mut fields[at].value, down) {
        let part = other.iter().find_map(|f| match &f.value {
            Value::Message(m) if f.number == number => Some(m.as_slice()),
            _ => None,
        });
        return change(rng, inner, part.unwrap_or(other), words);
    }
    match below(rng, 6) {
        0 => drop(fields.remove(at)),
        1 => fields.insert(to, fields[at].clone()),
        2 => fields.swap(at, to),
        3 if !other.is_empty() => fields[at] = other[below(rng, other.len())].clone(),
        _ => match &mut fields[at].value {
            Value::Varint(value) => *value = edge(rng),
            Value::Fixed(bytes) | Value::Bytes(bytes) => {
                let mut changed = bytes.clone();
                once(rng, &mut changed, std::slice::from_ref(bytes), words);
                if matches!(fields[at].value, Value::Bytes(_)) {
                    fields[at].value = Value::Bytes(changed);
                }
            }
            Value::Message(_) => fields[at].number = 1 + below(rng, 20) as u64,
        },
    }
}

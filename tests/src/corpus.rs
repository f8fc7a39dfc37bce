//! Forged files with the verdict on each, for verifiers in other languages: `tests/corpus`.
//!
//! A file is kept as pieces of the payloads of a few honest files, with the bytes that stand in none of them.

use crate::fixture::lenient;
use nanozk_audit::Challenge;
use nanozk_plan::format::{FormatError, Kind, seal};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::error::LayerError;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::verify::{VerifyError, VerifyOptions, verify_audited};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Bytes that a piece has at least.
const WINDOW: usize = 12;
/// Cases of one kind that are kept.
const OF_A_KIND: usize = 4;
/// Bytes of the header before a payload.
const HEADER: usize = nanozk_plan::format::HEADER_LEN;

/// A part of a payload: a stretch of an honest one, by name, first byte and length, or bytes in hexadecimal digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Piece {
    /// Part of the payload of this name.
    Copy(String, usize, usize),
    /// Bytes.
    Bytes(String),
}

/// The check that a file fails, as all verifiers name it, and the layer where it is one of a layer. Neither where the proof
/// is accepted for the whole model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<u32>,
}

/// A verifier file and a proof with the verdict on them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// What was forged.
    pub name: String,
    /// Payload of the verifier file.
    pub verifier: Vec<Piece>,
    /// Payload of the proof.
    pub proof: Vec<Piece>,
    /// The challenge that the proof is to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// The verdict.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Bits of the proof `single.proof` that are flipped one at a time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flips {
    /// The verdicts that occur.
    pub outcomes: Vec<Outcome>,
    /// Byte of the payload, bit, and place of the verdict among them.
    pub flips: Vec<(usize, u8, usize)>,
}

/// The honest files and the forged ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Corpus {
    /// All cases.
    pub cases: Vec<Case>,
    /// Flipped bits.
    pub flips: Flips,
    #[serde(skip)]
    payloads: Vec<(String, Vec<u8>)>,
    #[serde(skip)]
    windows: HashMap<[u8; WINDOW], (usize, usize)>,
    #[serde(skip)]
    kinds: HashMap<String, usize>,
}

/// The verdict on a proof file of a verifier that insists on all layers and nothing else.
pub fn verdict(key: &VerifierKey, proof: &[u8]) -> Outcome {
    match Bundle::from_bytes(proof) {
        Ok(bundle) => lenient(key, &bundle).map_or_else(Outcome::from, |_| Outcome::default()),
        Err(error) => error.into(),
    }
}

/// The verdict on a proof file that is to answer a challenge.
pub fn audited(key: &VerifierKey, proof: &[u8], challenge: &str) -> Outcome {
    let challenge: Challenge = serde_json::from_str(challenge).unwrap();
    let (Ok(drawn), Ok(bundle)) = (challenge.check(), Bundle::from_bytes(proof)) else {
        return Outcome::of("challenge");
    };
    let options = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
    verify_audited(key, &bundle, &options, &drawn).map_or_else(Outcome::from, |_| Outcome::default())
}

/// `tests/corpus`.
pub fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

impl Corpus {
    /// The corpus that is kept.
    pub fn read() -> Self {
        let mut corpus: Corpus = serde_json::from_slice(&std::fs::read(dir().join("cases.json")).unwrap()).unwrap();
        for entry in std::fs::read_dir(dir()).unwrap() {
            let path = entry.unwrap().path();
            if let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".nanozk") {
                corpus.payloads.push((name.into(), std::fs::read(&path).unwrap().split_off(HEADER)));
            }
        }
        corpus
    }

    /// Adds an honest file.
    pub fn keep(&mut self, name: &str, file: &[u8]) {
        let payload = file[HEADER..].to_vec();
        for (at, window) in payload.windows(WINDOW).enumerate() {
            self.windows.entry(window.try_into().unwrap()).or_insert((self.payloads.len(), at));
        }
        self.payloads.push((name.into(), payload));
    }

    /// Adds a forged pair of files, unless there are enough of its kind: of its name without digits at the end.
    pub fn note(&mut self, name: &str, [verifier, proof]: [&[u8]; 2], challenge: Option<String>, outcome: Outcome) {
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned();
        let count = self.kinds.entry(kind).or_default();
        *count += 1;
        if *count <= OF_A_KIND {
            let (verifier, proof) = (self.pieces(&verifier[HEADER..]), self.pieces(&proof[HEADER..]));
            self.cases.push(Case { name: name.into(), verifier, proof, challenge, outcome });
        }
    }

    /// Writes files and cases.
    pub fn write(&self) {
        std::fs::create_dir_all(dir()).unwrap();
        for (name, payload) in &self.payloads {
            let kind = if name.ends_with(".verifier") { Kind::Verifier } else { Kind::Proof };
            std::fs::write(dir().join(format!("{name}.nanozk")), seal(kind, payload)).unwrap();
        }
        // One case on a line.
        let cases: Vec<String> = self.cases.iter().map(|case| serde_json::to_string(case).unwrap()).collect();
        let flips = serde_json::to_string(&self.flips).unwrap();
        let text = format!("{{\"cases\":[\n{}\n],\n\"flips\":{flips}}}\n", cases.join(",\n"));
        std::fs::write(dir().join("cases.json"), text).unwrap();
    }

    /// A payload as pieces, the longest that a greedy search finds.
    fn pieces(&self, payload: &[u8]) -> Vec<Piece> {
        let (mut out, mut bytes, mut at) = (Vec::new(), String::new(), 0);
        while at < payload.len() {
            let window: Option<&[u8; WINDOW]> = payload[at..].first_chunk();
            let found = window.and_then(|window| self.windows.get(window));
            let Some(&(file, start)) = found else {
                bytes += &format!("{:02x}", payload[at]);
                at += 1;
                continue;
            };
            let (name, source) = &self.payloads[file];
            let same = source[start..].iter().zip(&payload[at..]).take_while(|(a, b)| a == b).count();
            if !bytes.is_empty() {
                out.push(Piece::Bytes(std::mem::take(&mut bytes)));
            }
            out.push(Piece::Copy(name.clone(), start, same));
            at += same;
        }
        if !bytes.is_empty() {
            out.push(Piece::Bytes(bytes));
        }
        out
    }

    /// The file that consists of these pieces.
    pub fn file(&self, kind: Kind, pieces: &[Piece]) -> Vec<u8> {
        let part = |piece: &Piece| match piece {
            Piece::Copy(name, start, len) => self.payload(name)[*start..start + len].to_vec(),
            Piece::Bytes(digits) => {
                let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
                (0..digits.len() / 2).map(byte).collect()
            }
        };
        seal(kind, &pieces.iter().flat_map(part).collect::<Vec<u8>>())
    }

    /// The payload of an honest file.
    pub fn payload(&self, name: &str) -> &[u8] {
        &self.payloads.iter().find(|(other, _)| other == name).unwrap().1
    }
}

impl Flips {
    /// Adds a flipped bit.
    pub fn note(&mut self, at: usize, bit: u8, outcome: Outcome) {
        let place = self.outcomes.iter().position(|other| *other == outcome).unwrap_or_else(|| {
            self.outcomes.push(outcome);
            self.outcomes.len() - 1
        });
        self.flips.push((at, bit, place));
    }
}

impl Outcome {
    fn of(check: &str) -> Self {
        Outcome { check: Some(check.into()), layer: None }
    }
}

impl From<FormatError> for Outcome {
    fn from(error: FormatError) -> Self {
        Outcome::of(match error {
            FormatError::Foreign { .. } => "foreign",
            FormatError::WrongKind { .. } => "wrong-kind",
            FormatError::Version { .. } => "version",
            FormatError::Damaged { .. } => "damaged",
            FormatError::Malformed { .. } => "unreadable",
        })
    }
}

impl From<VerifyError> for Outcome {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::ModelId { .. } => Outcome::of("model-id"),
            VerifyError::OtherModel { .. } => Outcome::of("other-model"),
            VerifyError::Nonce => Outcome::of("nonce"),
            VerifyError::DrawnNonce => Outcome::of("drawn-nonce"),
            VerifyError::UnsafeSrs => Outcome::of("unsafe-srs"),
            VerifyError::Key(_) => Outcome::of("key"),
            VerifyError::Mismatch(_) => Outcome::of("mismatch"),
            VerifyError::Empty => Outcome::of("empty"),
            VerifyError::Partial { .. } => Outcome::of("partial"),
            VerifyError::OtherChallenge { .. } => Outcome::of("other-challenge"),
            VerifyError::OtherCommitment { .. } => Outcome::of("other-commitment"),
            VerifyError::OtherLayers { .. } => Outcome::of("other-layers"),
            VerifyError::Answer(_) => Outcome::of("answer"),
            VerifyError::Layer { index, error } => {
                let check = match error {
                    LayerError::Malformed(_) => "layer-malformed",
                    LayerError::TrailingBytes => "layer-trailing",
                    LayerError::Mismatch(_) => "layer-mismatch",
                    LayerError::Weights => "layer-weights",
                    LayerError::Rejected(_) => "layer-rejected",
                };
                Outcome { layer: Some(index), ..Outcome::of(check) }
            }
        }
    }
}

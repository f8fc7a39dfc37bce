//! `nanozk verify`: the verdict over a proof, with its scope.

use crate::answer::{AnswerReport, Prompt, tokenizer};
use crate::audit::files::{self, Recorded};
use crate::compare;
use crate::shown::Shown;
use crate::{Error, Refusal, Result, hex, keys, srs, storage};
use nanozk_audit::{Challenge, Drawn, Randomness};
use nanozk_compiler::tokenizer::Tokenizer;
use nanozk_proof::answer::{Ended, Transcript};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
pub use nanozk_proof::verify::VerifyOptions;
use nanozk_proof::verify::{
    AuditedVerdict, Basis, PartialVerdict, Verdict, VerifyError, verify as verify_model, verify_audited, verify_layers,
};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What to verify.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Verifier file.
    pub verifier: PathBuf,
    /// Proof file.
    pub proof: PathBuf,
    /// What the verifier insists on.
    pub options: VerifyOptions,
    /// Whether a proof of some layers will do.
    pub allow_partial: bool,
    /// Challenge that was drawn for the answer: the proof must be of its layers, and will do.
    pub challenge: Option<PathBuf>,
    /// Input that was sent: the proof must be of it.
    pub input: Option<PathBuf>,
    /// Output that was received: the proof must be of it.
    pub output: Option<PathBuf>,
    /// Prompt that was sent: the proof must be of the model's answer to it.
    pub prompt: Option<Prompt>,
    /// Most tokens that the answer was to have.
    pub max_new: Option<u32>,
    /// Temperature at which it was to be drawn; 0 for greedy choices.
    pub temperature: Option<f64>,
    /// Tokenizer of the model, to read and write texts.
    pub tokenizer: Option<PathBuf>,
}

/// The verdict and what it covers.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// Whether everything that was asked for holds: the proof, all layers or some as the caller allows or drew, and the
    /// values that it was compared with.
    pub verified: bool,
    /// Whether it holds for the model as a whole, all layers of it.
    pub full: bool,
    /// What the layers were drawn by, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audited: Option<Audited>,
    /// Why not: `cause; way out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
    /// Time to check, without reading the files.
    pub verify_seconds: f64,
    /// Time to read the verifier file and the proof.
    pub read_seconds: f64,
    /// Number of layers proven.
    pub layers_covered: usize,
    /// Number of layers of the model.
    pub layers_total: usize,
    /// Indices of the layers proven.
    pub layers: Vec<u32>,
    /// Id of the verifier file's model.
    pub model_id: String,
    /// Whether the caller named the model id that was expected.
    pub model_id_checked: bool,
    /// Whether the verifier file was checked too: weights in range, tables as stated, keys those of the plans.
    pub weights_checked: bool,
    /// Challenge that the proof is bound to.
    pub nonce: String,
    /// True when the SRS matches no known ceremony.
    pub unsafe_srs: bool,
    /// Ceremony of the SRS, if it is a known one.
    pub ceremony: Option<&'static str>,
    /// The least of the two below.
    pub soundness_bits: f64,
    /// `-log2` of the probability that challenges let a false statement pass.
    pub statistical_bits: f64,
    /// Work to break the assumptions on curve and SRS, log2.
    pub computational_bits: f64,
    /// The parts, as text.
    #[serde(skip)]
    soundness: String,
    /// True number of tokens; what lies beyond is not part of the statement.
    pub length: u32,
    /// Whether the inputs were compared with a file.
    pub input_checked: bool,
    /// Whether the outputs were compared with a file.
    pub output_checked: bool,
    /// Number of tokens that the model takes.
    pub tokens: u32,
    /// Model inputs; none when the proof does not hold.
    pub input: Vec<Shown>,
    /// Model outputs; none when the proof does not hold. Of an audit, those that were committed to.
    pub output: Vec<Shown>,
    /// The answer that the proof shows to be the model's, or the audit to be committed to; none when the proof does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerReport>,
    /// Size of the proof without public values.
    pub proof_bytes: usize,
}

/// What a challenged proof shows beyond its layers.
#[derive(Clone, Debug, Serialize)]
pub struct Audited {
    /// Layers drawn and proven.
    pub drawn: usize,
    /// Layers of the model.
    pub total: usize,
    /// Least probability with which one wrong layer, whichever it is, would have been drawn.
    pub caught: f64,
    /// Hash of the commitment that the layers were drawn for.
    pub commitment: String,
    /// What was drawn from, in words.
    pub source: String,
    /// Whether that is a beacon: then the verdict holds only if the commitment was received before its value existed.
    pub beacon: bool,
    /// When, as RFC 3339 writes it.
    pub drawn_at: String,
    /// When the same proof answered the challenge first, if it did before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_verified: Option<String>,
}

/// Verifies a proof file with a verifier file. An unreadable file is an error, a proof that does not hold a report.
///
/// # Errors
/// Files that cannot be read or are of no use. Why a proof is refused stands in the report.
pub fn verify(request: &Request) -> Result<VerifyReport> {
    let start = Instant::now();
    let (key, proof) = rayon::join(|| keys::read_verifier(&request.verifier), || read_proof(&request.proof));
    let (key, (file, bundle)) = (key?, proof?);
    let challenge = request.challenge.as_deref().map(files::read_challenge).transpose()?;
    let tokenizer = request.tokenizer.as_ref().map(|path| tokenizer(path, &key.text)).transpose()?;
    let mut report = describe(&key, &bundle, &request.options);
    report.read_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let scope = check(&key, &bundle, request, challenge.as_ref());
    report.verify_seconds = start.elapsed().as_secs_f64();
    let refused = match scope {
        Ok(scope) => {
            accept(&mut report, &key, &bundle, &scope);
            let difference = answered(scope.transcript.as_ref(), request, tokenizer.as_ref())?;
            let answer = scope.transcript.map(|answer| AnswerReport::new(answer, tokenizer.as_ref()));
            report.answer = answer.transpose()?;
            let difference = match difference {
                None => differences(&mut report, &key, &bundle, request)?,
                difference => difference,
            };
            match (&request.challenge, &mut report.audited, difference) {
                (Some(path), Some(audited), None) => used(path, &file, audited)?,
                (.., difference) => difference,
            }
        }
        Err(error) => Some(Refusal::new(&error, error.way_out())),
    };
    if let Some(error) = refused {
        report = VerifyReport { read_seconds: report.read_seconds, ..describe(&key, &bundle, &request.options) };
        report.error = Some(error);
    }
    Ok(report)
}

/// The bytes of a proof file, and what they hold.
fn read_proof(path: &Path) -> Result<(Vec<u8>, Bundle)> {
    let file = storage::read(path)?;
    let bundle = Bundle::from_bytes(&file).map_err(Error::format(path))?;
    Ok((file, bundle))
}

/// What a proof was found to cover.
struct Scope {
    basis: Basis,
    layers: Vec<u32>,
    /// Tensors that it speaks of; all when absent.
    tensors: Option<BTreeSet<u32>>,
    /// What the layers were drawn by.
    audited: Option<Audited>,
    /// The answer that it claims.
    transcript: Option<Transcript>,
}

fn check(
    key: &VerifierKey,
    bundle: &Bundle,
    request: &Request,
    challenge: Option<&(Challenge, Drawn)>,
) -> std::result::Result<Scope, VerifyError> {
    if let Some((challenge, drawn)) = challenge {
        let AuditedVerdict { layers, total, caught, transcript, basis } =
            verify_audited(key, bundle, &request.options, drawn)?;
        let audited = Audited {
            drawn: layers.len(),
            total,
            caught,
            commitment: challenge.commitment.to_string(),
            source: challenge.randomness.to_string(),
            beacon: matches!(challenge.randomness, Randomness::Beacon { .. }),
            drawn_at: files::utc(challenge.drawn_at),
            first_verified: None,
        };
        return Ok(Scope { basis, layers, tensors: None, audited: Some(audited), transcript });
    }
    if !request.allow_partial || bundle.layers.len() >= key.layers.len() {
        let Verdict { basis, transcript } = verify_model(key, bundle, &request.options)?;
        let layers = (0..key.layers.len() as u32).collect();
        return Ok(Scope { basis, layers, tensors: None, audited: None, transcript });
    }
    let PartialVerdict { layers, tensors, basis } = verify_layers(key, bundle, &request.options)?;
    Ok(Scope { basis, layers, tensors: Some(tensors), audited: None, transcript: None })
}

/// Records in the challenge that the proof `file` answered it. The refusal, if another did before.
fn used(challenge: &Path, file: &[u8], audited: &mut Audited) -> Result<Option<Refusal>> {
    match files::record(challenge, files::proof_digest(file))? {
        Recorded::First => Ok(None),
        Recorded::Again(at) => {
            audited.first_verified = Some(files::utc(at));
            Ok(None)
        }
        Recorded::Other(at) => Ok(Some(Refusal::new(
            format!("another proof answered this challenge at {}, and one is enough", files::utc(at)),
            "draw another for another commitment",
        ))),
    }
}

/// Compares the answer that the proof shows with what the caller asked for. What differs, if anything does.
fn answered(
    transcript: Option<&Transcript>,
    request: &Request,
    tokenizer: Option<&Tokenizer>,
) -> Result<Option<Refusal>> {
    if request.prompt.is_none() && request.max_new.is_none() && request.temperature.is_none() {
        return Ok(None);
    }
    let differs = |what: String| Ok(Some(Refusal::new(what, "the proof is of another answer; ask again")));
    let Some(Transcript { prompt, answer, ended, temperature }) = transcript else {
        return differs("the proof shows no answer".into());
    };
    if let Some(sent) = &request.prompt
        && sent.tokens(tokenizer)? != *prompt
    {
        return differs(format!("the proof is of another prompt, of {} tokens", prompt.len()));
    }
    let temperature = f64::from(*temperature) / 1000.0;
    if request.temperature.is_some_and(|asked| asked != temperature) {
        return differs(format!("the answer is of temperature {temperature}"));
    }
    match request.max_new {
        Some(limit) if *ended == Ended::Limit && answer.len() as u64 != u64::from(limit) => {
            differs(format!("the answer stops at a limit of {} tokens, not of {limit}", answer.len()))
        }
        Some(limit) if answer.len() as u64 > u64::from(limit) => {
            differs(format!("the answer has {} tokens, more than {limit}", answer.len()))
        }
        _ => Ok(None),
    }
}

/// Compares the statement with the values that the caller has. What differs, if anything does.
fn differences(
    report: &mut VerifyReport,
    key: &VerifierKey,
    bundle: &Bundle,
    request: &Request,
) -> Result<Option<Refusal>> {
    if let Some(path) = &request.input {
        if let Some(difference) = compare::input(key, bundle, &report.input, path)? {
            return Ok(Some(difference));
        }
        report.input_checked = true;
    }
    if let Some(path) = &request.output {
        if let Some(difference) = compare::output(&report.output, path)? {
            return Ok(Some(difference));
        }
        report.output_checked = true;
    }
    Ok(None)
}

/// What the files claim, nothing verified yet.
fn describe(key: &VerifierKey, bundle: &Bundle, options: &VerifyOptions) -> VerifyReport {
    let ceremony = key.srs.ceremony().map(|c| c.name);
    VerifyReport {
        verified: false,
        full: false,
        audited: None,
        error: None,
        verify_seconds: 0.0,
        read_seconds: 0.0,
        layers_covered: 0,
        layers_total: key.layers.len(),
        layers: Vec::new(),
        model_id: hex(&key.model_id()),
        model_id_checked: options.model_id.is_some(),
        weights_checked: false,
        nonce: hex(&bundle.nonce),
        unsafe_srs: ceremony.is_none(),
        ceremony,
        soundness_bits: 0.0,
        statistical_bits: 0.0,
        computational_bits: 0.0,
        soundness: String::new(),
        length: bundle.length,
        input_checked: false,
        output_checked: false,
        tokens: key.tokens,
        input: Vec::new(),
        output: Vec::new(),
        answer: None,
        proof_bytes: bundle.proof_bytes(),
    }
}

fn accept(report: &mut VerifyReport, key: &VerifierKey, bundle: &Bundle, scope: &Scope) {
    let Basis { budget, weights_checked, .. } = &scope.basis;
    report.verified = true;
    report.full = scope.layers.len() == key.layers.len();
    report.audited.clone_from(&scope.audited);
    report.weights_checked = *weights_checked;
    report.layers_covered = scope.layers.len();
    report.layers.clone_from(&scope.layers);
    report.statistical_bits = budget.statistical_bits;
    report.computational_bits = budget.computational_bits();
    report.soundness_bits = budget.soundness_bits();
    report.soundness = budget.to_string();
    let stated = |tensor: u32| scope.tensors.as_ref().is_none_or(|tensors| tensors.contains(&tensor));
    let unread = |tensor| (!stated(tensor)).then_some("no proven layer reads it");
    let unwritten = |tensor| (!stated(tensor)).then_some("no proven layer writes it");
    report.input = Shown::of_bundle(key, bundle, &key.inputs, unread);
    report.output = Shown::of_bundle(key, bundle, &key.outputs, unwritten);
}

impl std::fmt::Display for Audited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "AUDITED {} of {} layers: one wrong layer is caught with probability {:.4}; full only with all layers",
            self.drawn, self.total, self.caught
        )
    }
}

impl std::fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.verified {
            writeln!(f, "NOT VERIFIED")?;
            writeln!(f, "model id   {}", self.model_id)?;
            return write!(f, "SRS        {}", srs::origin(self.ceremony));
        }
        let (verdict, partial) = match (self.full, &self.audited) {
            (true, _) => ("VERIFIED".to_owned(), ""),
            (false, Some(audited)) => (audited.to_string(), "; the others are unproven"),
            (false, None) => {
                ("PARTIAL: some layers verified, nothing follows for the model".to_owned(), "; the others are unproven")
            }
        };
        writeln!(f, "{verdict} ({:.1} ms)", self.verify_seconds * 1e3)?;
        let checked = if self.model_id_checked { "as expected" } else { "compare it with the id you expect" };
        writeln!(f, "model id   {} ({checked})", self.model_id)?;
        writeln!(f, "layers     {} of {}{partial}", self.layers_covered, self.layers_total)?;
        if let Some(audited) = &self.audited {
            writeln!(f, "commitment {}", audited.commitment)?;
            writeln!(f, "drawn      from {}, at {}", audited.source, audited.drawn_at)?;
            if !self.full {
                writeln!(f, "           input and output below are those committed to, right if all layers are")?;
            }
            if audited.beacon {
                writeln!(f, "           holds if the commitment was received before the value of the beacon existed")?;
            }
            if let Some(first) = &audited.first_verified {
                writeln!(f, "again      this proof answered the challenge before, at {first}; it counts once")?;
            }
        }
        let weights = match self.weights_checked {
            true => "in range; tables and keys as the file says",
            false => "not checked now; `nanozk check` does it once",
        };
        writeln!(f, "weights    {weights}")?;
        if !self.nonce.is_empty() {
            writeln!(f, "nonce      {}", self.nonce)?;
        }
        match &self.answer {
            Some(answer) if self.full => writeln!(f, "{answer}")?,
            Some(answer) => writeln!(f, "{answer:#}")?,
            None => {}
        }
        writeln!(f, "tokens     {} of {}", self.length, self.tokens)?;
        let ends = [("input ", &self.input, self.input_checked), ("output", &self.output, self.output_checked)];
        for (what, tensors, checked) in ends {
            tensors.iter().try_for_each(|tensor| writeln!(f, "{what}     {tensor}"))?;
            if checked {
                writeln!(f, "           as in the file that you gave")?;
            }
        }
        writeln!(f, "SRS        {}", srs::origin(self.ceremony))?;
        writeln!(f, "soundness  {}", self.soundness)?;
        write!(f, "size       {} proof bytes", self.proof_bytes)
    }
}

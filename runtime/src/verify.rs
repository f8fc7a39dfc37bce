//! `nanozk verify`: the verdict over a proof, with its scope.

use crate::error::with_way_out;
use crate::shown::Shown;
use crate::{Error, Result, hex, keys, srs, storage};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::{Endpoint, VerifierKey};
use nanozk_proof::srs::known_ceremony;
pub use nanozk_proof::verify::VerifyOptions;
use nanozk_proof::verify::{Verdict, verify as check};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// The verdict and what it covers.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// Whether everything that the proof carries holds.
    pub verified: bool,
    /// Why not: `cause; way out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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
    /// Model inputs; none when the proof does not hold.
    pub input: Vec<Shown>,
    /// Model outputs; none when the proof does not hold.
    pub output: Vec<Shown>,
    /// Size of the proof without public values.
    pub proof_bytes: usize,
}

/// Verifies a proof file with a verifier file. An unreadable file is an error, a proof that does not hold a report.
pub fn verify(verifier: &Path, proof: &Path, options: &VerifyOptions) -> Result<VerifyReport> {
    let start = Instant::now();
    let key = keys::read_verifier(verifier)?;
    let bundle = Bundle::from_bytes(&storage::read(proof)?).map_err(Error::format(proof))?;
    let read_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let verdict = check(&key, &bundle, options);
    let verify_seconds = start.elapsed().as_secs_f64();
    let mut report = describe(&key, &bundle, options);
    report.read_seconds = read_seconds;
    report.verify_seconds = verify_seconds;
    match verdict {
        Ok(verdict) => {
            accept(&mut report, &verdict);
            let shown = |endpoints: &[Endpoint]| Shown::of_bundle(&key, &bundle, endpoints, |_| None);
            (report.input, report.output) = (shown(&key.inputs), shown(&key.outputs));
        }
        Err(error) => report.error = Some(with_way_out(error.to_string(), "do not rely on this output")),
    }
    Ok(report)
}

/// What the files claim, nothing verified yet.
fn describe(key: &VerifierKey, bundle: &Bundle, options: &VerifyOptions) -> VerifyReport {
    let ceremony = known_ceremony(key.srs.id());
    VerifyReport {
        verified: false,
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
        input: Vec::new(),
        output: Vec::new(),
        proof_bytes: bundle.proof_bytes(),
    }
}

fn accept(report: &mut VerifyReport, verdict: &Verdict) {
    let budget = &verdict.budget;
    report.verified = true;
    report.weights_checked = verdict.weights_checked;
    report.layers_covered = verdict.layers.len();
    report.layers.clone_from(&verdict.layers);
    report.statistical_bits = budget.statistical_bits;
    report.computational_bits = budget.computational_bits();
    report.soundness_bits = budget.soundness_bits();
    report.soundness = budget.to_string();
}

impl std::fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.verified {
            writeln!(f, "NOT VERIFIED")?;
            writeln!(f, "model id   {}", self.model_id)?;
            return write!(f, "SRS        {}", srs::origin(self.ceremony));
        }
        let partial =
            if self.layers_covered < self.layers_total { " PARTIAL: the other layers are unproven" } else { "" };
        writeln!(f, "VERIFIED in {:.1} ms", self.verify_seconds * 1e3)?;
        let checked = if self.model_id_checked { "as expected" } else { "compare it with the id you expect" };
        writeln!(f, "model id   {} ({checked})", self.model_id)?;
        writeln!(f, "layers     {} of {}{partial}", self.layers_covered, self.layers_total)?;
        let weights = match self.weights_checked {
            true => "in range; tables and keys as the file says",
            false => "not checked now; `nanozk check` does it once",
        };
        writeln!(f, "weights    {weights}")?;
        if !self.nonce.is_empty() {
            writeln!(f, "nonce      {}", self.nonce)?;
        }
        writeln!(f, "tokens     {}", self.length)?;
        for (what, tensors) in [("input ", &self.input), ("output", &self.output)] {
            for tensor in tensors {
                writeln!(f, "{what}     {tensor}")?;
            }
        }
        writeln!(f, "SRS        {}", srs::origin(self.ceremony))?;
        writeln!(f, "soundness  {}", self.soundness)?;
        write!(f, "size       {} proof bytes", self.proof_bytes)
    }
}

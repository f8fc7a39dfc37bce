//! `nanozk generate`: an answer to a prompt, written by the integer model, with one proof of all of it.

use crate::answer::AnswerReport;
use crate::commit::Statement;
use crate::decoding::{Answered, Asked};
use crate::keys;
use crate::prove::{self, Job, ProveReport};
use crate::storage::{self, KeyDir};
use crate::{Progress, Result};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// What to answer and how to prove it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Directory made by setup.
    pub keys: PathBuf,
    /// What to answer.
    pub asked: Asked,
    /// Proof file to write.
    pub out: PathBuf,
    /// Verifier's challenge.
    pub nonce: Option<Vec<u8>>,
    /// Whether an answer that saturates values is refused.
    pub strict: bool,
    /// As in [`crate::prove::Request`].
    pub memory: Option<u64>,
}

/// The answer and its proof.
#[derive(Clone, Debug, Serialize)]
pub struct GenerateReport {
    /// The answer.
    pub answer: AnswerReport,
    /// Time to write it, before it was proven.
    pub generate_seconds: f64,
    /// Its proof.
    #[serde(flatten)]
    pub proof: ProveReport,
}

/// Answers a prompt token by token and proves the whole transcript at once.
///
/// # Errors
/// As [`Asked::answer`] and [`prove::run`].
pub fn generate(request: &Request, progress: &dyn Progress) -> Result<GenerateReport> {
    let start = Instant::now();
    storage::check_writable(&request.out)?;
    progress.stage("reading keys", 1);
    let keys = keys::read(&KeyDir::new(&request.keys))?;
    let nonce = request.nonce.as_deref().unwrap_or_default();
    let answered = request.asked.answer(&keys, nonce, progress)?;
    let Answered { ref input, length, claim, .. } = answered;
    let statement = Statement { input, length, answer: Some(claim), nonce };
    let Request { strict, memory, out, .. } = request;
    let (strict, memory) = (*strict, *memory);
    let job = Job { keys: &keys, statement, layers: None, strict, memory, out, start };
    let proof = prove::run(&job, progress)?;
    Ok(GenerateReport { generate_seconds: answered.seconds, answer: answered.report()?, proof })
}

impl std::fmt::Display for GenerateReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.answer)?;
        writeln!(f, "written    {:.2} s", self.generate_seconds)?;
        writeln!(f)?;
        write!(f, "{}", self.proof)
    }
}

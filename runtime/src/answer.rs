//! Prompts and answers in reports, as tokens and as text.

use crate::{Error, Result};
use nanozk_compiler::error::CompileError;
use nanozk_compiler::tokenizer::Tokenizer;
use nanozk_plan::Text;
use nanozk_proof::answer::{Ended, Transcript};
use nanozk_proof::verify::hex;
use serde::Serialize;
use std::path::Path;

/// A prompt as the user has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// For the tokenizer.
    Text(String),
    /// Ids.
    Tokens(Vec<u32>),
}

impl Prompt {
    /// The tokens.
    ///
    /// # Errors
    /// A text without tokenizer, or one that the tokenizer cannot read.
    pub fn tokens(&self, tokenizer: Option<&Tokenizer>) -> Result<Vec<u32>> {
        match (self, tokenizer) {
            (Prompt::Tokens(tokens), _) => Ok(tokens.clone()),
            (Prompt::Text(text), Some(tokenizer)) => Ok(tokenizer.encode(text).map_err(CompileError::from)?),
            (Prompt::Text(_), None) => Err(Error::refused(
                "a prompt of text needs the model's tokenizer",
                "name it with `--tokenizer tokenizer.json`, or give token ids with `--tokens`",
            )),
        }
    }
}

/// Reads the tokenizer that the model id names.
///
/// # Errors
/// No tokenizer, or another one than the publisher's.
pub fn tokenizer(path: &Path, text: &Text) -> Result<Tokenizer> {
    let tokenizer = Tokenizer::load(path).map_err(CompileError::from)?;
    match text.tokenizer {
        Some(digest) if digest == tokenizer.digest => Ok(tokenizer),
        Some(digest) => Err(Error::refused(
            format!("{}: this tokenizer is not the one that the model id names", path.display()),
            format!("get the file with BLAKE2b-256 {}", hex(&digest)),
        )),
        None => Err(Error::refused(
            format!("{}: the model id names no tokenizer, so texts mean nothing", path.display()),
            "compile the model with `--tokenizer`, or use token ids",
        )),
    }
}

/// An answer that was generated or verified.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerReport {
    /// Tokens of the prompt.
    pub prompt: Vec<u32>,
    /// Tokens of the answer, each the model's greedy choice, or drawn.
    pub tokens: Vec<u32>,
    /// Temperature at which they are drawn; 0 for greedy choices.
    pub temperature: f64,
    /// Why it has no more.
    pub ended: Ended,
    /// The prompt as text, with a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_text: Option<String>,
    /// The answer as text, with a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl AnswerReport {
    /// What was claimed, with its text.
    ///
    /// # Errors
    /// Tokens that the tokenizer does not have.
    pub fn new(transcript: Transcript, tokenizer: Option<&Tokenizer>) -> Result<Self> {
        let Transcript { prompt, answer: tokens, ended, temperature } = transcript;
        let text = |tokens: &[u32]| tokenizer.map(|t| t.decode(tokens)).transpose().map_err(CompileError::from);
        let temperature = f64::from(temperature) / 1000.0;
        Ok(AnswerReport { prompt_text: text(&prompt)?, text: text(&tokens)?, prompt, tokens, temperature, ended })
    }
}

/// The alternate form is that of an answer which its provider committed to and some layers were proven of.
impl std::fmt::Display for AnswerReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ended = match self.ended {
            Ended::EndOfSequence => "to the token that ends it",
            Ended::Limit => "to a limit of that many",
            Ended::Context => "to the last that the model takes",
        };
        let part = |text: &Option<String>, tokens: &[u32]| match text {
            // Line breaks of a text must not look like lines of the report.
            Some(text) => format!("{text:?}"),
            None => tokens.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        writeln!(f, "prompt     {} ({} tokens)", part(&self.prompt_text, &self.prompt), self.prompt.len())?;
        writeln!(f, "answer     {} ({} tokens, {ended})", part(&self.text, &self.tokens), self.tokens.len())?;
        let claimed = if f.alternate() { "claimed, not proven: " } else { "" };
        match self.temperature {
            0.0 => write!(f, "           {claimed}every token of the answer is the model's greedy choice"),
            t => write!(
                f,
                "           {claimed}every token of the answer is drawn from the model's scores at temperature {t}, with noise that \
                 follows from the model, the nonce and the prompt"
            ),
        }
    }
}

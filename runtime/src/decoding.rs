//! Decoding: a language model writes an answer token by token, each the likeliest or drawn at a temperature.

use crate::answer::{AnswerReport, Prompt, tokenizer};
use crate::keys::ProverKeys;
use crate::{Error, Progress, Result};
use nanozk_compiler::tokenizer::Tokenizer;
use nanozk_ir::int::{Held, Model, gumbel, interp};
use nanozk_plan::Text;
use nanozk_proof::answer::{AnswerError, Ended, Transcript, Writer, check_temperature};
use nanozk_proof::bundle::Answer;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::sampling::Noise;
use std::path::PathBuf;
use std::time::Instant;

/// What to answer.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The prompt.
    pub prompt: Prompt,
    /// Most tokens of the answer.
    pub max_new: u32,
    /// Temperature at which each token is drawn; absent: the likeliest is taken.
    pub temperature: Option<f64>,
    /// Tokenizer of the model.
    pub tokenizer: Option<PathBuf>,
}

/// An answer that nothing is proven of yet.
pub struct Answered {
    transcript: Transcript,
    tokenizer: Option<Tokenizer>,
    /// What the model read, as in [`crate::commit::Statement`].
    pub input: Vec<Vec<i64>>,
    /// True number of tokens.
    pub length: u32,
    /// What a proof claims.
    pub claim: Answer,
    /// Time to write it.
    pub seconds: f64,
}

impl Answered {
    /// The answer, with its text.
    ///
    /// # Errors
    /// Tokens that the tokenizer does not have.
    pub fn report(self) -> Result<AnswerReport> {
        AnswerReport::new(self.transcript, self.tokenizer.as_ref())
    }
}

impl Asked {
    /// Lets the model write the answer, token by token.
    ///
    /// # Errors
    /// A model that writes none, or not at this temperature; a prompt that it cannot read.
    pub fn answer(&self, keys: &ProverKeys, nonce: &[u8], progress: &dyn Progress) -> Result<Answered> {
        let writer = Writer::of(&keys.verifier).map_err(|error| {
            let way_out = "compile a causal language model, whose inputs are its tokens, their mask and positions, with \
                           `--head argmax`";
            Error::refused(error, way_out)
        })?;
        let tokenizer = self.tokenizer.as_ref().map(|path| tokenizer(path, &keys.verifier.text)).transpose()?;
        let prompt = self.prompt.tokens(tokenizer.as_ref())?;
        check(&prompt, self.max_new, &keys.verifier, &writer)?;
        let temperature = self.thousandths(&keys.verifier, nonce)?;
        progress.stage("writing the answer", self.max_new.into());
        let start = Instant::now();
        let noise = writer.noise.filter(|_| temperature > 0).map(|id| {
            let tensor = &keys.verifier.tensors[id as usize];
            Noise::new(&keys.verifier.model_id(), tensor, nonce, &prompt, temperature)
        });
        let (model, text) = (&keys.artifact.model, &keys.verifier.text);
        let (transcript, input) = write(model, text, &writer, prompt, self.max_new, noise.as_ref(), progress)?;
        let claim = Answer { prompt: transcript.prompt.len() as u32, limit: self.max_new, temperature };
        let length = claim.prompt + transcript.answer.len() as u32 - 1;
        Ok(Answered { transcript, tokenizer, input, length, claim, seconds: start.elapsed().as_secs_f64() })
    }

    /// The temperature in thousandths; 0 for none.
    fn thousandths(&self, key: &VerifierKey, nonce: &[u8]) -> Result<u32> {
        let Some(asked) = self.temperature.filter(|t| *t != 0.0) else { return Ok(0) };
        let thousandths = gumbel::thousandths(asked).ok_or_else(|| {
            Error::refused(format!("a temperature of {asked}"), "ask for 0, or for 0.001 to 100 in whole thousandths")
        })?;
        check_temperature(key, thousandths).map_err(|error| {
            let way_out = format!("compile the model with `--max-temperature {asked}`, or leave `--temperature` out");
            Error::refused(error, way_out)
        })?;
        if nonce.is_empty() {
            let way_out = "ask the verifier for a nonce of its own choice and name it with `--nonce`";
            return Err(Error::refused(AnswerError::NoNonce, way_out));
        }
        Ok(thousandths)
    }
}

/// Refuses a prompt that the model cannot read.
fn check(prompt: &[u32], max_new: u32, key: &VerifierKey, writer: &Writer) -> Result<()> {
    let vocabulary = key.tensors[writer.input as usize].hi;
    if max_new == 0 {
        return Err(Error::refused("an answer of no tokens", "ask for at least one with `--max-new 1`"));
    }
    if prompt.is_empty() {
        let way_out = "begin with at least one token, such as the one that begins a text";
        return Err(Error::refused("the prompt is empty, and a model predicts what follows a token", way_out));
    }
    if prompt.len() > key.tokens as usize {
        return Err(Error::refused(
            format!("the prompt has {} tokens, and the model takes {}", prompt.len(), key.tokens),
            "shorten it, or compile the model for more tokens",
        ));
    }
    match prompt.iter().find(|token| i64::from(**token) > vocabulary) {
        None => Ok(()),
        Some(token) => Err(Error::refused(
            format!("token {token} of the prompt is outside the vocabulary, 0..={vocabulary}"),
            "use the tokenizer of this model",
        )),
    }
}

/// The model's choices behind the prompt, and what it read for them: the tokens, padded, and the noise.
fn write(
    model: &Model<Held>,
    text: &Text,
    writer: &Writer,
    prompt: Vec<u32>,
    max_new: u32,
    noise: Option<&Noise>,
    progress: &dyn Progress,
) -> Result<(Transcript, Vec<Vec<i64>>)> {
    let (tokens, vocabulary) = (model.tokens as usize, model.tensors[writer.input as usize].hi);
    let mut read: Vec<i64> = prompt.iter().map(|token| i64::from(*token)).collect();
    let mut answer = Vec::new();
    let mut added = noise.map(|noise| vec![0; tokens * noise.features()]);
    let ended = loop {
        if let Some((noise, added)) = noise.zip(added.as_mut()) {
            let at = read.len() - 1;
            added[at * noise.features()..][..noise.features()].copy_from_slice(&noise.row(at));
        }
        let values = interp::run_model(model, &inputs(model, writer, &read, &added))?;
        let next = values[writer.output as usize][read.len() - 1];
        answer.push(next as u32);
        progress.step();
        if text.ends(next) {
            break Ended::EndOfSequence;
        }
        if answer.len() == max_new as usize {
            break Ended::Limit;
        }
        if read.len() == tokens {
            break Ended::Context;
        }
        if next > vocabulary {
            return Err(Error::refused(
                format!("the model chose token {next}, which it cannot read: 0..={vocabulary}"),
                format!("ask for at most {} tokens", answer.len()),
            ));
        }
        read.push(next);
    };
    let temperature = noise.map_or(0, Noise::temperature);
    let transcript = Transcript { prompt, answer, ended, temperature };
    Ok((transcript, inputs(model, writer, &read, &added)))
}

/// The inputs of a model that reads these tokens, padded, with what the others must hold, and the noise behind them.
fn inputs<W>(model: &Model<W>, writer: &Writer, read: &[i64], noise: &Option<Vec<i64>>) -> Vec<Vec<i64>> {
    let tokens = model.tokens as usize;
    let padded = || read.iter().copied().chain(std::iter::repeat(0)).take(tokens).collect();
    let of = |id: &u32| {
        let fixed = writer.fixed.iter().find(|(tensor, _)| tensor == id);
        fixed.map_or_else(padded, |(_, fixed)| fixed.values(tokens, read.len()))
    };
    model.inputs.iter().map(of).chain(noise.clone()).collect()
}

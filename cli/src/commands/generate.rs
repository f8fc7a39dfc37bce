//! `nanozk generate`

use super::prove::{Nonce, parse_nonce};
use crate::report::Report;
use crate::values::parse_bytes;
use nanozk_runtime::answer::Prompt;
use nanozk_runtime::decoding::Asked;
use nanozk_runtime::{Progress, generate};
use std::path::PathBuf;

/// Arguments of `generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    nanozk generate keys/ --prompt \"In the beginning\" --tokenizer tokenizer.json --max-new 20 -o proof.nanozk\n  \
    nanozk generate keys/ --tokens 464,3290 --max-new 8 --nonce 5f3a -o proof.nanozk\n  \
    nanozk generate keys/ --prompt \"In the beginning\" --tokenizer tokenizer.json --max-new 20 --temperature 0.7 \
    --nonce 5f3a -o proof.nanozk\n\n\
    The model must be compiled with `--head argmax`, and with `--max-temperature` for answers that are drawn.")]
pub struct Args {
    /// Directory made by `nanozk setup`
    keys: PathBuf,
    #[command(flatten)]
    prompt: PromptArgs,
    /// Most tokens of the answer; a token that ends it and the model's length end it sooner
    #[arg(long, value_name = "N")]
    max_new: u32,
    /// Draw each token at this temperature, with noise that follows from the nonce, in place of the likeliest one; the
    /// model must be compiled for it with `--max-temperature`
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Refused: a proof shows draws from all scores, not from the likeliest few
    #[arg(long, value_name = "P", hide = true)]
    top_p: Option<f64>,
    /// Refused, as `--top-p`
    #[arg(long, value_name = "K", hide = true)]
    top_k: Option<u32>,
    /// Proof file to write
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
    /// Verifier's challenge that the proof is bound to
    #[arg(long, value_name = "HEX", value_parser = parse_nonce)]
    nonce: Option<Nonce>,
    /// Refuse an answer that saturates values inside the model: beyond what its sample data showed
    #[arg(long)]
    strict: bool,
    /// Most memory for proving layers, such as 4G or 800M; without, a share of what the machine has free
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
}

/// A prompt, as text or as tokens.
#[derive(Debug, clap::Args)]
pub struct PromptArgs {
    /// Prompt as text; needs the tokenizer
    #[arg(long, value_name = "TEXT", conflicts_with = "tokens")]
    prompt: Option<String>,
    /// Prompt as token ids, separated by commas
    #[arg(long, value_name = "ID,..", value_delimiter = ',')]
    tokens: Option<Vec<u32>>,
    /// Tokenizer that the model id names (tokenizer.json)
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
}

/// A prompt and how to answer it, where an input may stand instead.
#[derive(Debug, clap::Args)]
pub struct AskedArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Most tokens of the answer to a prompt
    #[arg(long, value_name = "N")]
    max_new: Option<u32>,
    /// Draw each token of the answer at this temperature, as `generate` does
    #[arg(long, value_name = "T", requires = "max_new")]
    temperature: Option<f64>,
}

impl AskedArgs {
    /// What to answer, where that is asked.
    pub fn asked(&self) -> Option<Asked> {
        Some(self.prompt.asked(self.max_new?, self.temperature))
    }
}

impl PromptArgs {
    /// What to answer.
    fn asked(&self, max_new: u32, temperature: Option<f64>) -> Asked {
        let prompt = self.prompt().unwrap_or_else(|| Prompt::Tokens(Vec::new()));
        Asked { prompt, max_new, temperature, tokenizer: self.tokenizer.clone() }
    }

    /// The prompt, if there is one.
    pub fn prompt(&self) -> Option<Prompt> {
        let text = self.prompt.clone().map(Prompt::Text);
        text.or_else(|| self.tokens.clone().map(Prompt::Tokens))
    }
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    let cut = [("--top-p", args.top_p.is_some()), ("--top-k", args.top_k.is_some())];
    if let Some((name, _)) = cut.iter().find(|(_, given)| *given) {
        anyhow::bail!(
            "{name}: a proof shows draws from all scores, and the few that are likeliest would have to be sorted out under \
             proof first; draw at a lower `--temperature`"
        );
    }
    let request = generate::Request {
        keys: args.keys.clone(),
        asked: args.prompt.asked(args.max_new, args.temperature),
        out: args.out.clone(),
        nonce: args.nonce.clone().map(|n| n.0),
        strict: args.strict,
        memory: args.memory,
    };
    Ok(Report::new(generate::generate(&request, progress)?))
}

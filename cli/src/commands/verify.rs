//! `nanozk verify`

use super::generate::PromptArgs;
use super::prove::{Nonce, parse_nonce};
use crate::report::Report;
use crate::values::parse_hex;
use nanozk_runtime::verify;
use std::path::PathBuf;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk verify keys/verifier.nanozk proof.nanozk --model-id 3f9c...\n  \
    nanozk verify keys/verifier.nanozk proof.nanozk --input input.json --output answer.json\n  \
    nanozk verify keys/verifier.nanozk proof.nanozk --prompt \"In the beginning\" --tokenizer tokenizer.json --max-new 20")]
pub struct Args {
    /// Verifier file made by `nanozk setup`
    verifier: PathBuf,
    /// Proof file
    proof: PathBuf,
    /// Model id that you expect, as printed by `nanozk setup`
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    model_id: Option<[u8; 32]>,
    /// Challenge that the proof must be bound to
    #[arg(long, value_name = "HEX", value_parser = parse_nonce)]
    nonce: Option<Nonce>,
    /// Accept an SRS of no known ceremony: whoever made it could forge this proof
    #[arg(long)]
    allow_unsafe_srs: bool,
    /// Input that you sent (input.json or .npz): the proof must be of it
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Output that you received (JSON of `run` or `prove`, or [[..], ..]): the proof must be of it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    prompt: PromptArgs,
    /// Most tokens that you asked for: an answer must not stop at another limit
    #[arg(long, value_name = "N")]
    max_new: Option<u32>,
    /// Temperature that you asked for; 0: every token must be the likeliest
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Accept a proof of some layers, from which nothing follows for the model's output
    #[arg(long)]
    allow_partial: bool,
    /// Challenge that you drew for this answer: the proof must be of exactly its layers
    #[arg(long, value_name = "FILE", conflicts_with = "allow_partial")]
    challenge: Option<PathBuf>,
    /// Check the verifier file too, as `nanozk check` does: needed once for each file, not for each proof
    #[arg(long)]
    check_weights: bool,
}

/// Parses `--model-id`.
pub fn parse_id(text: &str) -> Result<[u8; 32], String> {
    parse_hex(text)?.try_into().map_err(|_| "a model id has 64 hexadecimal digits".to_string())
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let options = verify::VerifyOptions {
        model_id: args.model_id,
        nonce: args.nonce.clone().map(|n| n.0),
        allow_unsafe_srs: args.allow_unsafe_srs,
        check_weights: args.check_weights,
    };
    let request = verify::Request {
        verifier: args.verifier.clone(),
        proof: args.proof.clone(),
        options,
        allow_partial: args.allow_partial,
        challenge: args.challenge.clone(),
        input: args.input.clone(),
        output: args.output.clone(),
        prompt: args.prompt.prompt(),
        max_new: args.max_new,
        temperature: args.temperature,
        tokenizer: args.prompt.tokenizer.clone(),
    };
    let report = verify::verify(&request)?;
    let failure = report.error.as_ref().map(ToString::to_string);
    Ok(Report::judged(report, failure))
}

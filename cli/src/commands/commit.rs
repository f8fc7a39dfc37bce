//! `nanozk commit`

use super::generate::AskedArgs;
use super::prove::{Nonce, parse_nonce};
use crate::report::Report;
use anyhow::bail;
use nanozk_runtime::{Progress, commit};
use std::path::PathBuf;

/// Arguments of `commit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk commit keys/ --input input.json --nonce 5f3a -o answer.commit\n  \
    nanozk commit keys/ --tokens 464,3290 --max-new 8 -o answer.commit\n\n\
    Hand over answer.commit. Keep answer.commit.secret/: with it layers can be proven later, each of them once.")]
pub struct Args {
    /// Directory made by `nanozk setup`
    keys: PathBuf,
    /// Input (input.json or .npz); a language model takes a prompt instead
    #[arg(long, value_name = "FILE", required_unless_present = "max_new", conflicts_with_all = ["max_new", "prompt", "tokens"])]
    input: Option<PathBuf>,
    #[command(flatten)]
    asked: AskedArgs,
    /// Commitment file to write; the secrets go into a directory beside it, with `.secret` behind its name
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
    /// Verifier's challenge that the commitment is bound to
    #[arg(long, value_name = "HEX", value_parser = parse_nonce)]
    nonce: Option<Nonce>,
    /// Refuse an input that saturates values inside the model: beyond what its sample data showed
    #[arg(long)]
    strict: bool,
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    let of = match (args.asked.asked(), &args.input) {
        (Some(asked), _) => commit::Of::Answer(asked),
        (None, Some(input)) => commit::Of::Input(input.clone()),
        (None, None) => bail!("there is neither an input nor a prompt; give --input, or --prompt with --max-new"),
    };
    let request = commit::Request {
        keys: args.keys.clone(),
        of,
        out: args.out.clone(),
        nonce: args.nonce.clone().map(|n| n.0),
        strict: args.strict,
    };
    Ok(Report::new(commit::commit(&request, progress)?))
}

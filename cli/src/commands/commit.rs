//! `nanozk commit`

use super::Report;
use super::prove::{Nonce, parse_nonce};
use nanozk_runtime::{Progress, commit};
use std::path::PathBuf;

/// Arguments of `commit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nanozk commit keys/ --input input.json --nonce 5f3a -o answer.commit\n\n\
    Hand over answer.commit. Keep answer.commit.secret/: with it layers can be proven later, each of them once.")]
pub struct Args {
    /// Directory made by `nanozk setup`
    keys: PathBuf,
    /// Input (input.json or .npz)
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
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
    let request = commit::Request {
        keys: args.keys.clone(),
        input: args.input.clone(),
        out: args.out.clone(),
        nonce: args.nonce.clone().map(|n| n.0),
        strict: args.strict,
    };
    Report::new(&commit::commit(&request, progress)?)
}

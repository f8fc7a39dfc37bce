//! `nanozk verify`

use super::prove::{Nonce, parse_nonce};
use super::{Report, parse_hex};
use nanozk_runtime::verify;
use std::path::PathBuf;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk verify keys/verifier.nanozk proof.nanozk --model-id 3f9c...\n  \
    nanozk verify keys/verifier.nanozk proof.nanozk --allow-unsafe-srs")]
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
    let expected = verify::VerifyOptions {
        model_id: args.model_id,
        nonce: args.nonce.clone().map(|n| n.0),
        allow_unsafe_srs: args.allow_unsafe_srs,
        check_weights: args.check_weights,
    };
    let report = verify::verify(&args.verifier, &args.proof, &expected)?;
    let failure = report.error.clone();
    Ok(Report { failure, ..Report::new(&report)? })
}

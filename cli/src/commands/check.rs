//! `nanozk check`

use super::verify::parse_id;
use crate::report::Report;
use nanozk_runtime::check;
use std::path::PathBuf;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk check keys/verifier.nanozk --model-id 3f9c...\n  \
    nanozk check keys/verifier.nanozk --json")]
pub struct Args {
    /// Verifier file made by `nanozk setup`
    verifier: PathBuf,
    /// Model id that you expect, as printed by `nanozk setup`
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    model_id: Option<[u8; 32]>,
    /// Accept an SRS of no known ceremony: whoever made it could forge this check
    #[arg(long)]
    allow_unsafe_srs: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let report = check::check(&args.verifier, args.model_id, args.allow_unsafe_srs)?;
    let failure = report.error.as_ref().map(ToString::to_string);
    Ok(Report::judged(report, failure))
}

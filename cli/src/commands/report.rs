//! `nanozk report`

use crate::report::Report;
use nanozk_runtime::report;
use std::path::PathBuf;

/// Arguments of `report`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  nanozk report proof.nanozk --verifier keys/verifier.nanozk -o report.html")]
pub struct Args {
    /// Proof file
    proof: PathBuf,
    /// Verifier file made by `nanozk setup`
    #[arg(long, value_name = "FILE")]
    verifier: PathBuf,
    /// The model's tokenizer.json, to show prompt and answer as text
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Page to write
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let Args { proof, verifier, tokenizer, out } = args.clone();
    Ok(Report::new(report::report(&report::Request { verifier, proof, tokenizer, out })?))
}

//! `nanozk inspect`

use crate::report::Report;
use nanozk_runtime::{architecture, inspect, keys};
use std::path::PathBuf;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  nanozk inspect model.nanozk\n  nanozk inspect keys/verifier.nanozk\n  nanozk inspect model.nanozk --dot | dot -Tsvg > model.svg"
)]
pub struct Args {
    /// Compiled model, or verifier file
    file: PathBuf,
    /// Print the graph in Graphviz form
    #[arg(long)]
    dot: bool,
    /// Print the values of the tables of a verifier file
    #[arg(long)]
    tables: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    if args.dot {
        let dot = inspect::dot(&args.file)?;
        return Ok(Report::apart(serde_json::json!({ "dot": dot }), dot));
    }
    match keys::is_verifier(&args.file)? {
        true => Ok(Report::new(architecture::describe(&keys::read_verifier(&args.file)?, args.tables)?)),
        false => Ok(Report::new(inspect::inspect(&args.file)?)),
    }
}

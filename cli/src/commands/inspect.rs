//! `nanozk inspect`

use super::Report;
use nanozk_runtime::inspect;
use std::path::PathBuf;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  nanozk inspect model.nanozk\n  nanozk inspect model.nanozk --dot | dot -Tsvg > model.svg"
)]
pub struct Args {
    /// Compiled model
    model: PathBuf,
    /// Print the graph in Graphviz form
    #[arg(long)]
    dot: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    if args.dot {
        let dot = inspect::dot(&args.model)?;
        return Ok(Report { json: serde_json::json!({ "dot": dot }), text: dot, failure: None });
    }
    Report::new(&inspect::inspect(&args.model)?)
}

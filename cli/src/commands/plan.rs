//! `nanozk plan`

use crate::report::Report;
use nanozk_runtime::plan;
use std::path::PathBuf;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk plan model.nanozk\n  nanozk plan model.nanozk --layer 1")]
pub struct Args {
    /// Compiled model
    model: PathBuf,
    /// Show columns and relations of one layer
    #[arg(long, value_name = "I")]
    layer: Option<usize>,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    match args.layer {
        Some(layer) => Ok(Report::new(plan::layer(&args.model, layer)?)),
        None => {
            let plan = plan::plan(&args.model)?;
            let failure = plan.refusal();
            Ok(Report::judged(plan, failure))
        }
    }
}

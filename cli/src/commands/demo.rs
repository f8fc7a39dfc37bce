//! `nanozk demo`

use crate::report::Report;
use nanozk_runtime::{Progress, demo};
use std::path::PathBuf;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk demo\n  nanozk demo --keep demo/")]
pub struct Args {
    /// Keep model, keys and proof in this directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    Ok(Report::new(demo::demo(args.keep.as_deref(), progress)?))
}

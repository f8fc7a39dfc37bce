//! `nanozk setup`

use super::Report;
use nanozk_runtime::{Progress, setup};
use std::path::PathBuf;

/// Arguments of `setup`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk setup model.nanozk -o keys/\n  \
    nanozk setup model.nanozk --srs srs.bin -o keys/")]
pub struct Args {
    /// Compiled model
    model: PathBuf,
    /// SRS file; without it the one in this program, for up to 2^14 rows, or one made on this machine, marked unsafe
    #[arg(long, value_name = "FILE")]
    srs: Option<PathBuf>,
    /// Use a public mask seed for the weights: anyone with the model file can recompute the model id
    #[arg(long)]
    open_weights: bool,
    /// Directory to write
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    Report::new(&setup::setup(&args.model, args.srs.as_deref(), args.open_weights, &args.out, progress)?)
}

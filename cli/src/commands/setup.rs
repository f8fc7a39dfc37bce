//! `nanozk setup`

use crate::report::Report;
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
    /// Prove the exact range of every weight, at about a thousand times the cost per weight; else random projections show
    /// that all weights are small, as far as no sum can wrap around the field
    #[arg(long)]
    exact_ranges: bool,
    /// Directory to write
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    let options = setup::Options { open_weights: args.open_weights, exact_ranges: args.exact_ranges };
    Ok(Report::new(setup::setup(&args.model, args.srs.as_deref(), options, &args.out, progress)?))
}

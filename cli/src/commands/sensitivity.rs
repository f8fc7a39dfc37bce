//! `nanozk sensitivity`

use crate::report::Report;
use nanozk_runtime::Progress;
use nanozk_runtime::sensitivity::{Reading, Request, sensitivity};
use std::path::PathBuf;

/// Arguments of `sensitivity`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk sensitivity model.nanozk --data input.json -o sensitivity.json\n  \
    nanozk sensitivity model.nanozk --data a.json b.json --probes 32 --html sensitivity.html\n\n\
    Advice for `nanozk audit plan --weights sensitivity:FILE`, and no part of what a proof says.")]
pub struct Args {
    /// Compiled model
    model: PathBuf,
    /// Sample inputs (input.json or .npz)
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Random directions per layer and sample
    #[arg(long, value_name = "N", default_value_t = 16)]
    probes: u32,
    /// Size of a disturbance, as a share of the root mean square of what it disturbs
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    step: f64,
    /// Seed of the directions
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// What the outputs are: scores, probabilities or gaussian (squared error); absent: as their values look
    #[arg(long, value_name = "READING")]
    output: Option<Reading>,
    /// Report to write, as JSON
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a self-contained page with a plot
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    let Args { model, data, probes, step, seed, output: reading, out, html } = args.clone();
    Ok(Report::new(sensitivity(&Request { model, data, probes, step, seed, reading, out, html }, progress)?))
}

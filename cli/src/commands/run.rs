//! `nanozk run`

use crate::report::Report;
use nanozk_runtime::{Progress, run};
use std::path::PathBuf;

/// Arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk run model.nanozk --input input.json\n  \
    nanozk run model.nanozk --input input.json --eval eval.json")]
pub struct Args {
    /// Compiled model
    model: PathBuf,
    /// Input (input.json or .npz)
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Held-out data: {"T": .., "val": [token ids]} or {"input_data": [..], "labels": [..]}
    #[arg(long, value_name = "FILE")]
    eval: Option<PathBuf>,
    /// ONNX file that the model was compiled from; absent: where it was then
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    let Args { model, input, eval, source } = args.clone();
    Ok(Report::new(run::run(&run::Request { model, input, eval, source }, progress)?))
}

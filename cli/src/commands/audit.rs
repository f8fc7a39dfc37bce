//! `nanozk audit`

use crate::report::Report;
use nanozk_runtime::audit::{Pin, PlanRequest, plan};
use std::path::PathBuf;

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk audit plan keys/ --layers 3 -o policy.yaml\n  \
    nanozk audit plan keys/ --layers 4 --weights sensitivity:sensitivity.json --floor 0.2 --pin input --pin output -o policy.yaml")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Choose how likely each layer is proven of an answer, and see what that catches
    #[command(after_help = "Examples:\n  nanozk audit plan keys/ --layers 3 -o policy.yaml\n  \
        nanozk audit plan keys/verifier.nanozk --layers 4 --weights sensitivity:sensitivity.json --pin output")]
    Plan {
        /// Directory made by `nanozk setup`, verifier file, or compiled model
        #[arg(value_name = "KEYS")]
        of: PathBuf,
        /// Layers drawn of each answer, pinned ones among them
        #[arg(long, value_name = "K")]
        layers: u32,
        /// What makes a layer likelier: uniform (nothing), or sensitivity:FILE as `nanozk sensitivity -o FILE` wrote it
        #[arg(long, value_name = "WEIGHTS", default_value = "uniform", value_parser = parse_weights)]
        weights: Sensitivity,
        /// Least probability of a layer; absent: half of what it would be if all were alike
        #[arg(long, value_name = "P")]
        floor: Option<f64>,
        /// Layer that is always drawn: input, output, an index, FIRST-LAST, or a name; may be repeated
        #[arg(long, value_name = "LAYER")]
        pin: Vec<Pin>,
        /// Answers that the provider gives, for the figures over many answers
        #[arg(long, value_name = "Q", default_value_t = 1000)]
        answers: u64,
        /// Share of answers that are challenged, for the same
        #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
        challenged: f64,
        /// Policy file to write
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// The file that weighs layers, if any does.
#[derive(Clone, Debug)]
struct Sensitivity(Option<PathBuf>);

fn parse_weights(text: &str) -> Result<Sensitivity, String> {
    match (text, text.strip_prefix("sensitivity:")) {
        ("uniform", _) => Ok(Sensitivity(None)),
        (_, Some(file)) if !file.is_empty() => Ok(Sensitivity(Some(file.into()))),
        _ => Err("expected uniform or sensitivity:FILE".into()),
    }
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let Action::Plan { of, layers, weights, floor, pin, answers, challenged, out } = &args.action;
    let request = PlanRequest {
        of: of.clone(),
        layers: *layers,
        sensitivity: weights.0.clone(),
        floor: *floor,
        pins: pin.clone(),
        answers: *answers,
        challenged: *challenged,
        out: out.clone(),
    };
    Ok(Report::new(plan(&request)?))
}

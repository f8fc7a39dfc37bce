//! `nanozk srs`

use crate::report::Report;
use nanozk_runtime::{Progress, srs};
use std::path::PathBuf;

/// Arguments of `srs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk srs generate --k 14 -o srs-14.bin\n  \
    nanozk srs import ceremony.bin -o srs.bin\n  nanozk srs inspect srs.bin")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make an SRS on this machine. Whoever made it could forge proofs: for trials only
    #[command(after_help = "Example:\n  nanozk srs generate --k 14 -o srs-14.bin")]
    Generate {
        /// The SRS serves circuits of up to 2^k rows
        #[arg(long, value_parser = clap::value_parser!(u32).range(4..=24))]
        k: u32,
        /// File to write
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: PathBuf,
    },
    /// Check the SRS of a ceremony once and store it in the form that setup reads
    #[command(after_help = "Examples:\n  nanozk srs import ceremony.bin -o srs.bin\n  \
        nanozk srs import transcript.json --k 14 -o srs-14.bin")]
    Import {
        /// The ceremony's file: of halo2's parameters, or of Ethereum's ceremony in JSON
        file: PathBuf,
        /// Keep what circuits of up to 2^k rows need; of Ethereum's sets the smallest that serves them
        #[arg(long, value_parser = clap::value_parser!(u32).range(4..=24))]
        k: Option<u32>,
        /// File to write
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: PathBuf,
    },
    /// Show size, identity and origin of an SRS
    #[command(after_help = "Example:\n  nanozk srs inspect srs.bin")]
    Inspect {
        /// SRS file
        file: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    let report = match &args.action {
        Action::Generate { k, out } => srs::generate(*k, out, progress)?,
        Action::Import { file, k, out } => srs::import(file, *k, out, progress)?,
        Action::Inspect { file } => srs::inspect(file)?,
    };
    Ok(Report::new(report))
}

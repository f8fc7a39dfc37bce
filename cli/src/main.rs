//! The `nanozk` command line: arguments in, one library call, a report out.

mod args;
mod commands;
mod output;
mod progress;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let bar = progress::Bar::new(cli.json);
    let result = commands::dispatch(&cli.command, &bar);
    bar.clear();
    output::finish(cli.json, result)
}

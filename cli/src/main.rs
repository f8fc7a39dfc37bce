//! The `nanozk` command line: arguments in, one library call, a report out.

mod args;
mod commands;
mod output;
mod progress;

use clap::Parser;
use std::process::ExitCode;

const _: () = assert!(!nanozk_mutants::ON, "the program must not be built with planted bugs");

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let bar = progress::Bar::new(cli.json);
    let result = commands::dispatch(&cli.command, &bar);
    bar.clear();
    output::finish(cli.json, result)
}

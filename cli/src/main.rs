//! The `nanozk` command line: arguments in, one library call, a report out.

mod args;
mod commands;
mod output;
mod progress;
mod report;
mod values;

use clap::Parser;
use std::process::ExitCode;

const _: () = assert!(!nanozk_mutants::ON, "the program must not be built with planted bugs");

fn main() -> ExitCode {
    share_memory();
    let cli = args::Cli::parse();
    let bar = progress::Bar::new(cli.json);
    let result = commands::dispatch(&cli.command, &bar);
    bar.clear();
    output::finish(cli.json, result)
}

/// Lets all threads take memory from the same two arenas. glibc gives each thread one of its own, and what a thread has
/// freed there is of no use to the others: when a layer is proven, by all threads in turn, that is a fifth of the peak.
#[allow(unsafe_code, reason = "a function of the C library")]
fn share_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it sets a number of the allocator, before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

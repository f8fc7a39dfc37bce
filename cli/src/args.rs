//! The top of the command line.

use crate::commands::Command;
use clap::Parser;

/// Zero-knowledge proofs of neural-network inference, one small proof per layer.
#[derive(Debug, Parser)]
#[command(name = "nanozk", version, about, propagate_version = true)]
#[command(after_help = "Example (all steps on the bundled GPT):\n  nanozk demo\n\nStep by step:\n  \
    nanozk compile model.onnx --data input.json -o model.nanozk\n  \
    nanozk setup model.nanozk -o keys/\n  \
    nanozk prove keys/ --input input.json -o proof.nanozk\n  \
    nanozk verify keys/verifier.nanozk proof.nanozk")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print one JSON object on stdout instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent_and_every_command_has_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example") && help.contains("nanozk "), "{} has no example", sub.get_name());
        }
    }
}

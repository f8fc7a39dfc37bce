//! One file per command.

mod audit;
mod bench;
mod challenge;
mod check;
mod commit;
mod compile;
mod demo;
mod generate;
mod inspect;
mod jobs;
mod plan;
mod prove;
mod report;
mod run;
mod sensitivity;
mod setup;
mod srs;
mod verify;

use crate::report::Report;
use clap::Subcommand;
use nanozk_runtime::Progress;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn an ONNX model into a quantised model with one circuit plan per layer shape
    Compile(compile::Args),
    /// Show what each layer will cost, before any key is made
    Plan(plan::Args),
    /// Show graph, partition, scales and tables of a compiled model
    Inspect(inspect::Args),
    /// Run float and integer inference side by side, without proving
    Run(run::Args),
    /// Make, import or look at a structured reference string
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Srs(srs::Args),
    /// Make the prover's files and the verifier file of a compiled model
    Setup(setup::Args),
    /// Check a verifier file once: its weights are integers in range, its keys those of its plans
    Check(check::Args),
    /// Commit to all tensors of one inference without proving a layer
    Commit(commit::Args),
    /// Prove one inference
    Prove(prove::Args),
    /// Prove one or many inferences as jobs, on as many machines as there are
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Jobs(jobs::Args),
    /// Let the model answer a prompt, and prove the whole answer
    Generate(generate::Args),
    /// Check a proof
    Verify(verify::Args),
    /// Draw layers of an answer that its provider committed to
    Challenge(challenge::Args),
    /// Measure where an error hurts: the Fisher information of the output, layer by layer
    Sensitivity(sensitivity::Args),
    /// Plan audits: some layers of an answer, drawn after the provider committed to it
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Audit(audit::Args),
    /// Write a page that shows a proof and verifies itself in a browser
    Report(report::Args),
    /// Compile, set up, prove and verify the bundled GPT
    Demo(demo::Args),
    /// Measure every step on one or more models
    Bench(bench::Args),
}

/// Runs a command.
pub fn dispatch(command: &Command, progress: &dyn Progress) -> anyhow::Result<Report> {
    match command {
        Command::Compile(args) => compile::run(args, progress),
        Command::Plan(args) => plan::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Run(args) => run::run(args, progress),
        Command::Srs(args) => srs::run(args, progress),
        Command::Setup(args) => setup::run(args, progress),
        Command::Check(args) => check::run(args),
        Command::Commit(args) => commit::run(args, progress),
        Command::Prove(args) => prove::run(args, progress),
        Command::Jobs(args) => jobs::run(args, progress),
        Command::Generate(args) => generate::run(args, progress),
        Command::Verify(args) => verify::run(args),
        Command::Challenge(args) => challenge::run(args),
        Command::Sensitivity(args) => sensitivity::run(args, progress),
        Command::Audit(args) => audit::run(args),
        Command::Report(args) => report::run(args),
        Command::Demo(args) => demo::run(args, progress),
        Command::Bench(args) => bench::run(args, progress),
    }
}

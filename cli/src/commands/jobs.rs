//! `nanozk jobs`

use super::generate::AskedArgs;
use super::prove::{Nonce, parse_nonce};
use crate::report::Report;
use crate::values::parse_bytes;
use anyhow::bail;
use nanozk_runtime::Progress;
use nanozk_runtime::jobs::prove::Which;
use nanozk_runtime::jobs::{join, prove, split, status};
use std::path::PathBuf;

/// Arguments of `jobs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nanozk jobs split keys/ --input input.json -o run/\n  \
    nanozk jobs prove run/ --job 0   # each job somewhere, in any order\n  \
    nanozk jobs join run/ -o proof.nanozk")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Commit to one or many answers, and write one job per layer
    Split(Split),
    /// Prove jobs; twice or on two machines at once is safe
    Prove(Prove),
    /// Show which jobs are done
    Status(Status),
    /// Check all parts and write the proofs
    Join(Join),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk jobs split keys/ --input input.json -o run/\n  \
    nanozk jobs split keys/ --input inputs.jsonl --input more/ -o run/\n  \
    nanozk jobs split keys/ --tokens 464,3290 --max-new 8 -o run/\n\n\
    The folder holds secrets: weights, activations and masks.")]
struct Split {
    /// Directory made by `nanozk setup`
    keys: PathBuf,
    /// Input (input.json or .npz), a folder of them, or .jsonl with one input per line; may be repeated. A language model
    /// takes a prompt instead
    #[arg(
        long = "input",
        value_name = "PATH",
        required_unless_present = "max_new",
        conflicts_with_all = ["max_new", "prompt", "tokens"]
    )]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    asked: AskedArgs,
    /// Run folder to make
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    out: PathBuf,
    /// Verifier's challenge that the proofs are bound to
    #[arg(long, value_name = "HEX", value_parser = parse_nonce)]
    nonce: Option<Nonce>,
    /// Refuse an input that saturates values inside the model: beyond what its sample data showed
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk jobs prove run/ --job 3\n  nanozk jobs prove run/ --all --memory 4G\n\n\
    Without --job the number is taken from SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX (Kubernetes) or HQ_TASK_ID.")]
struct Prove {
    /// Folder made by `nanozk jobs split`
    run: PathBuf,
    /// Number of the job, or FIRST-LAST
    #[arg(long, value_name = "I", value_parser = super::prove::parse_layers)]
    job: Option<(usize, usize)>,
    /// Every job that is open and that no other process has begun
    #[arg(long, conflicts_with = "job")]
    all: bool,
    /// Most memory for proving, such as 4G or 800M; without, a share of what the machine has free
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nanozk jobs status run/ --json")]
struct Status {
    /// Folder made by `nanozk jobs split`
    run: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nanozk jobs join run/ -o proof.nanozk")]
struct Join {
    /// Folder made by `nanozk jobs split`
    run: PathBuf,
    /// Proof file to write; a directory for them where the run has several answers
    #[arg(short = 'o', long = "out", value_name = "PATH")]
    out: PathBuf,
}

/// Variables in which engines tell a process which job is its own.
const VARIABLES: [&str; 3] = ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "HQ_TASK_ID"];

/// The job that the environment names.
fn job_of(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<usize> {
    let set: Vec<(&str, String)> = VARIABLES.iter().filter_map(|name| Some((*name, variable(name)?))).collect();
    match &set[..] {
        [] => bail!("no job is named; give --job I or --all, or set one of {}", VARIABLES.join(", ")),
        [(name, value)] => {
            let wrong = |_| anyhow::anyhow!("{name} is \"{value}\", no number of a job; give --job I");
            value.trim().parse().map_err(wrong)
        }
        [(a, _), (b, _), ..] => bail!("both {a} and {b} are set; say with --job which one counts"),
    }
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    match &args.command {
        Command::Split(args) => {
            let request = split::Request {
                keys: args.keys.clone(),
                inputs: args.inputs.clone(),
                prompt: args.asked.asked(),
                out: args.out.clone(),
                nonce: args.nonce.clone().map(|n| n.0),
                strict: args.strict,
            };
            Ok(Report::new(split::split(&request, progress)?))
        }
        Command::Prove(args) => {
            let which = match (args.job, args.all) {
                (Some((first, last)), _) => Which::These(first, last),
                (None, true) => Which::Open,
                (None, false) => {
                    let job = job_of(|name| std::env::var(name).ok())?;
                    Which::These(job, job)
                }
            };
            let request = prove::Request { run: args.run.clone(), which, memory: args.memory };
            Ok(Report::new(prove::prove(&request, progress)?))
        }
        Command::Status(args) => Ok(Report::new(status::status(&args.run)?)),
        Command::Join(args) => {
            let report = join::join(&args.run, &args.out, progress)?;
            let failure = report.error.as_ref().map(ToString::to_string);
            Ok(Report::judged(report, failure))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::job_of;

    #[test]
    fn the_environment_names_one_job() {
        let of = |set: &[(&str, &str)]| {
            job_of(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string()))
        };
        for name in super::VARIABLES {
            assert_eq!(of(&[(name, "12")]).expect("a number"), 12);
            let error = of(&[(name, "1-2")]).expect_err("no number").to_string();
            assert!(error.contains(name) && error.contains("; "), "{error}");
        }
        assert!(of(&[]).expect_err("none").to_string().contains("; give --job"));
        let both = of(&[("HQ_TASK_ID", "1"), ("SLURM_ARRAY_TASK_ID", "1")]);
        assert!(both.expect_err("two").to_string().contains("; say with --job"));
    }
}

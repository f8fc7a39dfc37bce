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

use clap::Subcommand;
use nanozk_runtime::Progress;
use serde::Serialize;

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

/// What a command has to say, put into words when it is known in which form.
pub struct Report {
    content: Box<dyn Content>,
    /// Set when the command ran but its verdict is negative: `cause; way out`.
    pub failure: Option<String>,
}

/// Both forms of a report.
trait Content {
    fn json(&self) -> serde_json::Result<serde_json::Value>;
    fn text(&self) -> String;
}

impl<T: Serialize + std::fmt::Display> Content for T {
    fn json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// A report whose text says less or more than its object.
struct Apart {
    json: serde_json::Value,
    text: String,
}

impl Content for Apart {
    fn json(&self) -> serde_json::Result<serde_json::Value> {
        Ok(self.json.clone())
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

impl Report {
    /// A report of a command that succeeded.
    fn new(value: impl Serialize + std::fmt::Display + 'static) -> Self {
        Report { content: Box::new(value), failure: None }
    }

    /// A report whose two forms are not one value's.
    fn apart(json: serde_json::Value, text: String) -> Self {
        Report { content: Box::new(Apart { json, text }), failure: None }
    }

    /// The object that `--json` prints.
    ///
    /// # Errors
    /// A value that JSON cannot hold.
    pub fn json(&self) -> serde_json::Result<String> {
        self.content.json().map(|value| value.to_string())
    }

    /// The text printed otherwise.
    pub fn text(&self) -> String {
        self.content.text().trim_end().to_string()
    }
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

/// Bytes given as hexadecimal digits.
fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let digit = |c: u8| (c as char).to_digit(16).ok_or_else(|| "not a hexadecimal digit string".to_string());
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return Err("an even number of hexadecimal digits is needed".into());
    }
    digits.chunks(2).map(|p| Ok((digit(p[0])? * 16 + digit(p[1])?) as u8)).collect()
}

/// A number of bytes, with K, M, G or T for powers of 1000 behind it.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, power) = match text.find(|c: char| !c.is_ascii_digit()) {
        None => (text, 0),
        Some(end) => {
            let unit = text[end..].trim().trim_end_matches(['B', 'b']).to_ascii_uppercase();
            let power = ["", "K", "M", "G", "T"].iter().position(|u| *u == unit);
            (&text[..end], power.ok_or("expected bytes, for example 4G or 800M")?)
        }
    };
    let bytes = digits.parse().ok().and_then(|n: u64| n.checked_mul(1000u64.pow(power as u32)));
    bytes.filter(|n| *n > 0).ok_or_else(|| "expected bytes, for example 4G or 800M".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        assert_eq!(["17", "3K", "800 MB", "2g"].map(parse_bytes), [17, 3000, 800_000_000, 2_000_000_000].map(Ok));
        for wrong in ["", "0", "-1", "1.5G", "G", "1X", "1 kk", "99999999999999999999", "99999999999T"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hex() {
        assert_eq!(parse_hex("0x00fF"), Ok(vec![0, 255]));
        assert!(parse_hex("abc").is_err() && parse_hex("").is_err() && parse_hex("zz").is_err());
    }
}

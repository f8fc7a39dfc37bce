//! `nanozk bench`

use super::compile::Visibility;
use crate::report::Report;
use nanozk_runtime::bench::{self, step};
use nanozk_runtime::{Progress, Silent};
use std::path::PathBuf;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk bench onnx-models/mlp-digits onnx-models/block-d16-t16\n  \
    nanozk bench onnx-models/* --repeat 5 --html bench.html --markdown docs/benchmarks.md\n  \
    nanozk bench --block gpt2 --block d64-h4-t32\n  \
    nanozk bench --block gpt2-124m --warmup 0 --repeat 1\n  \
    nanozk bench --block llama-1.1b --excerpt --warmup 0 --repeat 1\n  \
    nanozk bench --block llama-1.1b --write models\n\n\
    A model is a folder with network.onnx, input.json and, for perplexities, eval.json; or an ONNX file beside them.\n\
    Each step runs in a process of its own, in a temporary directory.")]
pub struct Args {
    /// Model folders or ONNX files
    #[arg(required_unless_present_any = ["step", "block"], value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Also make and measure a transformer with seeded weights: gpt2 (one block: d = 768, 12 heads, 32 tokens), the language
    /// models gpt2-124m and llama-1.1b, or dWIDTH-hHEADS-tTOKENS[-lLAYERS-vVOCABULARY]; such parts change a named one
    /// (gpt2-124m-t128); may be repeated
    #[arg(long, value_name = "BLOCK")]
    block: Vec<bench::Seeded>,
    /// Write the transformers with seeded weights into this folder instead of measuring anything
    #[arg(long, value_name = "FOLDER", requires = "block", conflicts_with_all = ["models", "html", "markdown"])]
    write: Option<PathBuf>,
    /// Counted runs of every step
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Runs of every step before them that are not counted
    #[arg(long, default_value_t = 1)]
    warmup: u16,
    /// Compile as `compile` does by default, with a leaning to circuits that the SRS of this program serves, in place of those
    /// that cost least
    #[arg(long)]
    served: bool,
    /// Set up, prove and verify one layer of each shape only, and say what all layers would cost
    #[arg(long)]
    excerpt: bool,
    /// Whether the verifier sees the input
    #[arg(long)]
    input: Option<Visibility>,
    /// Write a self-contained page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the tables as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Run one step in this process, as the command does itself
    #[arg(long, hide = true, value_name = "JSON", conflicts_with_all = ["models", "block"], value_parser = parse_step)]
    step: Option<step::Step>,
}

fn parse_step(text: &str) -> Result<step::Step, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    if let Some(step) = &args.step {
        return Ok(Report::new(serde_json::to_value(step::run(step, &Silent)?)?));
    }
    if let Some(folder) = &args.write {
        let mut folders = Vec::new();
        for seeded in &args.block {
            folders.push(seeded.write(folder)?);
        }
        let text = folders.iter().map(|f| format!("written    {}", f.display())).collect::<Vec<_>>().join("\n");
        return Ok(Report::apart(serde_json::json!({ "folders": folders }), text));
    }
    let program = std::env::current_exe()?;
    let request = bench::Request {
        models: args.models.clone(),
        seeded: args.block.clone(),
        repeat: args.repeat.into(),
        warmup: args.warmup.into(),
        served: args.served,
        excerpt: args.excerpt,
        input: args.input.map(Into::into),
        html: args.html.clone(),
        markdown: args.markdown.clone(),
        worker: [program.as_os_str(), "bench".as_ref(), "--json".as_ref(), "--step".as_ref()].map(Into::into).into(),
    };
    let report = bench::bench(&request, progress)?;
    let failure = report.failure();
    Ok(Report::judged(report, failure))
}

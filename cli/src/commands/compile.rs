//! `nanozk compile`

use crate::report::Report;
use nanozk_runtime::{Progress, compile, compile::Setting};
use std::path::PathBuf;

/// Arguments of `compile`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk compile gpt.onnx --data input.json -o model.nanozk\n  \
    nanozk compile gpt.onnx --set seq=64 --head argmax --output public -o model.nanozk")]
pub struct Args {
    /// ONNX model
    model: PathBuf,
    /// Sample inputs for calibration (input.json or .npz); may be repeated
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Settings file (YAML); options given here override it
    #[arg(long)]
    config: Option<PathBuf>,
    /// Length of a dynamic dimension, or value of an input of one element, as NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_set)]
    set: Vec<(String, Setting)>,
    /// Outputs to keep, by name, separated by commas; what only the others need is dropped
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    outputs: Vec<String>,
    /// What the output is: all scores, or the index of the greatest one
    #[arg(long, value_enum)]
    head: Option<Head>,
    /// Whether the verifier sees the input; a mask of tokens is always seen
    #[arg(long, value_enum)]
    input: Option<Visibility>,
    /// Whether the verifier sees the output
    #[arg(long, value_enum)]
    output: Option<Visibility>,
    /// Tokenizer of a language model (tokenizer.json); its hash becomes part of the model id
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Tokens that end an answer, as ids or as the tokenizer writes them, separated by commas
    #[arg(long, value_name = "TOKEN,..", value_delimiter = ',')]
    end: Vec<String>,
    /// Greatest temperature at which answers can be drawn, for `--head argmax`; without it they are greedy
    #[arg(long, value_name = "T")]
    max_temperature: Option<f64>,
    /// What the layout minimises
    #[arg(long, value_enum)]
    optimize: Option<Optimize>,
    /// Largest circuits, of 2^K rows: the K of your own SRS. Without it as many as cost least, with a leaning to 2^12 and
    /// 2^14, which the SRS of this program serves with 121 and 114 bits of soundness
    #[arg(long, value_name = "K")]
    max_k: Option<u32>,
    /// Accept outputs that are further from the source model's than `quantise.tolerance`
    #[arg(long)]
    accept_gap: bool,
    /// File to write
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Head {
    /// All scores
    Logits,
    /// Index of the greatest score, lowest index first
    Argmax,
}

/// Who sees a tensor.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Visibility {
    /// Part of the proof's statement
    Public,
    /// Hidden behind a commitment
    Private,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Optimize {
    /// Proof size times prover time (default)
    Balanced,
    /// Smallest proofs
    ProofSize,
    /// Fastest prover
    ProveTime,
    /// Least memory
    Memory,
}

fn parse_set(text: &str) -> Result<(String, Setting), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, for example seq=64")?;
    if name.trim().is_empty() {
        return Err("expected NAME=VALUE, for example seq=64".into());
    }
    let setting = value.trim().parse::<Setting>().map_err(|e| e.to_string())?;
    Ok((name.trim().to_string(), setting))
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    let options = compile::CompileOptions {
        data: args.data.clone(),
        config: args.config.clone(),
        set: args.set.iter().cloned().collect(),
        outputs: args.outputs.clone(),
        head: args.head.map(|h| match h {
            Head::Logits => compile::Head::Logits,
            Head::Argmax => compile::Head::Argmax,
        }),
        input: args.input.map(Into::into),
        output: args.output.map(Into::into),
        tokenizer: args.tokenizer.clone(),
        end: args.end.iter().map(|token| token.as_str().into()).collect(),
        max_temperature: args.max_temperature,
        optimize: args.optimize.map(|o| match o {
            Optimize::Balanced => compile::Optimize::Balanced,
            Optimize::ProofSize => compile::Optimize::ProofSize,
            Optimize::ProveTime => compile::Optimize::ProveTime,
            Optimize::Memory => compile::Optimize::Memory,
        }),
        max_k: args.max_k,
        quantise: Default::default(),
        accept_gap: args.accept_gap,
    };
    Ok(Report::new(compile::compile(&args.model, &options, &args.out, progress)?))
}

impl From<Visibility> for compile::Visibility {
    fn from(v: Visibility) -> Self {
        match v {
            Visibility::Public => compile::Visibility::Public,
            Visibility::Private => compile::Visibility::Private,
        }
    }
}

//! `nanozk prove`

use crate::report::Report;
use crate::values::{parse_bytes, parse_hex};
use nanozk_runtime::audit::{AnswerRequest, answer};
use nanozk_runtime::{Progress, prove};
use std::path::PathBuf;

/// Arguments of `prove`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nanozk prove keys/ --input input.json -o proof.nanozk\n  \
    nanozk prove keys/ --input input.json --layers 0-3 --nonce 5f3a -o proof.nanozk\n  \
    nanozk prove keys/ --challenge challenge.json --commitment answer.commit -o audit.nanozk\n\n\
    An interrupted run continues when it is started again with the same input, nonce and output file.")]
pub struct Args {
    /// Directory made by `nanozk setup`
    keys: PathBuf,
    /// Input (input.json or .npz)
    #[arg(long, value_name = "FILE", required_unless_present = "challenge")]
    input: Option<PathBuf>,
    /// Prove the layers that this challenge drew of a commitment, instead of an input
    #[arg(long, value_name = "FILE", requires = "commitment", conflicts_with_all = ["input", "layers", "nonce", "strict"])]
    challenge: Option<PathBuf>,
    /// The commitment, as `nanozk commit` wrote it, with its secrets beside it
    #[arg(long, value_name = "FILE", requires = "challenge")]
    commitment: Option<PathBuf>,
    /// Proof file to write
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
    /// Prove only these layers, as FIRST-LAST or one number
    #[arg(long, value_name = "A-B", value_parser = parse_layers)]
    layers: Option<(usize, usize)>,
    /// Verifier's challenge that the proof is bound to
    #[arg(long, value_name = "HEX", value_parser = parse_nonce)]
    nonce: Option<Nonce>,
    /// Refuse an input that saturates values inside the model: beyond what its sample data showed
    #[arg(long)]
    strict: bool,
    /// Most memory for proving layers, such as 4G or 800M; without, a share of what the machine has free
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
}

/// A nonce in bytes.
#[derive(Clone, Debug)]
pub struct Nonce(pub Vec<u8>);

/// Parses `--nonce`.
pub fn parse_nonce(text: &str) -> Result<Nonce, String> {
    match parse_hex(text)? {
        bytes if bytes.len() <= prove::MAX_NONCE => Ok(Nonce(bytes)),
        _ => Err(format!("at most {} bytes", prove::MAX_NONCE)),
    }
}

/// Parses FIRST-LAST or one number.
pub fn parse_layers(text: &str) -> Result<(usize, usize), String> {
    let (a, b) = text.split_once('-').unwrap_or((text, text));
    match (a.trim().parse(), b.trim().parse()) {
        (Ok(a), Ok(b)) if a <= b => Ok((a, b)),
        _ => Err("expected FIRST-LAST, for example 0-3".into()),
    }
}

/// Runs the command.
pub fn run(args: &Args, progress: &dyn Progress) -> anyhow::Result<Report> {
    if let (Some(challenge), Some(commitment)) = (args.challenge.clone(), args.commitment.clone()) {
        let (keys, out, memory) = (args.keys.clone(), args.out.clone(), args.memory);
        return Ok(Report::new(answer(&AnswerRequest { keys, challenge, commitment, out, memory }, progress)?));
    }
    let request = prove::Request {
        keys: args.keys.clone(),
        input: args.input.clone().unwrap_or_default(),
        out: args.out.clone(),
        layers: args.layers,
        nonce: args.nonce.clone().map(|n| n.0),
        strict: args.strict,
        memory: args.memory,
    };
    Ok(Report::new(prove::prove(&request, progress)?))
}

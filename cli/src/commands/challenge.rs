//! `nanozk challenge`

use super::prove::{Nonce, parse_nonce};
use crate::report::Report;
use crate::values::parse_hex;
use nanozk_runtime::audit::{ChallengeRequest, challenge};
use std::path::PathBuf;

/// Arguments of `challenge`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    nanozk challenge answer.commit --verifier verifier.nanozk --policy policy.yaml -o challenge.json\n  \
    nanozk challenge answer.commit --verifier verifier.nanozk --policy policy.yaml --beacon 8b1f... \
    --beacon-source \"drand quicknet 1234567\" -o challenge.json\n\n\
    Draw one challenge for one question, for the first commitment to it that you received.")]
pub struct Args {
    /// Commitment file made by `nanozk commit`
    commitment: PathBuf,
    /// Verifier file made by `nanozk setup`
    #[arg(long, value_name = "FILE")]
    verifier: PathBuf,
    /// Policy made by `nanozk audit plan`
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Value of a public beacon, published after you received the commitment; absent: randomness of this system
    #[arg(long, value_name = "HEX", value_parser = parse_beacon, requires = "beacon_source")]
    beacon: Option<Beacon>,
    /// Which beacon, and which of its values
    #[arg(long, value_name = "TEXT", requires = "beacon")]
    beacon_source: Option<String>,
    /// Nonce that you asked for: the commitment must carry it
    #[arg(long, value_name = "HEX", value_parser = parse_nonce)]
    nonce: Option<Nonce>,
    /// Input that you sent (input.json or .npz): the commitment must be to it
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Challenge file to write
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
}

/// A beacon's value.
#[derive(Clone, Debug)]
struct Beacon(Vec<u8>);

fn parse_beacon(text: &str) -> Result<Beacon, String> {
    parse_hex(text).map(Beacon)
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Report> {
    let Args { commitment, verifier, policy, beacon, beacon_source, nonce, input, out } = args.clone();
    let beacon = beacon.map(|value| value.0).zip(beacon_source);
    let nonce = nonce.map(|nonce| nonce.0);
    Ok(Report::new(challenge(&ChallengeRequest { commitment, verifier, policy, beacon, nonce, input, out })?))
}

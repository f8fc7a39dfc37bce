//! JSON files of Ethereum's KZG ceremony: its transcript of four sets of powers, and single sets as the consensus clients take
//! them. Points are compressed and in hexadecimal digits behind `0x`.

use std::io::Read;

use halo2curves::G2Affine;
use halo2curves::fft::best_fft;
use serde::Deserialize;

use super::checks::{checked, decode_compressed};
use super::{MAX_K, Srs, SrsError, check_k, root_of_unity};
use crate::field::{G1, G1Affine};
use crate::msm::to_affine;
use crate::points;

/// Both kinds of files. Of a transcript the contributions and their witness are left out: the pairings that every import makes
/// show that the powers are powers, and `[s]_2` tells whether they are the ceremony's.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    transcripts: Vec<Transcript>,
    #[serde(default)]
    g1_monomial: Vec<String>,
    #[serde(default)]
    g1_lagrange: Vec<String>,
    #[serde(default)]
    g2_monomial: Vec<String>,
}

#[derive(Deserialize)]
struct Transcript {
    #[serde(rename = "powersOfTau")]
    powers: Powers,
}

#[derive(Deserialize)]
struct Powers {
    #[serde(rename = "G1Powers")]
    g1: Vec<String>,
    #[serde(rename = "G2Powers")]
    g2: Vec<String>,
}

/// Imports one set of powers: of several the smallest that serves circuits of `2^rows` rows, or the largest.
pub(super) fn import(reader: impl Read, rows: Option<u32>) -> Result<Srs, SrsError> {
    let File { transcripts, g1_monomial, g1_lagrange, g2_monomial } = serde_json::from_reader(reader)?;
    let mut sets: Vec<Powers> = transcripts.into_iter().map(|transcript| transcript.powers).collect();
    sets.sort_by_key(|set| set.g1.len());
    let serves = |set: &Powers| rows.is_some_and(|rows| set.g1.len() >> rows > 0);
    if let Some(set) = sets.iter().find(|set| serves(set)).or(sets.last()) {
        return checked(log_size(set.g1.len())?, g1("monomial bases", &set.g1)?, g2(&set.g2)?);
    }
    let g2 = g2(&g2_monomial)?;
    if !g1_monomial.is_empty() {
        return checked(log_size(g1_monomial.len())?, g1("monomial bases", &g1_monomial)?, g2);
    }
    let k = log_size(g1_lagrange.len())?;
    let lagrange = g1("Lagrange bases", &g1_lagrange)?;
    // Files of both orders are in use: that of the domain, and that of its indices with their bits reversed.
    let reversed: Vec<G1Affine> =
        (0..lagrange.len()).map(|i| lagrange[i.reverse_bits().unbounded_shr(usize::BITS - k)]).collect();
    checked(k, monomial(k, &lagrange), g2).or_else(|_| checked(k, monomial(k, &reversed), g2))
}

/// `[s^i]_1 = sum_j w^(ij) [L_j(s)]_1`, for the polynomial `X^i` has the value `w^(ij)` at `w^j`.
fn monomial(k: u32, lagrange: &[G1Affine]) -> Vec<G1Affine> {
    let mut bases: Vec<G1> = lagrange.iter().map(G1::from).collect();
    best_fft(&mut bases, root_of_unity(k), k);
    to_affine(&bases)
}

pub(super) fn log_size(points: usize) -> Result<u32, SrsError> {
    if !points.is_power_of_two() {
        return Err(SrsError::Inconsistent("the number of its points of G1 is no power of two"));
    }
    let k = points.ilog2();
    check_k(k, MAX_K)?;
    Ok(k)
}

fn g1(part: &'static str, digits: &[String]) -> Result<Vec<G1Affine>, SrsError> {
    let bad = |index| SrsError::BadPoint { part, index };
    let bytes = digits.iter().enumerate().map(|(i, digits)| bytes(digits).ok_or(bad(i)));
    let decoded = points::decode(&bytes.collect::<Result<Vec<_>, _>>()?);
    decoded.into_iter().enumerate().map(|(i, point)| point.ok_or(bad(i))).collect()
}

/// The generator and `[s]_2`.
fn g2(digits: &[String]) -> Result<[G2Affine; 2], SrsError> {
    let point = |index: usize| {
        let bytes = digits.get(index).and_then(|digits| bytes::<96>(digits));
        bytes.and_then(|bytes| decode_compressed(&bytes)).ok_or(SrsError::BadPoint { part: "powers in G2", index })
    };
    Ok([point(0)?, point(1)?])
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits.strip_prefix("0x")?, &mut bytes).ok()?;
    Some(bytes)
}

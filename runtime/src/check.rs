//! `nanozk check`: what a verifier file says about its model holds.

use crate::{Refusal, Result, architecture, hex, keys, srs};
use nanozk_proof::key_proof::check as check_key;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// The verdict over a verifier file.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Whether the weights are integers in range, the tables the stated integers, and plans and keys those of the integer
    /// graphs.
    pub checked: bool,
    /// Why not: `cause; way out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
    /// Id of the model.
    pub model_id: String,
    /// Whether the caller named the model id that was expected.
    pub model_id_checked: bool,
    /// Number of weights.
    pub weights: u64,
    /// Widest range of a weight: `-2^(bits - 1) .. 2^(bits - 1)`.
    pub weight_bits: u32,
    /// Whether the range of every matrix is proven exactly, and not one of all weights by random projections.
    pub exact_ranges: bool,
    /// Number of distinct pair tables.
    pub tables: usize,
    /// Widest table: its values are in `-2^(bits - 1) .. 2^(bits - 1)`.
    pub table_bits: u32,
    /// Greatest side of an equation, log2: below 254, so that none wraps around the field.
    pub reach_bits: f64,
    /// What the id commits to, in a few sentences.
    pub architecture: Vec<String>,
    /// Time to check, without reading the file.
    pub check_seconds: f64,
    /// `-log2` of the probability that challenges let a false statement pass.
    pub statistical_bits: f64,
    /// True when the SRS matches no known ceremony.
    pub unsafe_srs: bool,
    /// Ceremony of the SRS, if it is a known one.
    pub ceremony: Option<&'static str>,
}

/// Checks a verifier file. An unreadable file is an error, a file that does not hold what it must a report.
///
/// # Errors
/// A file that cannot be read. What does not hold of one that can stands in the report.
pub fn check(verifier: &Path, model_id: Option<[u8; 32]>, allow_unsafe_srs: bool) -> Result<CheckReport> {
    let key = keys::read_verifier(verifier)?;
    let ceremony = key.srs.ceremony().map(|c| c.name);
    let mut report = CheckReport {
        checked: false,
        error: None,
        model_id: hex(&key.model_id()),
        model_id_checked: model_id.is_some(),
        weights: 0,
        weight_bits: 0,
        exact_ranges: false,
        tables: 0,
        table_bits: 0,
        reach_bits: 0.0,
        architecture: Vec::new(),
        check_seconds: 0.0,
        statistical_bits: 0.0,
        unsafe_srs: ceremony.is_none(),
        ceremony,
    };
    if model_id.is_some_and(|id| id != key.model_id()) {
        report.error =
            Some(Refusal::new("the file is of another model", "get the verifier file of the model you expect"));
        return Ok(report);
    }
    let start = Instant::now();
    let verdict = check_key(&key, allow_unsafe_srs);
    report.check_seconds = start.elapsed().as_secs_f64();
    match verdict {
        Ok(verdict) => {
            report.checked = true;
            report.weights = verdict.weights;
            report.weight_bits = verdict.bits;
            report.exact_ranges = verdict.exact;
            report.tables = verdict.tables;
            report.table_bits = verdict.table_bits;
            report.reach_bits = verdict.reach_bits;
            report.architecture = architecture::summary(&key)?;
            report.statistical_bits = verdict.budget.statistical_bits;
        }
        Err(error) => report.error = Some(Refusal::new(&error, error.way_out())),
    }
    Ok(report)
}

impl std::fmt::Display for CheckReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.checked {
            writeln!(f, "NOT CHECKED")?;
            writeln!(f, "model id   {}", self.model_id)?;
            return write!(f, "SRS        {}", srs::origin(self.ceremony));
        }
        writeln!(f, "CHECKED in {:.0} ms", self.check_seconds * 1e3)?;
        let checked = if self.model_id_checked { "as expected" } else { "compare it with the id you expect" };
        writeln!(f, "model id   {} ({checked})", self.model_id)?;
        let how = if self.exact_ranges { "" } else { ", by random projections" };
        writeln!(f, "weights    {}, integers of at most {} bits{how}", self.weights, self.weight_bits)?;
        match self.tables {
            0 => writeln!(f, "tables     none")?,
            tables => writeln!(f, "tables     {tables}, integers of at most {} bits, in the file", self.table_bits)?,
        }
        writeln!(f, "circuits   those of the integer graph")?;
        let marks = std::iter::once("model      ").chain(std::iter::repeat("           "));
        marks.zip(&self.architecture).try_for_each(|(mark, line)| writeln!(f, "{mark}{line}"))?;
        writeln!(f, "integers   at most 2^{:.0} in any equation, far from the field's 2^254", self.reach_bits)?;
        writeln!(f, "SRS        {}", srs::origin(self.ceremony))?;
        write!(f, "soundness  statistical {:.0} bits", self.statistical_bits)
    }
}

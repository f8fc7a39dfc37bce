//! The report as one page: tables and plots.

use super::plot::{Line, plot};
use super::report::{BenchReport, Measured};
use super::times::StepTimes;
use crate::page::{chart, escape, head, number};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The page.
pub fn page(report: &BenchReport) -> String {
    let models: Vec<(&str, &Measured)> =
        report.models.iter().filter_map(|m| Some((m.name.as_str(), m.measured.as_ref()?))).collect();
    let bars = |value: fn(&Measured) -> Option<f64>| -> Vec<(&str, f64)> {
        models.iter().filter_map(|(name, m)| Some((*name, value(m)?))).collect()
    };
    let mut page = head("nanozk bench", &format!("{}.", report.conditions()));
    let wall = |m: &Measured, step: &str| m.step(step).map(|s| s.wall_seconds_median);
    let prove = bars(|m| m.step("prove").map(|s| s.wall_seconds_median));
    page += &chart("Prove time, median", "s", &prove);
    page += &chart("Proof size", "B", &bars(|m| Some(m.proof.proof_bytes as f64)));
    page += &chart("Verify time (the check alone)", "ms", &bars(|m| Some(m.check_ms)));
    let measured: Vec<&Measured> = models.iter().map(|m| m.1).collect();
    page += &sweeps(&measured);
    page += "<h2>Steps</h2><table><tr><th>model<th>compile s<th>SRS s<th>setup s<th>prove s<th>prove CPU s\
             <th>prove peak MB<th>verify s<th>proof B<th>prover MB";
    for (name, m) in &models {
        let prove = m.step("prove");
        let cells = [
            number(wall(m, "compile")),
            number(wall(m, "srs")),
            number(wall(m, "setup")),
            number(wall(m, "prove")),
            number(prove.and_then(|s| s.cpu_seconds_median)),
            number(prove.and_then(|s: &StepTimes| s.peak_memory_mb)),
            number(wall(m, "verify")),
            m.proof.proof_bytes.to_string(),
            number(Some(m.sizes.prover_bytes as f64 / 1e6)),
        ];
        // Writing to a string cannot fail.
        let _ = write!(page, "<tr><td>{}<td>{}", escape(name), cells.join("<td>"));
    }
    page += "</table>";
    for (name, error) in report.models.iter().filter_map(|m| Some((&m.name, m.error.as_ref()?))) {
        let _ = write!(page, "<p>{} failed: {}</p>", escape(name), escape(error));
    }
    page + "</html>\n"
}

/// Cost against width and against tokens, over the models of one layer; each line keeps the other size fixed.
fn sweeps(models: &[&Measured]) -> String {
    let lines = |x: fn(&Measured) -> u64, fixed: (&str, fn(&Measured) -> u64), y: fn(&Measured) -> Option<f64>| {
        let mut lines: BTreeMap<u64, BTreeMap<u64, f64>> = BTreeMap::new();
        for m in models.iter().filter(|m| m.layers == 1 && x(m) > 0) {
            if let Some(value) = y(m).filter(|v| *v > 0.0) {
                lines.entry(fixed.1(m)).or_default().insert(x(m), value);
            }
        }
        let line = |(size, points): (u64, BTreeMap<u64, f64>)| Line {
            name: format!("{} = {size}", fixed.0),
            points: points.into_iter().map(|(x, y)| (x as f64, y)).collect(),
        };
        lines.into_iter().map(line).collect::<Vec<_>>()
    };
    let prove = |m: &Measured| m.step("prove").map(|s| s.wall_seconds_median);
    let bytes = |m: &Measured| Some(m.proof.proof_bytes as f64);
    let width: fn(&Measured) -> u64 = |m| m.width;
    let tokens: fn(&Measured) -> u64 = |m| m.tokens;
    let by_width = "width d (log scale)";
    let by_tokens = "tokens T (log scale)";
    plot("Prove time against width", [by_width, "s, median (log scale)"], &lines(width, ("T", tokens), prove))
        + &plot("Proof size against width", [by_width, "bytes (log scale)"], &lines(width, ("T", tokens), bytes))
        + &plot("Prove time against tokens", [by_tokens, "s, median (log scale)"], &lines(tokens, ("d", width), prove))
}

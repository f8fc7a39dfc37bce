//! What a step cost.

use super::step::Measure;
use serde::Serialize;

/// Cost of one step over its counted runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepTimes {
    /// Name of the step.
    pub step: &'static str,
    /// Least wall time.
    pub wall_seconds_min: f64,
    /// Median wall time.
    pub wall_seconds_median: f64,
    /// Median CPU time of all threads, where the system tells.
    pub cpu_seconds_median: Option<f64>,
    /// Greatest peak memory of the step's process, where the system tells.
    pub peak_memory_mb: Option<f64>,
}

impl StepTimes {
    /// Of at least one run.
    pub fn of(step: &'static str, runs: &[Measure]) -> Self {
        let wall = sorted(runs.iter().map(|r| r.wall_seconds));
        let cpu = sorted(runs.iter().filter_map(|r| r.cpu_seconds));
        let peak = runs.iter().filter_map(|r| r.peak_memory_mb).reduce(f64::max);
        StepTimes {
            step,
            wall_seconds_min: wall.first().copied().unwrap_or(f64::NAN),
            wall_seconds_median: median(&wall).unwrap_or(f64::NAN),
            cpu_seconds_median: median(&cpu),
            peak_memory_mb: peak,
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of ascending values; the mean of the two in the middle when their number is even.
fn median(values: &[f64]) -> Option<f64> {
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(wall_seconds: f64, peak: f64) -> Measure {
        Measure { wall_seconds, cpu_seconds: None, peak_memory_mb: Some(peak), report: serde_json::Value::Null }
    }

    #[test]
    fn runs_become_minimum_median_and_peak() {
        let times = StepTimes::of("prove", &[run(4.0, 10.0), run(1.0, 30.0), run(2.0, 20.0)]);
        assert_eq!((times.wall_seconds_min, times.wall_seconds_median), (1.0, 2.0));
        assert_eq!((times.cpu_seconds_median, times.peak_memory_mb), (None, Some(30.0)));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }
}

//! From one layer of each shape to the whole model.

use super::times::StepTimes;
use crate::compile::Excerpt;
use serde::Serialize;
use serde_json::Value;

/// What all layers would cost.
#[derive(Clone, Debug, Serialize)]
pub struct Extrapolated {
    /// Layers that were set up and proven.
    pub layers: usize,
    /// setup, prove and verify of all layers; no peak memory.
    pub steps: Vec<StepTimes>,
    /// Layer proofs and tensor commitments.
    pub proof_bytes: u64,
}

impl Extrapolated {
    /// From the times of the excerpt's steps, the weights of the whole model and the report of its prover.
    ///
    /// Setup costs what its weights cost. A layer's share of proving is the time that it took, or the bytes of its proof; the
    /// rest of the bytes, commitments to what layers pass on, grows with the number of layers, as verifying does.
    pub fn new(excerpt: &Excerpt, weights: u64, [setup, prove, verify]: [&StepTimes; 3], proven: &Value) -> Self {
        let own = proven["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let often = |layer: &Value| layer["shape"].as_u64().and_then(|s| excerpt.layers.get(s as usize)).copied();
        let sums = |field: &str| {
            let each =
                || own.iter().map(|layer| (layer[field].as_f64().unwrap_or(0.0), often(layer).unwrap_or(1) as f64));
            (each().map(|(one, _)| one).sum::<f64>(), each().map(|(one, times)| one * times).sum::<f64>())
        };
        let layers = excerpt.layers.iter().sum::<u64>() as f64 / own.len().max(1) as f64;
        let (one, all) = sums("prove_seconds");
        let rest = (proven["prove_seconds"].as_f64().unwrap_or(0.0) - one).max(0.0);
        let (bytes, all_bytes) = sums("proof_bytes");
        let others = proven["proof_bytes"].as_f64().unwrap_or(0.0) - bytes;
        let by_weights = weights as f64 / excerpt.weights.max(1) as f64;
        let steps = [
            times("setup of all", setup, by_weights),
            times("prove all", prove, (all + rest) / (one + rest).max(f64::MIN_POSITIVE)),
            times("verify all", verify, layers),
        ];
        let proof_bytes = (all_bytes + others * layers).round() as u64;
        Extrapolated { layers: own.len(), steps: steps.into(), proof_bytes }
    }
}

/// A step that takes `factor` times as long.
fn times(step: &'static str, of: &StepTimes, factor: f64) -> StepTimes {
    StepTimes {
        step,
        wall_seconds_min: of.wall_seconds_min * factor,
        wall_seconds_median: of.wall_seconds_median * factor,
        cpu_seconds_median: of.cpu_seconds_median.map(|seconds| seconds * factor),
        peak_memory_mb: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_counts_as_often_as_its_shape() {
        let step = |seconds| StepTimes {
            step: "step",
            wall_seconds_min: seconds,
            wall_seconds_median: seconds,
            cpu_seconds_median: Some(2.0 * seconds),
            peak_memory_mb: Some(1.0),
        };
        let excerpt = Excerpt { layers: vec![1, 22, 1], weights: 100 };
        let layer = |shape: u32, seconds: f64, bytes: u32| serde_json::json!({ "shape": shape, "prove_seconds": seconds, "proof_bytes": bytes });
        let proven = serde_json::json!({
            "layers": [layer(0, 1.0, 10), layer(1, 2.0, 20), layer(2, 3.0, 30)],
            "prove_seconds": 8.0,
            "proof_bytes": 66,
        });
        let whole = Extrapolated::new(&excerpt, 1000, [&step(5.0), &step(8.0), &step(0.5)], &proven);
        assert_eq!((whole.layers, whole.proof_bytes), (3, 10 + 22 * 20 + 30 + 6 * 8));
        let cpu: Vec<f64> = whole.steps.iter().filter_map(|s| s.cpu_seconds_median).collect();
        assert_eq!(cpu, [100.0, 2.0 * (1.0 + 44.0 + 3.0 + 2.0), 8.0]);
        assert!(whole.steps.iter().all(|s| s.peak_memory_mb.is_none()));
    }
}

//! Float graph and calibration in, integer model out.
//!
//! One residual scale serves all tensors between layers, so that they add without requantisation. Everything else gets
//! the finest scale that static bounds (or, with saturation, calibration) allow. See [`lower`] for the recipes.

mod builder;
mod cost;
mod encode;
mod error;
mod group;
mod lower;
pub mod soft_mask;
mod stats;
mod value;

pub use cost::{LookupCount, lookups};
pub use encode::{decode, encode, encode_tensor};
pub use error::QuantiseError;
pub use group::quantise;
pub use stats::{NodeStats, Stats};

use crate::config::{Config, Quantise, Visibility};
use nanozk_ir::float::{Graph, NodeId, Op};

/// Residual scale of models without normalisation, as a power of two.
const DEFAULT_RESIDUAL_BITS: u32 = 22;

/// The residual scale as a power of two.
fn residual_bits(config: &Quantise) -> u32 {
    config.residual_bits.unwrap_or(DEFAULT_RESIDUAL_BITS)
}

/// Units per 1.0 of the residual stream.
fn residual_scale(config: &Quantise) -> f64 {
    f64::from(residual_bits(config)).exp2()
}

/// How a real-valued model input becomes integers.
struct InputForm {
    /// Units per 1.0 of the tensor.
    scale: f64,
    /// Bits by which the tensor is coarser than the residual stream; 0 for an input that only linear maps read.
    shift: u32,
    /// Integers lie in `[-limit, limit)`.
    limit: i64,
}

/// Limbs of a private input.
const PRIVATE_LIMBS: u32 = 2;
/// Room above the largest calibrated input.
const INPUT_ROOM: f64 = 8.0;

/// Form of the input `id` whose largest calibrated magnitude is `peak`. A private one fills whole limbs, which its proof
/// checks; a public one is checked by the verifier and needs no limbs. An input that only linear maps read needs no
/// more resolution than an activation.
fn input_form(graph: &Graph, id: NodeId, config: &Config, peak: f64) -> InputForm {
    let (peak, limb) = (peak.max(1e-3), config.quantise.limb_bits());
    let linear = graph.consumers(id).iter().all(|&c| matches!(graph.dag[c].op, Op::Linear { .. }));
    let scale =
        if linear { (f64::from(limb) - 2.0 - peak.log2()).floor().exp2() } else { residual_scale(&config.quantise) };
    let limit = (peak * INPUT_ROOM * scale).log2().ceil();
    if config.input == Visibility::Public {
        return InputForm { scale, shift: 0, limit: limit.exp2() as i64 };
    }
    let bits = PRIVATE_LIMBS * limb - 1;
    let shift = (limit - f64::from(bits)).max(0.0) as u32;
    InputForm { scale: scale / f64::from(shift).exp2(), shift, limit: 1 << bits }
}

/// Bits that the largest calibrated output keeps.
const OUTPUT_BITS: f64 = 18.0;

/// Units per 1.0 of a model output: the residual scale, or finer for outputs of tiny magnitude.
fn output_scale(stats: &Stats, id: NodeId, config: &Quantise) -> f64 {
    let residual = residual_scale(config);
    let stats = stats.of(id);
    let peak = (0..stats.lo.len()).map(|j| stats.peak(j)).fold(0.0, f64::max);
    let missing = if peak > 0.0 { (OUTPUT_BITS - (peak * residual).log2()).ceil() } else { 0.0 };
    residual * missing.clamp(0.0, 20.0).exp2()
}

#[cfg(test)]
mod tests;

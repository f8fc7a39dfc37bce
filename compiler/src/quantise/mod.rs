//! Float graph and calibration in, integer model out.
//!
//! One scale serves all values that are added to each other, so that sums need no requantisation ([`scales`]). Everything
//! else gets the finest scale that static bounds (or, with saturation, calibration) allow. See [`lower`] for the recipes.

mod builder;
mod cost;
mod encode;
mod error;
mod group;
mod halve;
mod lower;
mod noise;
mod parked;
mod scales;
pub mod soft_mask;
mod stats;
mod straight;
mod ties;
mod trace;
mod value;

pub use cost::{LookupCount, lookups};
pub use encode::{decode, encode, encode_tensor};
pub use error::QuantiseError;
pub use group::quantise;
pub use halve::halve_limbs;
pub(crate) use parked::ParkedWeights;
pub use stats::{NodeStats, Stats};
pub use trace::{Quantised, Trace};

use crate::config::{Config, Visibility};
use nanozk_ir::float::{Graph, NodeId, Op};

/// Scale of exact values where nothing asks for another, as a power of two.
const DEFAULT_RESIDUAL_BITS: u32 = 22;

/// Bits of limbs for which constants are chosen.
const USUAL_BITS: u32 = 12;

/// How a real-valued model input becomes integers.
struct InputForm {
    /// Units per 1.0 of the tensor.
    scale: f64,
    /// Bits by which the tensor is coarser than its stream; 0 for an input that only linear maps read.
    shift: u32,
    /// Integers lie in `[-limit, limit)`.
    limit: i64,
}

/// Limbs of a private input.
const PRIVATE_LIMBS: u32 = 2;
/// Room above the largest calibrated input.
pub(crate) const INPUT_ROOM: f64 = 8.0;

/// Form of the input `id` whose largest calibrated magnitude is `peak` and whose stream has `scale` units per 1.0. A
/// private one fills whole limbs, which its proof checks; a public one is checked by the verifier and needs no limbs. An
/// input that only linear maps read needs no more resolution than an activation.
fn input_form(graph: &Graph, id: NodeId, config: &Config, peak: f64, scale: f64) -> InputForm {
    let (peak, limb) = (known(peak), config.quantise.limb_bits());
    let narrow = only_linear(graph, id).then(|| (f64::from(limb) - 2.0 - peak.log2()).floor().exp2());
    let scale = narrow.unwrap_or(scale);
    let limit = (peak * INPUT_ROOM * scale).log2().ceil();
    if config.input == Visibility::Public {
        return InputForm { scale, shift: 0, limit: limit.exp2() as i64 };
    }
    let bits = match config.quantise.compare {
        // As many as it needs of those half as wide.
        true => (((limit + 1.0) / f64::from(limb / 2)).ceil() as u32).clamp(1, 2 * PRIVATE_LIMBS) * (limb / 2) - 1,
        false => PRIVATE_LIMBS * limb - 1,
    };
    let shift = (limit - f64::from(bits)).max(0.0) as u32;
    InputForm { scale: scale / f64::from(shift).exp2(), shift, limit: 1 << bits }
}

/// Whether nothing but linear maps reads the value.
fn only_linear(graph: &Graph, id: NodeId) -> bool {
    graph.consumers(id).iter().all(|&c| matches!(graph.dag[c].op, Op::Linear { .. }))
}

/// A calibrated magnitude to divide by: 1 where nothing but zeros was seen, which says nothing about a scale.
fn known(magnitude: f64) -> f64 {
    if magnitude > 0.0 { magnitude } else { 1.0 }
}

#[cfg(test)]
mod tests;

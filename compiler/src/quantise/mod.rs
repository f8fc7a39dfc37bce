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
mod stats;
mod value;

pub use cost::{LookupCount, lookups};
pub use encode::{decode, encode};
pub use error::QuantiseError;
pub use group::quantise;
pub use stats::{NodeStats, Stats};

use crate::config::Quantise;

/// Units per 1.0 of the residual stream.
pub fn residual_scale(config: &Quantise) -> f64 {
    f64::from(config.residual_bits).exp2()
}

/// How a real-valued model input becomes integers.
struct InputForm {
    /// The tensor's scale is the residual scale divided by `2^shift`.
    shift: u32,
    /// Integers lie in `[-limit, limit)`.
    limit: i64,
}

/// Limbs of a private input.
const PRIVATE_LIMBS: u32 = 2;
/// Room above the largest calibrated input.
const INPUT_ROOM: f64 = 8.0;

/// Form of an input whose largest calibrated magnitude is `peak`. A private one fills whole limbs, which its proof
/// checks; a public one is checked by the verifier and needs no limbs.
fn input_form(config: &Quantise, peak: f64, private: bool) -> InputForm {
    let limit = (peak.max(1e-3) * INPUT_ROOM * residual_scale(config)).log2().ceil();
    if !private {
        return InputForm { shift: 0, limit: limit.exp2() as i64 };
    }
    let bits = PRIVATE_LIMBS * config.limb_bits - 1;
    InputForm { shift: (limit - f64::from(bits)).max(0.0) as u32, limit: 1 << bits }
}

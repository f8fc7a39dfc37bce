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
mod input;
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
pub use error::{Misfit, NoForm, QuantiseError};
pub use group::quantise;
pub use halve::halve_limbs;
pub(crate) use input::INPUT_ROOM;
pub(crate) use parked::ParkedWeights;
pub use stats::{NodeStats, Stats};
pub use trace::{Quantised, Trace};

#[cfg(test)]
mod tests;

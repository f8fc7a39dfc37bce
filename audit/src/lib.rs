//! The mathematics of audits: which layers of an answer are proven, drawn by a verifier after the provider committed to
//! it, and what such a policy catches.
//!
//! A [`Policy`] gives each layer an inclusion probability, an integer over [`UNIT`]; [`plan`] makes them from weights, a
//! floor and pinned layers. A [`Design`] draws exactly K layers without replacement, by integers alone from a seed of 32
//! bytes, and computes what that detects. A
//! [`Challenge`] is such a draw for one commitment.

mod challenge;
mod design;
mod detection;
mod digest;
mod draw;
mod plan;
mod policy;
#[cfg(test)]
mod tests;

pub use challenge::{Challenge, ChallengeError, Drawn, Randomness, Use};
pub use design::{Design, DesignError, UNIT};
pub use detection::over_answers;
pub use digest::Digest;
pub use plan::{PlanError, Weights, plan};
pub use policy::{Policy, PolicyError};

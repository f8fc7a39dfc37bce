//! Proving and verifying layers.
//!
//! One generic circuit ([`circuit`]) interprets a [`nanozk_plan::Plan`]. [`layer`] holds what both sides share,
//! [`prover`] and [`verifier`] the two sides, [`linear`] the equations between compressed slots.

#[cfg(test)]
extern crate self as nanozk_proof;

pub mod answer;
mod block;
pub mod budget;
pub mod bundle;
pub mod cell;
pub mod challenges;
pub mod circuit;
pub mod circuits;
pub mod columns;
mod compress;
#[cfg(target_arch = "x86_64")]
mod cpu;
mod domain;
pub mod error;
pub mod field;
mod fp;
pub mod guard;
pub mod hiding;
pub mod key_proof;
pub mod keygen;
pub mod keys;
pub mod layer;
pub mod linear;
pub mod misfit;
pub mod msm;
pub mod pcs;
mod plonk;
mod points;
pub mod prover;
pub mod publics;
pub mod sampling;
pub mod span_proof;
pub mod srs;
pub mod statement;
pub mod transcript;
pub mod verifier;
pub mod verify;
pub mod weights;
pub mod wire;
pub mod witness;

pub use domain::Domain;

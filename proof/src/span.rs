//! Proof that a re-randomised weight fold differs from the committed one on mask rows only.
//!
//! The fold of the committed weight columns would reveal one more linear function of their masks in every proof, and
//! the masks would run out. So each proof opens `W' = fold + sum_r delta_r [L_r]` over [`SPAN_ROWS`] mask rows, with a
//! proof of knowledge (Okamoto 1992) of the delta: `T = sum_r kappa_r [L_r]`, challenge c, `z_r = kappa_r + c delta_r`;
//! accepted when `sum_r z_r [L_r] = T + c (W' - fold)`.

use crate::{
    field::{Fr, G1},
    msm,
    transcript::LayerTranscript,
};
use ff::Field;
use halo2_proofs::transcript::Transcript;
use rand_core::RngCore;
use std::io;

/// Mask rows that re-randomise a fold.
pub const SPAN_ROWS: usize = 4;

/// The deltas with the nonces of their proof.
#[derive(Clone, Debug)]
pub struct Span {
    /// Added to the fold on the first [`SPAN_ROWS`] mask rows.
    pub delta: [Fr; SPAN_ROWS],
    kappa: [Fr; SPAN_ROWS],
}

impl Span {
    /// Fresh deltas and nonces.
    pub fn random(rng: &mut impl RngCore) -> Self {
        let mut draw = || std::array::from_fn(|_| Fr::random(&mut *rng));
        Span { delta: draw(), kappa: draw() }
    }

    /// `sum_r delta_r [L_r]`.
    pub fn offset(&self, basis: &[G1]) -> G1 {
        msm::lincomb(basis, &self.delta)
    }

    /// Writes T, draws c, writes the responses.
    pub fn prove(&self, basis: &[G1], transcript: &mut LayerTranscript) -> io::Result<()> {
        transcript.write(&msm::lincomb(basis, &self.kappa))?;
        let c: Fr = transcript.squeeze_challenge();
        for (kappa, delta) in self.kappa.iter().zip(&self.delta) {
            transcript.write(&(*kappa + c * delta))?;
        }
        Ok(())
    }
}

/// Reads a span proof for `difference = W' - fold`; `Ok(false)` when it does not hold.
pub fn verify(basis: &[G1], difference: G1, transcript: &mut LayerTranscript) -> io::Result<bool> {
    let t: G1 = transcript.read()?;
    let c: Fr = transcript.squeeze_challenge();
    let z: Vec<Fr> = (0..SPAN_ROWS).map(|_| transcript.read()).collect::<io::Result<_>>()?;
    Ok(msm::lincomb(basis, &z) == t + difference * c)
}

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
use nanozk_mutants::mutant;
use rand_core::RngCore;
use std::io;

pub use nanozk_plan::SPAN_ROWS;

/// The deltas with the nonces of their proof.
#[derive(Clone, Debug)]
pub struct SpanWitness {
    /// Added to the fold on the first [`SPAN_ROWS`] mask rows.
    pub delta: [Fr; SPAN_ROWS],
    kappa: [Fr; SPAN_ROWS],
}

impl SpanWitness {
    /// Fresh deltas and nonces.
    pub fn random(rng: &mut impl RngCore) -> Self {
        let mut draw = || std::array::from_fn(|_| Fr::random(&mut *rng));
        let delta: [Fr; SPAN_ROWS] = draw();
        let delta = mutant!(OneRandomRow, delta, std::array::from_fn(|r| if r == 0 { delta[0] } else { Fr::ZERO }));
        SpanWitness { delta, kappa: draw() }
    }

    /// `sum_r delta_r [L_r]`.
    pub fn offset(&self, basis: &[G1]) -> G1 {
        msm::lincomb(basis, &self.delta)
    }

    /// Writes T, draws c, writes the responses.
    ///
    /// # Errors
    /// Never: the transcript is memory.
    pub fn prove(&self, basis: &[G1], transcript: &mut LayerTranscript) -> io::Result<()> {
        transcript.write(&msm::lincomb(basis, &self.kappa))?;
        let c: Fr = transcript.squeeze_challenge();
        for (kappa, delta) in self.kappa.iter().zip(&self.delta) {
            transcript.write(&(*kappa + c * delta))?;
        }
        Ok(())
    }
}

/// A span proof as read, with its challenge.
#[derive(Clone, Debug)]
pub struct SpanProof {
    t: G1,
    c: Fr,
    z: Vec<Fr>,
}

impl SpanProof {
    /// Reads T, draws c, reads the responses.
    ///
    /// # Errors
    /// A proof that ends early or holds no such elements.
    pub fn read(transcript: &mut LayerTranscript) -> io::Result<Self> {
        let t = transcript.read()?;
        let c = transcript.squeeze_challenge();
        let z = (0..SPAN_ROWS).map(|_| transcript.read()).collect::<io::Result<_>>()?;
        Ok(SpanProof { t, c, z })
    }

    /// Terms that add up to 0 if it holds for `W' - sum_c factors[c] columns[c]`, where W' is `opened`.
    pub fn terms(&self, basis: &[G1], opened: G1, columns: &[G1], factors: &[Fr]) -> Vec<(Fr, G1)> {
        let responses = self.z.iter().copied().zip(basis.iter().copied());
        let fold = factors.iter().map(|f| self.c * f).zip(columns.iter().copied());
        responses.chain([(-Fr::ONE, self.t), (-self.c, opened)]).chain(fold).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use std::collections::HashSet;

    #[test]
    fn every_row_is_random() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let drawn: Vec<SpanWitness> = (0..2).map(|_| SpanWitness::random(&mut rng)).collect();
        let numbers: HashSet<_> = drawn.iter().flat_map(|span| span.delta.iter().chain(&span.kappa)).copied().collect();
        assert_eq!(numbers.len(), 2 * 2 * SPAN_ROWS, "numbers that re-randomise a fold are equal");
        assert!(!numbers.contains(&Fr::ZERO), "a row of a fold is not re-randomised");
    }
}

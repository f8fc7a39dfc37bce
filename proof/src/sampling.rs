//! Answers drawn at a temperature: the noise on the scores, which neither side can choose.
//!
//! The noise of token t follows from a seed and t ([`nanozk_ir::int::gumbel`] says how from its bits). The seed is a hash of
//! the model id, the verifier's nonce, the prompt and the temperature, so a provider cannot draw again, and the verifier
//! who chose the nonce before did not know what it would give. A bundle carries no noise, and its prefix absorbs none, for it
//! follows from what the prefix covers: prover and verifier compute it. It is 0 where no answer is drawn.

use crate::{
    keys::{TensorKey, VerifierKey, Visibility},
    transcript::Absorber,
};
use nanozk_ir::int::gumbel;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// The noise of one answer.
#[derive(Clone, Debug)]
pub struct Noise {
    seed: [u8; 32],
    temperature: u32,
    scale: f64,
    features: usize,
}

impl Noise {
    /// Noise on the scores that `tensor` is added to.
    pub fn new(model_id: &[u8; 32], tensor: &TensorKey, nonce: &[u8], prompt: &[u32], temperature: u32) -> Self {
        let mut absorber = Absorber::new("nanozk noise");
        absorber.bytes("model id", model_id);
        absorber.bytes("nonce", nonce);
        absorber.bytes("temperature", &temperature.to_le_bytes());
        let prompt: Vec<i64> = prompt.iter().map(|token| i64::from(*token)).collect();
        absorber.ints("prompt", &prompt);
        Noise { seed: absorber.digest(), temperature, scale: tensor.scale, features: tensor.features as usize }
    }

    /// Scores of a token.
    pub fn features(&self) -> usize {
        self.features
    }

    /// In thousandths.
    pub fn temperature(&self) -> u32 {
        self.temperature
    }

    /// The noise on the scores behind token `t`, in order: of the j-th eight bytes, little endian, of the ChaCha20 stream
    /// with the seed as key and t as nonce.
    pub fn row(&self, t: usize) -> Vec<i64> {
        let mut stream = ChaCha20Rng::from_seed(self.seed);
        stream.set_stream(t as u64);
        (0..self.features).map(|_| gumbel::noise(stream.next_u64(), self.temperature, self.scale)).collect()
    }
}

/// The tensor of noise of a model, if its answers can be drawn.
pub fn tensor(key: &VerifierKey) -> Option<u32> {
    key.tensors.iter().position(|tensor| tensor.visibility == Visibility::Noise).map(|id| id as u32)
}

/// Greatest temperature, in thousandths, at which all noise fits its tensor.
pub fn max_temperature(tensor: &TensorKey) -> u32 {
    let fits = |thousandths: &u32| {
        let (lo, hi) = gumbel::range(*thousandths, tensor.scale);
        tensor.lo <= lo && hi <= tensor.hi
    };
    let (mut fitting, mut end) = (0, gumbel::MAX_TEMPERATURE + 1);
    while fitting + 1 < end {
        let middle = fitting.midpoint(end);
        if fits(&middle) { fitting = middle } else { end = middle }
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Rows;

    /// Both ends of the noise have to fit.
    #[test]
    fn temperatures_have_room() {
        let tensor = |lo, hi| TensorKey {
            name: String::new(),
            features: 3,
            scale: 16.0,
            lo,
            hi,
            visibility: Visibility::Noise,
            rows: Rows::Padded,
        };
        let (lo, hi) = gumbel::range(1500, 16.0);
        assert_eq!(max_temperature(&tensor(i64::MIN, i64::MAX)), gumbel::MAX_TEMPERATURE);
        for (lo, hi) in [(lo, hi), (lo, i64::MAX), (i64::MIN, hi)] {
            let most = max_temperature(&tensor(lo, hi));
            assert!((1500..1600).contains(&most), "{most}");
        }
        assert!(max_temperature(&tensor(lo + 10, i64::MAX)) < 1500);
        assert!(max_temperature(&tensor(i64::MIN, hi - 10)) < 1500);
    }
}

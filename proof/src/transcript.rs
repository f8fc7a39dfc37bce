//! Fiat-Shamir: the prefix that binds a bundle, and the transcript of one layer.

use crate::field::{Fr, G1};
use ff::FromUniformBytes;
use group::GroupEncoding;
use halo2_proofs::transcript::{CircuitTranscript, Transcript};

/// Transcript of a layer proof.
pub type LayerTranscript = CircuitTranscript<blake2b_simd::State>;

/// A hash whose preimage is a sequence of labelled, length-prefixed parts.
#[derive(Clone)]
pub struct Absorber(blake2b_simd::State);

impl Absorber {
    /// Starts a hash for one purpose.
    pub fn new(domain: &str) -> Self {
        let mut this = Absorber(blake2b_simd::Params::new().hash_length(64).to_state());
        this.bytes("domain", domain.as_bytes());
        this
    }

    /// Absorbs bytes under a label.
    pub fn bytes(&mut self, label: &str, bytes: &[u8]) {
        for part in [label.as_bytes(), bytes] {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Absorbs integers under a label.
    pub fn ints(&mut self, label: &str, values: &[i64]) {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.bytes(label, &bytes);
    }

    /// Absorbs points in compressed form under a label.
    pub fn points(&mut self, label: &str, points: &[G1]) {
        let bytes: Vec<u8> = points.iter().flat_map(|p| p.to_bytes().as_ref().to_vec()).collect();
        self.bytes(label, &bytes);
    }

    /// The first 32 bytes of the digest.
    pub fn digest(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(&self.0.finalize().as_bytes()[..32]);
        out
    }

    /// The digest as a field element.
    pub fn scalar(self) -> Fr {
        Fr::from_uniform_bytes(self.0.finalize().as_array())
    }
}

/// Starts the transcript of layer `index`: bound to the bundle by `prefix`.
pub fn begin(mut transcript: LayerTranscript, prefix: &Fr, index: u32, shape: u32) -> std::io::Result<LayerTranscript> {
    transcript.common(prefix)?;
    transcript.common(&Fr::from(index as u64))?;
    transcript.common(&Fr::from(shape as u64))?;
    Ok(transcript)
}

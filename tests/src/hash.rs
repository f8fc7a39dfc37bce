//! The hash of docs/protocol.md section 8: BLAKE2b-512 over parts, each with its label and both with their lengths.

use ff::FromUniformBytes;
use group::GroupEncoding;
use nanozk_proof::field::{Fr, G1};

/// A preimage, part by part.
pub struct Preimage(Vec<u8>);

impl Preimage {
    /// The preimage for one purpose.
    pub fn new(domain: &str) -> Self {
        Preimage(Vec::new()).bytes("domain", domain.as_bytes())
    }

    /// With one more part.
    pub fn bytes(mut self, label: &str, part: &[u8]) -> Self {
        for bytes in [label.as_bytes(), part] {
            self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            self.0.extend_from_slice(bytes);
        }
        self
    }

    /// With integers of 8 bytes.
    pub fn integers(self, label: &str, values: &[i64]) -> Self {
        self.bytes(label, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// With compressed points.
    pub fn points(self, label: &str, points: &[G1]) -> Self {
        self.bytes(label, &points.iter().flat_map(|p| p.to_bytes().as_ref().to_vec()).collect::<Vec<u8>>())
    }

    /// The first half of the hash.
    pub fn digest(&self) -> [u8; 32] {
        std::array::from_fn(|i| self.hash()[i])
    }

    /// The whole hash as a field element.
    pub fn scalar(&self) -> Fr {
        Fr::from_uniform_bytes(&self.hash())
    }

    fn hash(&self) -> [u8; 64] {
        *blake2b_simd::blake2b(&self.0).as_array()
    }
}

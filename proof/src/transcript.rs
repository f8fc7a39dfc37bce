//! Fiat-Shamir: the prefix that binds a bundle, and the transcript of one layer.

mod elements;

use crate::field::{Fr, G1};
use elements::Proof;
pub use elements::{Canonical, LayerHash};
use ff::FromUniformBytes;
use halo2_proofs::transcript::{Hashable, Sampleable, Transcript, TranscriptHash};
use std::io;

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
        self.bytes(label, &crate::wire::encode(points));
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

/// Transcript of a layer proof.
///
/// Once [`LayerTranscript::bind`] is called, common inputs are no longer absorbed: what Halo2 absorbs as common input
/// (the key's digest, the committed and the plain instance columns) is by then a function of what was absorbed before,
/// and hashing it again would cost more than the rest of verification.
#[derive(Clone, Debug)]
pub struct LayerTranscript {
    hash: LayerHash,
    proof: Proof,
    bound: bool,
}

/// What a transcript took in and gave out.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    /// An element of the proof: these bytes of it.
    Read(std::ops::Range<usize>),
    /// A challenge.
    Challenge(Fr),
}

#[cfg(test)]
thread_local! {
    static EVENTS: std::cell::RefCell<Vec<Event>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(test)]
fn record(event: Event) {
    EVENTS.with_borrow_mut(|events| events.push(event));
}

impl LayerTranscript {
    /// Starts the transcript of layer `index`, bound to the bundle by `prefix` and to the circuit by the digest of its
    /// verifying key.
    ///
    /// # Errors
    /// Never: the transcript is memory.
    pub fn begin(mut self, prefix: &Fr, index: u32, shape: u32, vk_digest: &Fr) -> io::Result<Self> {
        self.common(prefix)?;
        self.common(&Fr::from(index as u64))?;
        self.common(&Fr::from(shape as u64))?;
        self.common(vk_digest)?;
        Ok(self)
    }

    /// Decodes the points that stand at these bytes of the proof, before they are read. They are read where they stand
    /// whether or not they are named here: it only saves time.
    pub fn decode(&mut self, points: impl Iterator<Item = usize>) {
        self.proof.decode(points);
    }

    /// As many times [`Transcript::read`] of a point.
    ///
    /// # Errors
    /// A proof that ends early or holds no such points.
    pub fn read_points(&mut self, count: usize) -> io::Result<Vec<G1>> {
        (0..count).map(|_| self.read()).collect()
    }

    /// Stops absorbing common inputs.
    pub fn bind(&mut self) {
        self.bound = true;
    }
}

impl Transcript for LayerTranscript {
    type Hash = LayerHash;

    fn init() -> Self {
        Self::init_from_bytes(&[])
    }

    fn init_from_bytes(bytes: &[u8]) -> Self {
        LayerTranscript { hash: LayerHash::init(), proof: Proof::new(bytes), bound: false }
    }

    fn squeeze_challenge<T: Sampleable<LayerHash>>(&mut self) -> T {
        #[cfg(test)]
        record(Event::Challenge(Sampleable::<LayerHash>::sample(self.hash.clone().squeeze())));
        T::sample(self.hash.squeeze())
    }

    fn common<T: Hashable<LayerHash>>(&mut self, input: &T) -> io::Result<()> {
        if !self.bound {
            self.hash.absorb(&input.to_input());
        }
        Ok(())
    }

    fn read<T: Hashable<LayerHash>>(&mut self) -> io::Result<T> {
        #[cfg(test)]
        let start = self.proof.position();
        let element = T::read(&mut self.proof)?;
        self.hash.absorb(&element.to_input());
        #[cfg(test)]
        record(Event::Read(start..self.proof.position()));
        Ok(element)
    }

    fn write<T: Hashable<LayerHash>>(&mut self, input: &T) -> io::Result<()> {
        self.hash.absorb(&input.to_input());
        self.proof.append(&input.to_bytes());
        Ok(())
    }

    fn finalize(self) -> Vec<u8> {
        self.proof.into_bytes()
    }

    fn assert_empty(&mut self) -> io::Result<()> {
        if self.proof.is_read() { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

#[cfg(test)]
mod tests;

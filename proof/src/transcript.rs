//! Fiat-Shamir: the prefix that binds a bundle, and the transcript of one layer.

use crate::field::{Fr, G1};
use crate::wire::{self, POINT_BYTES};
use blake2b_simd::State;
use ff::FromUniformBytes;
use halo2_proofs::transcript::{CircuitTranscript, Hashable, Sampleable, Transcript};
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
    inner: CircuitTranscript<State>,
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

    /// As many times [`Transcript::read`] of a point, decoded and checked in parallel.
    ///
    /// # Errors
    /// A proof that ends early or holds no such points.
    pub fn read_points(&mut self, count: usize) -> io::Result<Vec<G1>> {
        let start = self.inner.buffer().position();
        let bytes = self.inner.buffer().get_ref().get(start as usize..).unwrap_or_default();
        let bytes =
            count.checked_mul(POINT_BYTES).and_then(|len| bytes.get(..len)).ok_or(io::ErrorKind::UnexpectedEof)?;
        let end = start + bytes.len() as u64;
        let points = wire::decode(bytes).ok_or_else(|| io::Error::other("an invalid curve point"))?;
        self.inner.buffer().set_position(end);
        #[cfg(test)]
        (start as usize..end as usize).step_by(POINT_BYTES).for_each(|at| record(Event::Read(at..at + POINT_BYTES)));
        points.iter().try_for_each(|point| self.inner.common(point))?;
        Ok(points)
    }

    /// Stops absorbing common inputs.
    pub fn bind(&mut self) {
        self.bound = true;
    }
}

impl Transcript for LayerTranscript {
    type Hash = State;

    fn init() -> Self {
        LayerTranscript { inner: CircuitTranscript::init(), bound: false }
    }

    fn init_from_bytes(bytes: &[u8]) -> Self {
        LayerTranscript { inner: CircuitTranscript::init_from_bytes(bytes), bound: false }
    }

    fn squeeze_challenge<T: Sampleable<State>>(&mut self) -> T {
        #[cfg(test)]
        record(Event::Challenge(self.inner.clone().squeeze_challenge()));
        self.inner.squeeze_challenge()
    }

    fn common<T: Hashable<State>>(&mut self, input: &T) -> io::Result<()> {
        if self.bound { Ok(()) } else { self.inner.common(input) }
    }

    fn read<T: Hashable<State>>(&mut self) -> io::Result<T> {
        #[cfg(test)]
        let start = self.inner.buffer().position() as usize;
        let element = self.inner.read()?;
        #[cfg(test)]
        record(Event::Read(start..self.inner.buffer().position() as usize));
        Ok(element)
    }

    fn write<T: Hashable<State>>(&mut self, input: &T) -> io::Result<()> {
        self.inner.write(input)
    }

    fn finalize(self) -> Vec<u8> {
        self.inner.finalize()
    }

    fn assert_empty(&mut self) -> io::Result<()> {
        self.inner.assert_empty()
    }
}

#[cfg(test)]
mod tests;

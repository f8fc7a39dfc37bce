//! What the processor offers beyond its basic instructions.

/// A witness that this machine has the 52-bit multiply-add instructions of AVX-512: only [`Ifma::detect`] makes one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ifma(());

impl Ifma {
    /// Asks the processor.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")).then_some(Ifma(()))
    }
}

//! How long calls tell what they do.

/// Receives the steps of a long call. Methods may be called from several threads.
///
/// Whoever wants the call to stop unwinds from a method ([`std::panic::resume_unwind`]): files are written whole or not at
/// all, and not after that.
pub trait Progress: Sync {
    /// A stage of `steps` steps begins; it ends when the next one begins or [`Progress::finish`] is called.
    fn stage(&self, what: &str, steps: u64);
    /// One step of the stage is done.
    fn step(&self);
    /// The call is done.
    fn finish(&self);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: u64) {}
    fn step(&self) {}
    fn finish(&self) {}
}

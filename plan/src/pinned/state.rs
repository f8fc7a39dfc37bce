//! What the analysis knows of slots.

/// What is known of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Unknown,
    Bounded,
    Determined,
}

/// For every slot, how many equations (relations and claims) and how many operands (left or right) and functionals read it.
pub type Reads = Vec<(u32, u32)>;

//! A lowered layer: the plan, and how a prover computes its cells from the values of the graph's nodes.

use super::options::Choices;
use nanozk_ir::int::ValueId;
use nanozk_plan::{Plan, SlotId};
use serde::{Deserialize, Serialize};

/// An integer quantity of a node, `[tokens, features]` (or the width said below).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// The node's value.
    Value,
    /// The square of the node's value.
    Square,
    /// Requant: `x + half - 2^S floor(..)`. Recip: `C - r z`. Attend: the same of the raw score.
    Remainder,
    /// Requant with clamp: what exceeds the greatest value. Attend: `m - s - d` (any integer where hidden).
    Over,
    /// Requant with clamp: what falls short of the least value.
    Under,
    /// Recip: `z - 1 - remainder`.
    Gap,
    /// Recip: `r z`.
    Product,
    /// RSqrt: `r^2 v`.
    Cubic,
    /// RSqrt: `r v`.
    Linear,
    /// RSqrt: `C - r^2 v`.
    Low,
    /// RSqrt: `(r + 1)^2 v - 1 - C`.
    High,
    /// Attend, ArgMax: the greatest of each group `[tokens, groups]`.
    Max,
    /// Attend: `d = min(m - s, 2^b - 1)`. ArgMax: `max - x`. As wide as the operand.
    Distance,
    /// Attend, ArgMax: 1 at the lowest index of the maximum. As wide as the operand. Embed: 1 at the id of each position,
    /// `[tokens, positions * vocabulary]`.
    IsMax,
    /// ArgMax: 1 at indices below the winner.
    Below,
    /// ArgMax: distance less [`Part::Below`].
    Excess,
    /// Quantity of this index of an op of the registry: see [`nanozk_ir::int::gadgets::Meaning::parts`].
    Own(u8),
}

/// Cells of `count` consecutive slots: slot i holds, for every token, limb `limb` (or all) of `add + quantity` of
/// feature `first + i`. Before slots have numbers, `S` is a place in a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fill<S = SlotId> {
    /// First slot.
    pub slot: S,
    /// Slots.
    pub count: u32,
    /// Node.
    pub node: ValueId,
    /// Quantity of that node.
    pub part: Part,
    /// Feature of the first slot.
    pub first: u32,
    /// Added first.
    pub add: i64,
    /// `(index, limbs)`: b-bit limb `index` of a quantity in `[0, 2^(limbs b))`; `None`: the quantity itself.
    pub limb: Option<(u32, u32)>,
}

/// A lowered layer shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lowered {
    /// What the plan depends on beside the graph.
    pub choices: Choices,
    /// What is proven.
    pub plan: Plan,
    /// How the prover fills the lanes.
    pub fills: Vec<Fill>,
}

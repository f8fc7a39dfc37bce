//! A lowered layer: the plan, and how a prover computes its cells from the values of the graph's nodes.

use super::options::Choices;
use nanozk_ir::int::ValueId;
use nanozk_plan::{Plan, SlotId};
use serde::{Deserialize, Serialize};

/// An integer quantity of a node, `[tokens, features]` (or the width said below).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Quantity {
    /// The node's value.
    Value,
    /// The square of the node's value.
    Square,
    /// A quantity of its own of this index: see [`nanozk_ir::int::ops::Meaning::parts`].
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
    pub quantity: Quantity,
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

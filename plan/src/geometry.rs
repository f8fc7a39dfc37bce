//! Rows of a layer's circuit.

use serde::{Deserialize, Serialize};

/// Uniformly random rows at the end of the usable part of every committed column.
pub const MASK_ROWS: usize = 8;

/// Mask rows that re-randomise a fold of weights: one for each value of it that a proof reveals, its commitment and its opening
/// at x.
pub const SPAN_ROWS: usize = 2;

/// Rows that Halo2 keeps for its own blinding, and the last row of the running sums.
const RESERVED_ROWS: usize = 7;

/// How a column of `2^k` rows is used: `groups` slots of `tokens` data rows from row 0, then one row that closes the
/// running sums, and [`MASK_ROWS`] random rows at the end of the usable part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Geometry {
    /// Rows are `2^k`.
    pub k: u32,
    /// Width b of the range table.
    pub limb_bits: u32,
    /// Rows of a slot: the tokens T.
    pub tokens: u32,
    /// Slots of a lane.
    pub groups: u32,
}

impl Geometry {
    /// The geometry with the most slots for `2^k` rows; `None` when a slot or the range table does not fit.
    pub fn new(k: u32, limb_bits: u32, tokens: u32) -> Option<Self> {
        let groups = (Self::room(k) / tokens.max(1) as usize) as u32;
        let geometry = Geometry { k, limb_bits, tokens: tokens.max(1), groups };
        (groups > 0 && geometry.rows() >= 1 << limb_bits).then_some(geometry)
    }

    /// Most data rows of a column of `2^k` rows: one row and the masks follow them.
    pub fn room(k: u32) -> usize {
        (1usize << k).saturating_sub(MASK_ROWS + RESERVED_ROWS)
    }

    /// Data rows: `groups * tokens`.
    pub fn rows(&self) -> usize {
        self.groups as usize * self.tokens as usize
    }

    /// Rows a column may use: `2^k` less Halo2's own.
    pub fn usable(&self) -> usize {
        (1 << self.k) - RESERVED_ROWS + 1
    }

    /// Rows `usable - MASK_ROWS .. usable`, which hold the masks.
    pub fn mask_rows(&self) -> std::ops::Range<usize> {
        self.usable() - MASK_ROWS..self.usable()
    }

    /// Whether slots are compressed over tokens (with one token, a compressed slot is the cell itself).
    pub fn compressed(&self) -> bool {
        self.tokens > 1
    }

    /// Row of token `t` in the slot `slot` of its lane.
    pub fn row(&self, slot: u32, t: u32) -> usize {
        (slot % self.groups) as usize * self.tokens as usize + t as usize
    }
}

//! The plan's vocabulary.

use crate::{Functional, Geometry};
use serde::{Deserialize, Serialize};

/// Index of a lane.
pub type LaneId = u32;
/// Index of a fixed column.
pub type FixedId = u32;
/// A compressed slot: `lane * groups + group`; from `lanes * groups` on, the public slots in the order of
/// [`Plan::publics`].
pub type SlotId = u32;

/// A committed column of small integers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// What it holds, for tables and errors.
    pub name: String,
    /// Set when the lane belongs to a boundary tensor: its commitment is shared with the neighbour layer.
    pub boundary: Option<Port>,
}

/// A port of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Port {
    /// Input port.
    Input(u32),
    /// Output port.
    Output(u32),
}

/// A committed boundary tensor: feature f is slot `lanes[f / groups] * groups + f % groups`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Boundary {
    /// Which port.
    pub port: Port,
    /// Its lanes; empty for a public tensor, which has no commitment.
    pub lanes: Vec<LaneId>,
    /// Features per token.
    pub features: u32,
}

/// A fixed column: `value` on `start..start + len` for each run, 0 elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FixedColumn {
    /// What it selects, for tables.
    pub name: String,
    /// Disjoint ascending runs `(start, len, value)`.
    pub runs: Vec<(u32, u32, i64)>,
}

/// `sum coef * lane + constant` within one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RowForm {
    /// Lanes with their factors.
    pub terms: Vec<(LaneId, i64)>,
    /// Added constant.
    pub constant: i64,
}

/// `selector * (a * b - c) = 0` on every row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Gate {
    /// What it enforces.
    pub name: String,
    /// Fixed 0/1 column; `None` stands for all data rows.
    pub selector: Option<FixedId>,
    /// Left factor.
    pub a: RowForm,
    /// Right factor.
    pub b: RowForm,
    /// The product's value.
    pub c: RowForm,
}

/// Which table a lookup reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tag {
    /// The same table on every row. 0 is the range table `(v, 0)`, `0 <= v < 2^b`; `i + 1` is pair table i.
    Table(u32),
    /// The table number stands in this fixed column.
    Fixed(FixedId),
}

/// On every data row, `(a, b)` is a row of the tagged table (`b` absent: 0), except where `mask` is 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lookup {
    /// Lane of the key.
    pub a: LaneId,
    /// Lane of the value.
    pub b: Option<LaneId>,
    /// The table.
    pub tag: Tag,
    /// Fixed 0/1 column over the data rows: where it is 0 nothing is looked up. `None`: everywhere.
    pub mask: Option<FixedId>,
}

/// A run of public slots: their compressed values are computed by the verifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Public {
    /// One slot: 1 for every token.
    One,
    /// `count` slots: parameter `first + i` of the layer for every token.
    Param {
        /// First parameter.
        first: u32,
        /// Number of slots.
        count: u32,
    },
    /// `tokens` slots: slot i is 1 at token i, 0 elsewhere.
    Position,
    /// `count` slots: slot i is 1 where a feature of a public tensor equals i.
    OneHot {
        /// The tensor.
        port: Port,
        /// Its feature.
        feature: u32,
        /// Number of slots (vocabulary, or what the feature is an index of).
        count: u32,
    },
    /// `features` slots of a structural constant, row-major `[rows, features]`, `rows` 1 or `tokens`.
    Const {
        /// 1 or the number of tokens.
        rows: u32,
        /// Number of slots.
        features: u32,
        /// Row-major data.
        data: Vec<i64>,
    },
    /// `features` slots of a public boundary tensor.
    Tensor {
        /// The tensor.
        port: Port,
        /// Number of slots.
        features: u32,
    },
}

/// `coef * V[slot + i * stride]` for repetition i of the block it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Term {
    /// Factor.
    pub coef: i64,
    /// Slot of repetition 0.
    pub slot: SlotId,
    /// Step per repetition.
    pub stride: i32,
}

/// `rho^(r0 + i dr) eta^(e0 + i de)` for repetition i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Monomial {
    /// Exponent of rho and its step.
    pub rho: (u32, i32),
    /// Exponent of eta and its step.
    pub eta: (u32, i32),
}

/// `count` equations: `sum terms = 0` for each repetition. Every equation gets its own power of lambda.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Relation {
    /// Repetitions.
    pub count: u32,
    /// Summands.
    pub terms: Vec<Term>,
}

/// Left side of the bilinear identity: `sum_i monomial_i * (sum terms)`. The monomials of all claims of a plan are
/// distinct, so that every output is bound by its own coefficient.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Repetitions.
    pub count: u32,
    /// Factor of each repetition.
    pub monomial: Monomial,
    /// Summands.
    pub terms: Vec<Term>,
}

/// Adds `monomial_i * (sum terms)` to row `row + i * row_stride` of A, or of B; several operands may add to one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operand {
    /// Row of repetition 0.
    pub row: u32,
    /// Step of the row.
    pub row_stride: u32,
    /// Repetitions.
    pub count: u32,
    /// Factor of each repetition.
    pub monomial: Monomial,
    /// Summands.
    pub terms: Vec<Term>,
}

/// Where a hidden matrix stands in the weight columns: with `s = ceil(outputs / columns)`, entry `(i, j)` is at row
/// `row + i * s + j / columns` of column `j % columns`. `A` carries `rho^(o + (j / columns) * columns) x_i` there, for
/// each position that the matrix serves with an o of its own, and the folded weights are `sum_c rho^c w_c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WeightTile {
    /// Index into the layer's weights.
    pub weight: u32,
    /// First row.
    pub row: u32,
    /// Rows of the matrix.
    pub inputs: u32,
    /// Columns of the matrix.
    pub outputs: u32,
}

impl WeightTile {
    /// One past its last row, where there are `columns` weight columns.
    pub fn end(&self, columns: u32) -> u32 {
        self.row.saturating_add(self.inputs.saturating_mul(self.outputs.div_ceil(columns.max(1))))
    }
}

/// The circuit of one layer shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Plan {
    /// Rows.
    pub geometry: Geometry,
    /// Committed columns.
    pub lanes: Vec<Lane>,
    /// Boundary tensors, inputs first, by port.
    pub boundaries: Vec<Boundary>,
    /// Fixed columns.
    pub fixed: Vec<FixedColumn>,
    /// Row gates.
    pub gates: Vec<Gate>,
    /// Lookups.
    pub lookups: Vec<Lookup>,
    /// Number of pair tables.
    pub tables: u32,
    /// Number of layer parameters.
    pub params: u32,
    /// Public slots.
    pub publics: Vec<Public>,
    /// Linear equations over compressed slots.
    pub relations: Vec<Relation>,
    /// Left side of the bilinear identity.
    pub claims: Vec<Claim>,
    /// The column A of the bilinear identity.
    pub operands: Vec<Operand>,
    /// Hidden matrices in the weight columns.
    pub tiles: Vec<WeightTile>,
    /// Number of weight columns C (0 without weights).
    pub weight_columns: u32,
    /// Rows of B that are products' activation side.
    pub functionals: Vec<Functional>,
    /// Rows of B that are products' activation side where there is one token: V is the cells themselves then, and a
    /// product of two linear forms of it is a product of activations.
    pub right_operands: Vec<Operand>,
}

impl Plan {
    /// Compressed slots of lanes (public slots follow).
    pub fn lane_slots(&self) -> u32 {
        self.lanes.len() as u32 * self.geometry.groups
    }

    /// Slots of one run of publics.
    pub fn public_len(&self, public: &Public) -> u32 {
        match public {
            Public::One => 1,
            Public::Param { count, .. } | Public::OneHot { count, .. } => *count,
            Public::Position => self.geometry.tokens,
            Public::Const { features, .. } | Public::Tensor { features, .. } => *features,
        }
    }

    /// The runs of public slots, each with its first slot.
    pub fn public_runs(&self) -> impl Iterator<Item = (SlotId, &Public)> {
        self.publics.iter().scan(self.lane_slots(), |next, public| {
            let first = *next;
            *next += self.public_len(public);
            Some((first, public))
        })
    }

    /// Lane slots plus public slots.
    pub fn slots(&self) -> u32 {
        self.lane_slots() + self.publics.iter().map(|p| self.public_len(p)).sum::<u32>()
    }

    /// Rows of A (and B) in use: those of operands and of matrices.
    pub fn operand_rows(&self) -> u32 {
        let operands = self.operands.iter().chain(&self.right_operands);
        let operands = operands.map(|o| o.row + o.row_stride * (o.count.max(1) - 1) + 1);
        operands.chain(self.tiles.iter().map(|tile| tile.end(self.weight_columns))).max().unwrap_or(0)
    }

    /// Number of terms of all repetitions of relations, claims and operands, a factor of its own counted as one.
    pub fn repeated_terms(&self) -> u64 {
        let relations = self.relations.iter().map(|r| (r.count, r.terms.len()));
        let claims = self.claims.iter().map(|c| (c.count, 1 + c.terms.len()));
        let operands = self.operands.iter().chain(&self.right_operands).map(|o| (o.count, 1 + o.terms.len()));
        relations.chain(claims).chain(operands).map(|(count, terms)| u64::from(count) * terms as u64).sum()
    }

    /// Number of equations of all relations.
    pub fn equations(&self) -> u32 {
        self.relations.iter().map(|r| r.count).sum()
    }

    /// Columns that hold V: `ceil(lane_slots / rows)` when slots are compressed, else 0 (the lanes themselves serve).
    pub fn v_columns(&self) -> u32 {
        if self.geometry.compressed() { self.lane_slots().div_ceil(self.geometry.rows() as u32) } else { 0 }
    }
}

//! Where cells will live: families of slots that become lanes when a geometry is fixed.

use super::expr::SpaceId;
use nanozk_plan::Port;

/// Unaligned cells under the range table.
pub const RANGE: SpaceId = 0;
/// Unaligned cells without lookup.
pub const RAW: SpaceId = 1;
/// Signed copies of keys (right operands whose tokens are summed).
pub const ETA: SpaceId = 2;
/// Signed copies of values (right operands whose tokens are rows).
pub const ROW: SpaceId = 3;

/// What holds for the cells of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceKind {
    /// One of [`RANGE`], [`RAW`], [`ETA`], [`ROW`].
    Pool,
    /// A column of an aligned strip.
    Column,
    /// A committed boundary tensor.
    Boundary(Port),
}

/// A family of slots; indices are contiguous.
#[derive(Clone, Debug)]
pub struct Space {
    /// Name of its lanes.
    pub name: String,
    /// What it is.
    pub kind: SpaceKind,
    /// Slots in use.
    pub len: u32,
}

/// A lookup of a strip: column of the key, column of the value, table tag (0: range).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripLookup {
    /// Column of the key.
    pub a: usize,
    /// Column of the value.
    pub b: Option<usize>,
    /// Table tag.
    pub tag: u32,
    /// Whether hidden rows are exempt.
    pub visible_only: bool,
}

/// Rows on which a strip's gate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// All rows.
    Everywhere,
    /// Rows of tokens that see the slot.
    Visible,
    /// Rows of tokens that do not.
    Hidden,
}

/// `sum coef * column + constant`.
pub type ColumnForm = (Vec<(usize, i64)>, i64);

/// A gate `a * b = c` of a strip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripGate {
    /// What it enforces.
    pub name: &'static str,
    /// Where it holds.
    pub rows: Where,
    /// Left factor.
    pub a: ColumnForm,
    /// Right factor.
    pub b: ColumnForm,
    /// Product.
    pub c: ColumnForm,
}

/// What distinguishes strips: cells of equal signatures stand in one strip. A row of zeros (and of `table[0]` in value
/// columns) must satisfy all gates. Column 0 may hold range cells in slots that the strip leaves unused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name of the strip.
    pub name: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Lookups.
    pub lookups: Vec<StripLookup>,
    /// Gates.
    pub gates: Vec<StripGate>,
    /// Column whose unused slots may hold raw cells.
    pub spare_raw: Option<usize>,
}

/// Aligned columns.
#[derive(Clone, Debug)]
pub struct Strip {
    /// Its lookups and gates.
    pub signature: Signature,
    /// The space of each column.
    pub columns: Vec<SpaceId>,
    /// Slots in use.
    pub len: u32,
    /// `(slot, n)`: the first n tokens do not see the slot.
    pub hidden: Vec<(u32, u32)>,
}

/// The factor `column`.
pub fn column(index: usize) -> ColumnForm {
    (vec![(index, 1)], 0)
}

/// A constant factor.
pub fn constant(value: i64) -> ColumnForm {
    (Vec::new(), value)
}

//! Which Halo2 columns a plan needs, and in which order.

use nanozk_plan::Plan;
use nanozk_plan::cost::{functional_lanes, opened_lanes, products};

/// Fixed columns of every plan: active, data, first, last, index.
const NAMED: usize = 5;

/// Columns of the circuit of a plan. Committed instance columns come first, in the order of the fields up to
/// `tables`; then the plain instance columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Lanes that a gate, a lookup or a functional reads cell by cell. The others are seen through the fold only.
    pub opened: Vec<u32>,
    /// Columns that hold V (none when the lanes themselves serve).
    pub v: usize,
    /// 1 when the plan has a bilinear identity: column A.
    pub a: usize,
    /// 1 when there are products of two activations: column B.
    pub b: usize,
    /// 1 when there are weights: their fold.
    pub w: usize,
    /// 1 when slots are compressed: the fold of all lanes.
    pub fold: usize,
    /// Value columns of the pair tables.
    pub tables: usize,
    /// Lanes that functionals read, ascending.
    pub functionals: Vec<u32>,
    /// Fixed columns: those of [`crate::circuit::fixed_column_values`].
    pub fixed: usize,
}

impl Columns {
    /// The columns of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let [a, b, w] = products(plan).map(|column| column as usize);
        Columns {
            opened: opened_lanes(plan).into_iter().collect(),
            v: plan.v_columns() as usize,
            a,
            b,
            w,
            fold: usize::from(plan.geometry.compressed()),
            tables: plan.tables as usize,
            functionals: functional_lanes(plan).into_iter().collect(),
            fixed: plan.fixed.len() + NAMED,
        }
    }

    /// Number of committed instance columns.
    pub fn committed(&self) -> usize {
        self.opened.len() + self.v + self.a + self.b + self.w + self.fold + self.tables
    }

    /// Columns that Omega_V multiplies: V, or the lanes when slots are not compressed.
    pub fn omega_v(&self) -> usize {
        if self.fold == 1 { self.v } else { self.opened.len() }
    }

    /// Number of plain instance columns: Omega_V, Omega_C, Omega_F, Omega_A, Omega_B, the constant, the fixed columns. The
    /// verifier evaluates them itself.
    pub fn plain(&self) -> usize {
        self.omega_v() + self.fold + self.functionals.len() + self.a + self.b + 1 + self.fixed
    }
}

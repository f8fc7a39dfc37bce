//! Predicted cost of a plan, before anything is generated.

use crate::hiding::FRACTIONS_PER_HELPER;
use crate::{LaneId, Plan, SPAN_ROWS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a layout minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Seconds, and proof bytes a little more: one prover spends the seconds, all who check an answer fetch its bytes.
    #[default]
    Balanced,
    /// Proof bytes.
    ProofSize,
    /// Seconds to prove.
    ProveTime,
    /// Peak memory.
    Memory,
}

/// Exponent of the proof bytes where they are weighed against the seconds.
const BYTES_EXPONENT: f64 = 1.25;
/// Seconds per row of a dense committed column (large scalars).
const DENSE_ROW_SECONDS: f64 = 1.4e-6;
/// Seconds per row that do not depend on the plan: the random polynomial, the quotient, the openings.
const ROW_SECONDS: f64 = 6e-6;
/// Seconds per row of a lane (small scalars).
const LANE_ROW_SECONDS: f64 = 0.36e-6;
/// Seconds of a layer that do not depend on the plan.
const BASE_SECONDS: f64 = 0.03;
/// Proof bytes of a commitment.
const POINT_BYTES: u64 = 48;
/// Proof bytes of a value.
const SCALAR_BYTES: u64 = 32;
/// Commitments beside those of columns: the random polynomial, two of the batched opening.
const OTHER_POINTS: u64 = 3;
/// Values beside those of columns: of the random polynomial, two of the batched opening.
const OTHER_SCALARS: u64 = 3;
/// Bytes of memory per row of any column: values, coefficients and values on one coset.
const ROW_BYTES: f64 = 32.0 + 40.0 + 40.0;
/// Memory that does not depend on the plan, in MB.
const BASE_MB: f64 = 20.0;

/// Predicted sizes and times of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Rows are `2^k`.
    pub k: u32,
    /// Data rows that hold a cell or a product row: the fullest column.
    pub rows: u64,
    /// Lookup arguments (each over all data rows).
    pub lookups: u32,
    /// Committed columns of small integers.
    pub lanes: u32,
    /// Lanes that gates, lookups or functionals open.
    pub opened_lanes: u32,
    /// Columns of field elements that the prover commits: lookup helpers, multiplicities, V, A, B, the running sum.
    pub dense_columns: u32,
    /// Fixed columns.
    pub fixed_columns: u32,
    /// Weight columns C.
    pub weight_columns: u32,
    /// Linear equations over compressed slots.
    pub equations: u32,
    /// Bytes of the proof and of the commitments of all its lanes, of which neighbours hold some in common.
    pub proof_bytes: u64,
    /// Seconds to prove on two cores.
    pub prove_seconds: f64,
    /// Peak memory of proving, in MB.
    pub memory_mb: f64,
}

/// Proof bytes at least of the cells of `plan` in lanes of at most `2^k` rows: each lane is folded or opened.
pub fn least_bytes(plan: &Plan, k: u32) -> u64 {
    POINT_BYTES * ((plan.lanes.len() as u64) << plan.geometry.k.saturating_sub(k))
}

impl Cost {
    /// The number to minimise.
    pub fn score(&self, objective: Objective) -> f64 {
        match objective {
            Objective::Balanced => balanced(self.prove_seconds, self.proof_bytes as f64),
            Objective::ProofSize => self.proof_bytes as f64 + self.prove_seconds,
            Objective::ProveTime => self.prove_seconds,
            Objective::Memory => self.memory_mb,
        }
    }
}

/// What [`Objective::Balanced`] minimises, for one layer or the sums over several.
pub fn balanced(seconds: f64, bytes: f64) -> f64 {
    seconds * bytes.powf(BYTES_EXPONENT)
}

/// Predicts the cost of a plan.
pub fn cost(plan: &Plan) -> Cost {
    let lookups = plan.lookups.len() as u32;
    let tables = plan.tables + 1;
    let helpers = fractions(plan).div_ceil(FRACTIONS_PER_HELPER) as u32;
    let [left, right, _] = products(plan);
    let dense_columns = helpers + tables + plan.v_columns() + left + right + 1;
    let lanes = plan.lanes.len() as u32;
    let opened_lanes = opened_lanes(plan).len() as u32;
    let fixed_columns = plan.fixed.len() as u32;
    let size = (1u64 << plan.geometry.k) as f64;
    Cost {
        k: plan.geometry.k,
        rows: plan.operand_rows().max(plan.geometry.rows() as u32) as u64,
        lookups,
        lanes,
        opened_lanes,
        dense_columns,
        fixed_columns,
        weight_columns: plan.weight_columns,
        equations: plan.equations(),
        proof_bytes: proof_bytes(plan, u64::from(opened_lanes), u64::from(helpers)),
        prove_seconds: size
            * (dense_columns as f64 * DENSE_ROW_SECONDS + lanes as f64 * LANE_ROW_SECONDS + ROW_SECONDS)
            + BASE_SECONDS,
        memory_mb: size * ROW_BYTES * (dense_columns + lanes + fixed_columns) as f64 / 1e6 + BASE_MB,
    }
}

/// Bytes of the proof of a plan with these many opened lanes and helper columns, as sections 8 and 15 of docs/protocol.md
/// have them.
fn proof_bytes(plan: &Plan, opened_lanes: u64, helpers: u64) -> u64 {
    let compressed = u64::from(plan.geometry.compressed());
    let [left, right, weights] = products(plan).map(u64::from);
    let dense = u64::from(plan.v_columns()) + left + right + weights;
    let tables = u64::from(plan.tables);
    let advice = (tables + 1) + helpers + 1;
    let degree = (fractions(plan).min(FRACTIONS_PER_HELPER) as u64 + 1).max(3);
    let span = weights * (POINT_BYTES + SPAN_ROWS as u64 * SCALAR_BYTES);
    // The running sum is opened in the next row too.
    let opened = opened_lanes + dense + compressed + tables + advice + 1;
    POINT_BYTES * (plan.lanes.len() as u64 + dense + advice + (degree - 1) + OTHER_POINTS)
        + SCALAR_BYTES * (opened + OTHER_SCALARS)
        + span
}

/// Whether a plan has the columns A, B and W', in numbers.
pub fn products(plan: &Plan) -> [u32; 3] {
    let right = !plan.functionals.is_empty() || !plan.right_operands.is_empty();
    [!plan.operands.is_empty(), right, !plan.tiles.is_empty()].map(u32::from)
}

/// Fractions of the LogUp argument: lookups, then tables.
pub fn fractions(plan: &Plan) -> usize {
    plan.lookups.len() + plan.tables as usize + 1
}

/// Lanes that are opened: those that a gate, a lookup or a functional reads cell by cell, and all of them when nothing
/// is compressed. The others are seen through their fold only.
pub fn opened_lanes(plan: &Plan) -> BTreeSet<LaneId> {
    if !plan.geometry.compressed() {
        return (0..plan.lanes.len() as LaneId).collect();
    }
    let gates = plan.gates.iter().flat_map(|g| [&g.a, &g.b, &g.c]).flat_map(|form| form.terms.iter().map(|t| t.0));
    let lookups = plan.lookups.iter().flat_map(|l| std::iter::once(l.a).chain(l.b));
    gates.chain(lookups).chain(functional_lanes(plan)).collect()
}

/// Lanes that functionals read.
pub fn functional_lanes(plan: &Plan) -> BTreeSet<LaneId> {
    let entries = plan.functionals.iter().flat_map(|functional| &functional.entries);
    entries.map(|entry| entry.slot / plan.geometry.groups).collect()
}

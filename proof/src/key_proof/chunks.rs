//! The range of every weight, exactly: by identities cut from the model's own plans, so that a verifier derives them itself.
//!
//! A chunk takes some weight columns of circuits of one size, all their rows. Every weight has cells for its limbs, packed
//! without gaps, and the identity reads
//! `sum over entries (c, r) of rho^c eta^r (sum_j 2^(j b) limb_j - 2^(m b - 1)) = sum over c and r of rho^c eta^r w_c[r]`.

use super::identity::{Fold, Identity, Weights, circuit};
use crate::{challenges::Challenges, field::powers, keys::VerifierKey, layer::LayerKey, misfit::RangesMisfit};
use nanozk_plan::{Claim, Geometry, Monomial, Plan, Term};
use std::{collections::BTreeSet, sync::Arc};

/// Limb lanes of a chunk, at most (unless a single column needs more): bounds the memory of its proof.
const CHUNK_LANES: u64 = 64;

/// Limbs of a chunk, at most (unless a single column needs more): bounds the memory of its verifier.
const CHUNK_LIMBS: u64 = 1 << 22;

/// Outputs of all matrices of a model, at most: each is a claim of a chunk.
const MAX_OUTPUTS: u64 = 1 << 21;

/// Width of a weight of the integer model; the stated range may only be wider by less than a limb.
const WEIGHT_BITS: u32 = 32;

/// Entries of one weight column with the same number of limbs: `count` of them at rows `row`, `row + step`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First row.
    pub row: u32,
    /// Step of the row.
    pub step: u32,
    /// Number of entries.
    pub count: u32,
    /// Limbs of each.
    pub limbs: u32,
}

impl Run {
    fn cells(&self) -> u64 {
        self.count as u64 * self.limbs as u64
    }
}

/// A weight column of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its layer.
    pub layer: usize,
    /// Its index in the layer.
    pub index: usize,
    /// Where weights stand in it; it must be 0 on all other rows that a product reads.
    pub runs: Vec<Run>,
}

/// Weight columns whose ranges one proof shows.
#[derive(Clone)]
pub struct Chunk {
    /// The columns.
    pub columns: Vec<Column>,
    /// What is to be shown.
    pub identity: Identity,
}

/// Width of the limbs in circuits of `2^k` rows: that of the largest table that fits.
pub fn limb_bits(k: u32) -> u32 {
    k.saturating_sub(1)
}

/// Limbs that hold `-2^(m b - 1) <= w < 2^(m b - 1)` for every weight.
pub fn limbs_for(bits: u32, weights: &[i32]) -> u32 {
    let width = weights.iter().map(|w| 33 - if *w < 0 { !*w } else { *w }.leading_zeros()).max().unwrap_or(1);
    width.div_ceil(bits.max(1)).max(1)
}

/// `2^(m b - 1)`: what is added to a weight of m limbs to make it non-negative.
pub fn offset(bits: u32, limbs: u32) -> i64 {
    1 << (bits * limbs - 1)
}

/// Sizes of circuits in which the model has weights.
pub fn sizes(key: &VerifierKey) -> BTreeSet<u32> {
    let plans = key.layers.iter().map(|l| &key.shapes[l.shape as usize].plan);
    plans.filter(|p| p.weight_columns > 0).map(|p| p.geometry.k).collect()
}

/// The chunks of a model, whose weights have the given `limbs` by layer and tile. Deterministic: prover and verifier
/// call it alike.
///
/// # Errors
/// What does not fit, when the limbs are not those of the model's matrices or stand for wider integers than weights are.
pub fn chunks(key: &VerifierKey, limbs: &[Vec<u32>]) -> Result<Vec<Chunk>, RangesMisfit> {
    let matrices = key.layers.iter().map(|layer| key.shapes[layer.shape as usize].plan.tiles.len());
    if !matrices.eq(limbs.iter().map(Vec::len)) {
        return Err(RangesMisfit::Matrices);
    }
    let tiles = |layer: &LayerKey| key.shapes[layer.shape as usize].plan.tiles.iter();
    if key.layers.iter().flat_map(tiles).map(|t| t.outputs as u64).sum::<u64>() > MAX_OUTPUTS {
        return Err(RangesMisfit::Outputs);
    }
    let mut out = Vec::new();
    for k in sizes(key) {
        let geometry = Geometry::new(k, limb_bits(k), 1).ok_or(RangesMisfit::Table)?;
        let mut open: Vec<Column> = Vec::new();
        let mut cells = 0;
        for (layer, limbs) in limbs.iter().enumerate() {
            let plan = &key.shapes[key.layers[layer].shape as usize].plan;
            let most = WEIGHT_BITS.div_ceil(limb_bits(plan.geometry.k).max(1));
            if !limbs.iter().all(|m| (1..=most).contains(m)) {
                return Err(RangesMisfit::Layer { layer });
            }
            if plan.geometry.k != k {
                continue;
            }
            if plan.operand_rows() as usize > geometry.rows() {
                return Err(RangesMisfit::Rows { layer });
            }
            for column in columns(plan, layer, limbs) {
                let more: u64 = column.runs.iter().map(Run::cells).sum();
                if !open.is_empty() && cells + more > CHUNK_LIMBS.min(CHUNK_LANES * geometry.groups as u64) {
                    out.push(Chunk::new(key, geometry, std::mem::take(&mut open)));
                    cells = 0;
                }
                cells += more;
                open.push(column);
            }
        }
        if !open.is_empty() {
            out.push(Chunk::new(key, geometry, open));
        }
    }
    Ok(out)
}

/// The weight columns of a layer.
fn columns(plan: &Plan, layer: usize, limbs: &[u32]) -> Vec<Column> {
    let width = plan.weight_columns;
    let mut out: Vec<Column> = (0..width as usize).map(|index| Column { layer, index, runs: Vec::new() }).collect();
    for (tile, &limbs) in plan.tiles.iter().zip(limbs) {
        let step = tile.outputs.div_ceil(width.max(1));
        for output in 0..tile.outputs {
            let run = Run { row: tile.row + output / width, step, count: tile.inputs, limbs };
            out[(output % width) as usize].runs.push(run);
        }
    }
    out
}

impl Chunk {
    fn new(key: &VerifierKey, geometry: Geometry, columns: Vec<Column>) -> Self {
        let bits = geometry.limb_bits;
        let plan_of = |c: &Column| &key.shapes[key.layers[c.layer].shape as usize].plan;
        let rows = columns.iter().map(|c| plan_of(c).operand_rows()).max().unwrap_or(0) as usize;
        let plan = circuit(geometry, columns.iter().flat_map(|c| &c.runs).map(Run::cells).sum(), 1);
        let one = plan.lookups.len() as u32 * geometry.groups;
        let mut next = 0;
        let mut claims = Vec::new();
        for (c, column) in columns.iter().enumerate() {
            for run in &column.runs {
                let limb = |j: u32| Term { coef: 1 << (j * bits), slot: next + j * run.count, stride: 1 };
                let mut terms: Vec<Term> = (0..run.limbs).map(limb).collect();
                terms.push(Term { coef: -offset(bits, run.limbs), slot: one, stride: 0 });
                let monomial = Monomial { rho: (c as u32, 0), eta: (run.row, run.step as i32) };
                claims.push(Claim { count: run.count, monomial, terms });
                next += run.cells() as u32;
            }
        }
        let count = columns.len();
        let of_layer = |c: &[Column]| (c[0].layer, c[0].index..c[0].index + c.len());
        let fold = Fold {
            columns: columns.chunk_by(|a, b| a.layer == b.layer).map(of_layer).collect(),
            factors: Arc::new(move |ch: &Challenges| powers(ch.rho, count)),
            rows: Arc::new(move |ch: &Challenges| powers(ch.eta, rows)),
        };
        Chunk { columns, identity: Identity { plan: Arc::new(plan), claims, folds: vec![fold] } }
    }

    /// The limb lanes for weights. `None` if some are missing or do not fit.
    pub fn lanes_of(&self, weights: &Weights) -> Option<Vec<Vec<i64>>> {
        let geometry = self.identity.plan.geometry;
        let bits = geometry.limb_bits;
        let mut cells = Vec::new();
        for columns in self.columns.chunk_by(|a, b| a.layer == b.layer) {
            let layer = weights(columns[0].layer)?;
            for column in columns {
                let values = layer.columns.get(column.index)?;
                for run in &column.runs {
                    let values: Option<Vec<i32>> =
                        (0..run.count).map(|i| values.get((run.row + i * run.step) as usize).copied()).collect();
                    let values = values?;
                    for j in 0..run.limbs {
                        // The last limb takes what is left, so that a weight out of range makes a limb out of range.
                        let low = |v: i64| if j + 1 < run.limbs { v & ((1 << bits) - 1) } else { v };
                        let value = |w: &i32| i64::from(*w) + offset(bits, run.limbs);
                        cells.extend(values.iter().map(|w| low(value(w) >> (j * bits))));
                    }
                }
            }
        }
        cells.resize(self.identity.plan.lookups.len() * geometry.rows(), 0);
        Some(cells.chunks(geometry.rows()).map(<[i64]>::to_vec).collect())
    }

    /// Number of weights.
    pub fn weights(&self) -> u64 {
        self.columns.iter().flat_map(|c| &c.runs).map(|run| run.count as u64).sum()
    }
}

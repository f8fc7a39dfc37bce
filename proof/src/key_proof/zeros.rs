//! Rows of weight columns that a product reads and no weight is placed at: spare columns of a matrix whose outputs are no
//! multiple of the columns, and rows beside keys and values. There the columns must be 0.
//!
//! Columns with the same such rows share a fold. With the challenges theta, rho and eta, all of them are 0 if
//! `theta sum over these (c, r) of rho^c eta^r w_c[r] = 0`; theta keeps it apart from the projections.

use super::identity::Fold;
use crate::{
    challenges::Challenges,
    field::{Fr, series},
    keys::VerifierKey,
    misfit::RangesMisfit,
};
use ff::Field;
use nanozk_plan::Plan;
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// Folds of one size, at most.
const MOST_FOLDS: usize = 48;

/// Weight columns with the same rows at which no weight is placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zeros {
    /// The rows.
    pub rows: Vec<Range<u32>>,
    /// The columns.
    pub columns: Vec<Columns>,
}

/// A layer with the columns in question, and the number of columns of the model before them.
pub type Columns = (usize, Range<usize>, usize);

/// All of a model's columns in circuits of `2^k` rows that must be 0 somewhere.
///
/// # Errors
/// Columns of too many kinds.
pub fn zeros(key: &VerifierKey, k: u32) -> Result<Vec<Zeros>, RangesMisfit> {
    let of_shape = |plan: &Plan| if plan.geometry.k == k { unplaced(plan) } else { Some(Vec::new()) };
    let shapes: Option<Vec<Vec<Unplaced>>> = key.shapes.iter().map(|shape| of_shape(&shape.plan)).collect();
    let shapes = shapes.ok_or(RangesMisfit::Zeros)?;
    let mut groups: BTreeMap<Vec<(u32, u32)>, Vec<Columns>> = BTreeMap::new();
    let mut before = 0;
    for (layer, data) in key.layers.iter().enumerate() {
        for (columns, rows) in &shapes[data.shape as usize] {
            let rows = rows.iter().map(|run| (run.start, run.end)).collect();
            groups.entry(rows).or_default().push((layer, columns.clone(), before + columns.start));
        }
        before += data.weights.len();
    }
    if groups.len() > MOST_FOLDS {
        return Err(RangesMisfit::Zeros);
    }
    let group = |(rows, columns): (Vec<(u32, u32)>, _)| {
        let rows = rows.into_iter().map(|(start, end)| start..end).collect();
        Zeros { rows, columns }
    };
    Ok(groups.into_iter().map(group).collect())
}

/// Columns with the same rows without a weight, and these rows.
type Unplaced = (Range<usize>, Vec<Range<u32>>);

/// Runs of columns that have the same rows without a weight; columns without such rows are left out. `None` if they are too
/// many: each run has another set of rows.
fn unplaced(plan: &Plan) -> Option<Vec<Unplaced>> {
    let width = plan.weight_columns;
    let mut starts: Vec<u32> = plan.tiles.iter().map(|tile| tile.outputs % width.max(1)).chain([0, width]).collect();
    starts.sort_unstable();
    starts.dedup();
    if starts.len() > MOST_FOLDS + 2 {
        return None;
    }
    let runs = starts.windows(2).map(|pair| (pair[0] as usize..pair[1] as usize, rows_without(plan, pair[0])));
    Some(runs.filter(|(_, rows)| !rows.is_empty()).collect())
}

/// The rows that a product reads and no weight of this column stands at.
fn rows_without(plan: &Plan, column: u32) -> Vec<Range<u32>> {
    let width = plan.weight_columns;
    let mut placed = vec![false; plan.operand_rows() as usize];
    for tile in &plan.tiles {
        let parts = tile.outputs.div_ceil(width);
        for part in (0..parts).filter(|part| part * width + column < tile.outputs) {
            let rows = (0..tile.inputs).map(|input| (tile.row + input * parts + part) as usize);
            rows.for_each(|row| placed[row] = true);
        }
    }
    let mut out: Vec<Range<u32>> = Vec::new();
    for row in (0..placed.len() as u32).filter(|row| !placed[*row as usize]) {
        match out.last_mut() {
            Some(run) if run.end == row => run.end += 1,
            _ => out.push(row..row + 1),
        }
    }
    out
}

impl Zeros {
    /// `theta sum_c rho^c sum_r eta^r w_c[r]` over its columns and rows, c counted over the whole model.
    pub fn fold(&self) -> Fold {
        let (columns, rows) = (self.columns.clone(), self.rows.clone());
        let factors = move |ch: &Challenges| {
            let of = |(_, columns, first): &Columns| series(ch.monomial(*first as i64, 0), ch.rho, columns.len());
            columns.iter().flat_map(of).collect()
        };
        let rows = move |ch: &Challenges| {
            let mut out = vec![Fr::ZERO; rows.last().map_or(0, |run| run.end as usize)];
            for run in &rows {
                let powers = series(ch.theta * ch.monomial(0, run.start.into()), ch.eta, run.len());
                out[run.start as usize..run.end as usize].copy_from_slice(&powers);
            }
            out
        };
        Fold {
            columns: self.columns.iter().map(|(layer, columns, _)| (*layer, columns.clone())).collect(),
            factors: Arc::new(factors),
            rows: Arc::new(rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_plan::{Geometry, Monomial, Operand, WeightTile};

    /// Two matrices over four columns, of 6 and of 4 outputs, with a row before them, one between and one after them that
    /// products read.
    #[test]
    fn rows_without_weights_by_column() {
        let operand = |row| Operand { row, row_stride: 1, count: 1, monomial: Monomial::default(), terms: Vec::new() };
        let tile = |row, inputs, outputs| WeightTile { weight: 0, row, inputs, outputs };
        let plan = Plan {
            geometry: Geometry::new(9, 4, 1).expect("fits"),
            weight_columns: 4,
            tiles: vec![tile(1, 2, 6), tile(6, 3, 4)],
            operands: vec![operand(0), operand(9)],
            ..Plan::default()
        };
        let expected = [(0..2, vec![0..1, 5..6, 9..10]), (2..4, vec![0..1, 2..3, 4..6, 9..10])];
        assert_eq!(unplaced(&plan).as_deref(), Some(&expected[..]));
        let full = Plan { tiles: vec![tile(0, 5, 8)], operands: vec![operand(0)], ..plan };
        assert_eq!(unplaced(&full), Some(Vec::new()));
        let many = (1..99).map(|outputs| tile(0, 1, outputs)).collect();
        assert_eq!(unplaced(&Plan { weight_columns: 200, tiles: many, ..full }), None);
    }
}

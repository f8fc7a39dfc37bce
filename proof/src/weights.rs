//! Hidden weights as committed columns, and their folds.

use crate::{
    field::{Fr, G1, IntegerDot, Mask},
    pcs::ProverBases,
};
use nanozk_plan::{Geometry, MASK_ROWS, Plan};
use rayon::prelude::*;
use std::ops::Range;

/// Weight columns of one layer with their masks.
#[derive(Clone, Debug)]
pub struct WeightColumns {
    /// Data rows of each column.
    pub columns: Vec<Vec<i32>>,
    /// Mask rows of each column.
    pub masks: Vec<Mask>,
}

impl WeightColumns {
    /// Lays the row-major matrices of a layer out in the columns of its plan. `None` if a matrix has the wrong size.
    pub fn lay_out(plan: &Plan, matrices: &[Vec<i32>], masks: Vec<Mask>) -> Option<Self> {
        let count = plan.weight_columns as usize;
        let mut columns = vec![vec![0; plan.operand_rows() as usize]; count];
        for tile in &plan.tiles {
            let (inputs, outputs) = (tile.inputs as usize, tile.outputs as usize);
            let matrix = matrices.get(tile.weight as usize).filter(|m| m.len() == inputs * outputs)?;
            let strides = outputs.div_ceil(count);
            for (i, row) in matrix.chunks(outputs.max(1)).enumerate() {
                for (j, value) in row.iter().enumerate() {
                    columns[j % count][tile.row as usize + i * strides + j / count] = *value;
                }
            }
        }
        (masks.len() == count).then_some(WeightColumns { columns, masks })
    }

    /// Commitments of the columns.
    pub fn commit(&self, geometry: &Geometry, bases: &ProverBases) -> Vec<G1> {
        let masked = geometry.mask_rows().start;
        let commit = |(column, mask): (&Vec<i32>, &Mask)| {
            let values: Vec<i64> = column.iter().map(|v| *v as i64).collect();
            bases.commit_masked(&values, masked, mask)
        };
        self.columns.par_iter().zip(&self.masks).map(commit).collect()
    }

    /// `sum_c factors[c] column_c` over the data rows in use, and the same of the masks, of some columns.
    pub fn fold(&self, columns: Range<usize>, factors: &[Fr]) -> (Vec<Fr>, Mask) {
        let (columns, masks) = (&self.columns[columns.clone()], &self.masks[columns]);
        let rows = columns.first().map_or(0, Vec::len);
        let factors_of = IntegerDot::new(factors);
        let fold_row = |row: usize| factors_of.sum(columns.iter().map(|column| column[row] as i64));
        let data = (0..rows).into_par_iter().with_min_len(64).map(fold_row).collect();
        let mask: [Fr; MASK_ROWS] = std::array::from_fn(|i| masks.iter().zip(factors).map(|(m, f)| m[i] * f).sum());
        (data, mask)
    }
}

//! OneHot: bits that add up to 1, with the index as their weighted sum.
//!
//! Uniqueness: every cell is 0 or 1 and they add up to 1, so one cell is 1; its place is the index.

use super::Circuit;
use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{OneHot, Site};

impl Circuit for OneHot {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, _: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        Ok(emitter.one_hots(id, Quantity::Value, operand, self.depth))
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (2, 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "digits: each is 0 or 1, and they add up to the number"
    }
}

impl Emitter<'_> {
    /// Cells of a quantity that are 1 at the index which each feature of the operand is, and 0 elsewhere.
    ///
    /// Uniqueness: every cell is 0 or 1 and they add up to 1, so one cell is 1; its place is the index.
    pub fn one_hots(&mut self, id: ValueId, quantity: Quantity, operand: ValueId, depth: u32) -> Vec<Expr> {
        let cells = self.bits(id, quantity, depth * self.node(operand).features);
        for (feature, cells) in cells.chunks(depth as usize).enumerate() {
            let count = cells.iter().map(|&cell| (cell, 1));
            self.define(Expr::atoms(count.chain([(ONE, -1)])));
            let index = Expr::atoms(cells.iter().copied().zip(0..));
            self.define(index.plus(&self.values[operand as usize][feature], -1));
        }
        cells.into_iter().map(Expr::atom).collect()
    }
}

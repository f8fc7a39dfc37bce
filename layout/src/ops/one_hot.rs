//! OneHot: bits that add up to 1, with the index as their weighted sum.
//!
//! Uniqueness: every cell is 0 or 1 and they add up to 1, so one cell is 1; its place is the index.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Part;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::gadgets::{OneHot, Site};

impl Circuit for OneHot {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, _: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        Ok(emitter.one_hots(id, Part::Value, operand, self.depth))
    }
}

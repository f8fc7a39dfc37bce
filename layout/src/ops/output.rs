//! Output: ties the operand to the committed tensor's cells or the public slots.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Op, Output, Site};
use nanozk_plan::Port;

impl Circuit for Output {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        if matches!(emitter.node(operand).op, Op::ArgMax(_)) && emitter.winners_port(operand).is_some() {
            return Ok(Vec::new());
        }
        let cells = emitter.port_cells(id, Port::Output(self.port), site.features as u32)?;
        if emitter.boundary_space(Port::Output(self.port)).is_some() {
            emitter.fill(&cells, operand, Quantity::Value, 0, 0, None);
        }
        for (feature, cell) in cells.into_iter().enumerate() {
            let expr = Expr::atom(cell).plus(&emitter.values[operand as usize][feature], -1);
            emitter.define(expr);
        }
        Ok(Vec::new())
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (3, 0)
    }
}

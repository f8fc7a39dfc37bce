//! Input: the cells of the committed tensor, or its public slots.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Input, Op, Site};
use nanozk_plan::Port;

impl Circuit for Input {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let only_tokens = emitter.consumers[id as usize].iter().all(|&c| matches!(emitter.node(c).op, Op::Embed(_)));
        let public = emitter.boundary_space(Port::Input(self.port)).is_none();
        if public && only_tokens && !emitter.consumers[id as usize].is_empty() {
            return Ok(vec![Expr::default(); site.features]);
        }
        let cells = emitter.port_cells(id, Port::Input(self.port), site.features as u32)?;
        if emitter.boundary_space(Port::Input(self.port)).is_some() {
            emitter.fill(&cells, id, Quantity::Value, 0, 0, None);
        }
        Ok(cells.into_iter().map(Expr::atom).collect())
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (3, 0)
    }
}

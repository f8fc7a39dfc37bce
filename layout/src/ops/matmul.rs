//! MatMul: products of two activations of one token. Rows of A hold the left operand, rows of B the right one.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::hidden::{GroupShape, Product};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{MatMul, Site};

impl Circuit for MatMul {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let (x, z) = (emitter.input(id, 0)?, emitter.input(id, 1)?);
        let left = (0..site.widths[0]).map(|f| emitter.value(x, f)).collect();
        let right = (0..site.widths[1]).map(|f| emitter.value(z, f)).collect();
        let shape = GroupShape::Pair { rows: self.batch * self.rows, cols: self.cols };
        Ok(emitter.group(id, shape, vec![Product::Pair { sizes: *self, left, right }]))
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (2, 0)
    }
}

//! Diagonal: a product by a hidden diagonal. Its outputs have no cell until something reads them.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::hidden::Product;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Diagonal, Site};

impl Circuit for Diagonal {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let (operand, positions) = (emitter.input(id, 0)?, self.positions);
        let inputs = (0..site.features).map(|f| emitter.value(operand, f)).collect();
        let rows = site.features as u32 / positions;
        let diagonal = Product::Diagonal { weight: self.weight, inputs, rows, scale: 1 };
        let Some(bias) = self.bias else {
            return Ok(emitter.matrices(id, vec![diagonal], 1));
        };
        let one = vec![emitter.constant(1); positions as usize];
        let bias = emitter.matrix(id, bias, one, positions);
        Ok(emitter.matrices(id, vec![diagonal, bias], positions))
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (2, 0)
    }
}

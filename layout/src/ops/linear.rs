//! Linear: a product by a hidden matrix. Its outputs have no cell until something reads them.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Linear, Site};

impl Circuit for Linear {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let (operand, positions) = (emitter.input(id, 0)?, self.positions);
        let inputs = (0..site.widths[0]).map(|f| emitter.value(operand, f)).collect();
        let mut products = vec![emitter.matrix(id, self.weight, inputs, positions)];
        if let Some(bias) = self.bias {
            let one = vec![emitter.constant(1); positions as usize];
            products.push(emitter.matrix(id, bias, one, positions));
        }
        Ok(emitter.matrices(id, products, positions))
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (2, 0)
    }

    /// Each feature is read by every column.
    fn reads(&self, site: &Site, _: u32, uses: &mut [u32]) {
        let outputs = site.graph.weights[self.weight as usize].1;
        uses.iter_mut().for_each(|u| *u += outputs.div_ceil(32));
    }
}

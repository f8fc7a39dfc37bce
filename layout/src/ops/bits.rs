//! Bits: cells that are 0 or 1, with the operand as their sum of powers of two.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Part;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::gadgets::{Bits, Site};

impl Circuit for Bits {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        let bits = emitter.bits(id, Part::Value, site.features as u32);
        for (j, bits) in bits.chunks(self.count as usize).enumerate() {
            let sum = Expr::atoms((0..).zip(bits).map(|(i, &bit)| (bit, 1 << i)));
            let x = emitter.values[operand as usize][j].clone();
            emitter.define(x.plus(&sum, -1));
        }
        Ok(bits.into_iter().map(Expr::atom).collect())
    }
}

//! Range: a value made of range-checked limbs.
//!
//! Uniqueness: limbs have one way to add up to an integer, and all sides are far below the field.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Range, Site};

impl Circuit for Range {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let (features, limbs, operand) = (site.features as u32, self.limbs, emitter.input(id, 0)?);
        let offset = 1i64 << (limbs * emitter.bits - 1);
        let unsigned = emitter.range(id, Quantity::Value, features, limbs, offset);
        let shift = emitter.constant(-(offset as i128));
        let mut values = Vec::new();
        for (j, u) in unsigned.iter().enumerate() {
            let value = u.plus(&shift, 1);
            let operand = emitter.values[operand as usize][j].clone();
            emitter.define(operand.plus(&value, -1));
            let single = operand.len() == 1 && !matches!(operand.terms()[0].0, Atom::Raw(..));
            values.push(if single { operand } else { value });
        }
        Ok(values)
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (1 + u64::from(self.limbs), 0)
    }
}

//! Step: `x + 2^n (1 - y)` made of n bits of limbs.
//!
//! Uniqueness: y is 0 or 1, and `x = 2^n (y - 1) + rem` with `0 <= rem < 2^n` has one solution over the integers.

use super::Circuit;
use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Site, Step, step};

impl Circuit for Step {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        let reach = 1i128 << (self.limbs * site.limb_bits);
        let features = site.features as u32;
        let bits: Vec<Expr> = emitter.bits(id, Quantity::Value, features).into_iter().map(Expr::atom).collect();
        let rest = emitter.range(id, Quantity::Own(step::REST), features, self.limbs, 0);
        let one = Expr::atom(ONE);
        for (j, (bit, rest)) in bits.iter().zip(&rest).enumerate() {
            let x = emitter.values[operand as usize][j].clone();
            emitter.define(x.plus(&one, reach).plus(bit, -reach).plus(rest, -1));
        }
        Ok(bits)
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (1 + u64::from(self.limbs), 0)
    }
}

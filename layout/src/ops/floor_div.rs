//! FloorDiv: `x = d y + rem`, with rem and `d - 1 - rem` made of limbs.
//!
//! Uniqueness: `0 <= rem < d`, and y is made of limbs, so that `d y + rem` is far below the field and the division of
//! integers is the only solution.

use super::{Circuit, any_limbs};
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{FloorDiv, Site, floor_div};

impl Circuit for FloorDiv {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        let features = site.features as u32;
        let offset = 1i64 << (self.limbs * site.limb_bits - 1);
        let unsigned = emitter.range(id, Quantity::Value, features, self.limbs, offset);
        let values = emitter.signed(id, Quantity::Value, &unsigned, offset, 64 - self.divisor.leading_zeros());
        let limbs = site.limbs(self.divisor - 1);
        let rest = emitter.range(id, Quantity::Own(floor_div::REST), features, limbs, 0);
        for (j, (value, rest)) in values.iter().zip(&rest).enumerate() {
            let x = emitter.values[operand as usize][j].clone();
            emitter.define(x.plus(value, -(self.divisor as i128)).plus(rest, -1));
        }
        // Limbs alone bound the rest where the divisor is 2 to the power of their bits.
        if self.divisor != 1 << (limbs * site.limb_bits) {
            let gap = emitter.range(id, Quantity::Own(floor_div::GAP), features, limbs, 0);
            let most = emitter.constant(self.divisor as i128 - 1);
            for (rest, gap) in rest.iter().zip(&gap) {
                emitter.define(rest.plus(gap, 1).plus(&most, -1));
            }
        }
        Ok(values)
    }

    fn size(&self, site: &Site) -> (u64, u64) {
        (1 + 3 * any_limbs(site), 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "quotient: both its remainder and divisor - 1 - remainder are limbs"
    }
}

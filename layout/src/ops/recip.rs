//! Recip: `r z = C - rem`, `0 <= rem`, `z - 1 - rem >= 0`.
//!
//! Uniqueness: the two limits force `z >= 1` and are the definition of `r = floor(C / z)` over the integers; r is
//! made of limbs, so the product cannot wrap around the field.

use super::{Circuit, any_limbs};
use crate::emit::{Emitter, operand_error};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Misfit, Recip, Site, recip};

impl Circuit for Recip {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, _: &Site) -> Result<Vec<Expr>, LayoutError> {
        let node = emitter.node(id);
        let z = emitter.input(id, 0)?;
        let divisor = emitter.node(z);
        if divisor.lo < 1 {
            return Err(operand_error(node, Misfit::BelowOne(divisor.lo)));
        }
        let limbs = emitter.limbs(node.hi as i128);
        let gap_limbs = emitter.limbs(divisor.hi as i128 - 1);
        emitter.limit(id, "the quotient times the divisor", limbs * emitter.bits + emitter.magnitude_bits(z), 200)?;
        let dividend = emitter.params(self.param, 1).remove(0);

        let quotient = emitter.range(id, Quantity::Value, node.features, limbs, 0);
        let remainder = emitter.range(id, Quantity::Own(recip::REMAINDER), node.features, gap_limbs, 0);
        let gap = emitter.range(id, Quantity::Own(recip::GAP), node.features, gap_limbs, 0);
        let rows = emitter.product_rows(node.features, false, emitter.magnitude_bits(id));
        emitter.fill(&rows.a, id, Quantity::Value, 0, 0, None);
        emitter.fill(&rows.b, z, Quantity::Value, 0, 0, None);
        emitter.fill(&rows.c, id, Quantity::Own(recip::PRODUCT), 0, 0, None);
        if let Some(square) = &rows.square {
            emitter.fill(square, id, Quantity::Square, 0, 0, None);
        }
        emitter.copy(z, &rows.b);
        let one = emitter.constant(1);
        for (&cell, quotient) in rows.a.iter().zip(&quotient) {
            emitter.define(Expr::atom(cell).plus(quotient, -1));
        }
        for (&cell, remainder) in rows.c.iter().zip(&remainder) {
            emitter.define(Expr::atom(cell).plus(&dividend, -1).plus(remainder, 1));
        }
        for (&cell, (remainder, gap)) in rows.b.iter().zip(remainder.iter().zip(&gap)) {
            emitter.define(Expr::atom(cell).plus(&one, -1).plus(remainder, -1).plus(gap, -1));
        }
        Ok(rows.a.into_iter().map(Expr::atom).collect())
    }

    fn size(&self, site: &Site) -> (u64, u64) {
        (8 + 3 * any_limbs(site), 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "quotient: both its remainder and divisor - 1 - remainder are limbs"
    }
}

//! Recip: `r z = C - rem`, `0 <= rem`, `z - 1 - rem >= 0`.
//!
//! Uniqueness: the two limits force `z >= 1` and are the definition of `r = floor(C / z)` over the integers; r is
//! made of limbs, so the product cannot wrap around the field.

use crate::emit::{Emitter, operand_error};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Part;
use nanozk_ir::int::ValueId;

impl Emitter<'_> {
    /// The quotient's limbs, one product row per feature.
    pub fn lower_recip(&mut self, id: ValueId, param: u32) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(id);
        let z = self.input(id, 0)?;
        self.expect_features(id, z, node.features)?;
        let divisor = self.node(z);
        if divisor.lo < 1 {
            return Err(operand_error(node, format!("its operand may be {}, below 1", divisor.lo)));
        }
        let limbs = self.limbs(node.hi as i128);
        let gap_limbs = self.limbs(divisor.hi as i128 - 1);
        self.limit(id, "the quotient times the divisor", limbs * self.bits + self.magnitude_bits(z), 200)?;
        let dividend = self.params(id, param, 1)?.remove(0);

        let quotient = self.range(id, Part::Value, node.features, limbs, 0);
        let remainder = self.range(id, Part::Remainder, node.features, gap_limbs, 0);
        let gap = self.range(id, Part::Gap, node.features, gap_limbs, 0);
        let rows = self.product_rows(node.features, false, self.magnitude_bits(id));
        self.fill(&rows.a, id, Part::Value, 0, 0, None);
        self.fill(&rows.b, z, Part::Value, 0, 0, None);
        self.fill(&rows.c, id, Part::Product, 0, 0, None);
        if let Some(square) = &rows.square {
            self.fill(square, id, Part::Square, 0, 0, None);
        }
        self.copy(z, &rows.b);
        let one = self.constant(1);
        for (&cell, quotient) in rows.a.iter().zip(&quotient) {
            self.define(Expr::atom(cell).plus(quotient, -1));
        }
        for (&cell, remainder) in rows.c.iter().zip(&remainder) {
            self.define(Expr::atom(cell).plus(&dividend, -1).plus(remainder, 1));
        }
        for (&cell, (remainder, gap)) in rows.b.iter().zip(remainder.iter().zip(&gap)) {
            self.define(Expr::atom(cell).plus(&one, -1).plus(remainder, -1).plus(gap, -1));
        }
        Ok(rows.a.into_iter().map(Expr::atom).collect())
    }
}

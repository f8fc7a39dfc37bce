//! Div: `x = y z + rem`, with rem and `z - 1 - rem` made of limbs.
//!
//! Uniqueness: `0 <= rem < z`, and y is made of limbs, so that `y z + rem` is far below the field and the division of
//! integers is the only solution.

use super::Circuit;
use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Div, Site, div};

impl Circuit for Div {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let (x, z) = (emitter.input(id, 0)?, emitter.input(id, 1)?);
        let features = site.features as u32;
        emitter.limit(
            id,
            "the quotient times the divisor",
            emitter.magnitude_bits(id) + emitter.magnitude_bits(z),
            63,
        )?;
        let offset = 1i64 << (self.limbs * site.limb_bits - 1);
        let quotient = emitter.range(id, Quantity::Value, features, self.limbs, offset);
        let rest = emitter.range(id, Quantity::Own(div::REST), features, self.rest_limbs, 0);
        let gap = emitter.range(id, Quantity::Own(div::GAP), features, self.rest_limbs, 0);
        let rows = emitter.plain_rows(features);
        emitter.fill(&rows.a, id, Quantity::Value, 0, 0, None);
        emitter.fill(&rows.b, z, Quantity::Value, 0, 0, None);
        emitter.fill(&rows.c, id, Quantity::Own(div::PRODUCT), 0, 0, None);
        emitter.copy(z, &rows.b);
        let one = Expr::atom(ONE);
        for j in 0..features as usize {
            let [a, b, c] = [&rows.a, &rows.b, &rows.c].map(|cells| Expr::atom(cells[j]));
            let x = emitter.values[x as usize][j].clone();
            emitter.define(a.plus(&quotient[j], -1).plus(&one, offset.into()));
            emitter.define(x.plus(&c, -1).plus(&rest[j], -1));
            emitter.define(b.plus(&one, -1).plus(&rest[j], -1).plus(&gap[j], -1));
        }
        Ok(rows.a.into_iter().map(Expr::atom).collect())
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (4 + u64::from(self.limbs) + 2 * u64::from(self.rest_limbs), 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "quotient: both its remainder and divisor - 1 - remainder are limbs"
    }
}

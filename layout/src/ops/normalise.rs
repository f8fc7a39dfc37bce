//! Normalise: `2^b x = 2^e (2^b + m) + rem` with `0 <= rem < 2^e`.
//!
//! Uniqueness: one bit of each value is 1, which makes `2^e` a power of two; m is in the range table, so `2^b + m` has
//! exactly b + 1 bits, and rem and `2^e - 1 - rem` are made of limbs. So `2^e <= x < 2^(e + 1)`, and m and rem are quotient
//! and rest.

use super::Circuit;
use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Normalise, Site, normalise};

impl Circuit for Normalise {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        let features = site.widths[0] as u32;
        let exponents = self.limbs * site.limb_bits;
        let unit = 1i64 << site.limb_bits;
        let mantissa = emitter.range(id, Quantity::Value, features, 1, 0);
        let rest = emitter.range(id, Quantity::Own(normalise::REST), features, self.limbs, 0);
        let gap = emitter.range(id, Quantity::Own(normalise::GAP), features, self.limbs, 0);
        let bits = emitter.bits(id, Quantity::Own(normalise::BITS), features * exponents);
        let rows = emitter.plain_rows(features);
        emitter.fill(&rows.a, id, Quantity::Own(normalise::POWER), 0, 0, None);
        emitter.fill(&rows.b, id, Quantity::Own(normalise::SIGNIFICAND), 0, 0, None);
        emitter.fill(&rows.c, id, Quantity::Own(normalise::PRODUCT), 0, 0, None);

        let one = Expr::atom(ONE);
        let mut exponent = Vec::new();
        for (j, bits) in bits.chunks(exponents as usize).enumerate() {
            let weighted = |weight: fn(u32) -> i128| bits.iter().copied().zip((0..).map(weight));
            exponent.push(Expr::atoms(weighted(i128::from)));
            let [a, b, c] = [&rows.a, &rows.b, &rows.c].map(|cells| Expr::atom(cells[j]));
            let x = emitter.values[operand as usize][j].clone();
            emitter.define(Expr::atoms(weighted(|_| 1).chain([(ONE, -1)])));
            emitter.define(a.plus(&Expr::atoms(weighted(|e| 1 << e)), -1));
            emitter.define(b.plus(&mantissa[j], -1).plus(&one, -i128::from(unit)));
            emitter.define(x.scaled(unit.into()).plus(&c, -1).plus(&rest[j], -1));
            emitter.define(a.plus(&one, -1).plus(&rest[j], -1).plus(&gap[j], -1));
        }
        Ok(mantissa.into_iter().chain(exponent).collect())
    }

    fn size(&self, site: &Site) -> (u64, u64) {
        let limbs = u64::from(self.limbs);
        (4 + 2 * limbs + limbs * u64::from(site.limb_bits), 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "mantissa and exponent: one bit is 1, and the rest is below its power"
    }
}

//! RSqrt: `r^2 v <= C < (r + 1)^2 v`.
//!
//! Uniqueness: `C - r^2 v >= 0` and `r^2 v + 2 r v + v - 1 - C >= 0` with `r >= 0` hold for one integer r only when
//! `v >= 1`; all quantities are made of limbs, so nothing wraps around the field.

use super::{Circuit, any_limbs};
use crate::emit::{Emitter, bits, operand_error};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Misfit, RSqrt, Site, rsqrt};

impl Circuit for RSqrt {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, _: &Site) -> Result<Vec<Expr>, LayoutError> {
        let node = emitter.node(id);
        let v = emitter.input(id, 0)?;
        let features = node.features;
        let radicand = emitter.node(v);
        if radicand.lo < 1 {
            return Err(operand_error(node, Misfit::BelowOne(radicand.lo)));
        }
        let limbs = emitter.limbs(node.hi as i128);
        emitter.limit(
            id,
            "the squared root times the operand",
            2 * limbs * emitter.bits + emitter.magnitude_bits(v),
            200,
        )?;
        let slack = slack_bound(node.hi, radicand.lo, radicand.hi);
        emitter.limit(id, "the distance to the next root", bits(slack), 62)?;
        let slack_limbs = emitter.limbs(slack);
        let target = emitter.params(self.param, 1).remove(0);

        let root = emitter.range(id, Quantity::Value, features, limbs, 0);
        let low = emitter.range(id, Quantity::Own(rsqrt::LOW), features, slack_limbs, 0);
        let high = emitter.range(id, Quantity::Own(rsqrt::HIGH), features, slack_limbs, 0);

        let linear = emitter.product_rows(features, false, emitter.magnitude_bits(id));
        let cubic = emitter.product_rows(features, false, emitter.magnitude_bits(id));
        for rows in [&linear, &cubic] {
            emitter.fill(&rows.a, id, Quantity::Value, 0, 0, None);
            if let Some(square) = &rows.square {
                emitter.fill(square, id, Quantity::Square, 0, 0, None);
            }
        }
        emitter.fill(&linear.b, v, Quantity::Value, 0, 0, None);
        emitter.fill(&linear.c, id, Quantity::Own(rsqrt::LINEAR), 0, 0, None);
        emitter.fill(&cubic.b, id, Quantity::Own(rsqrt::LINEAR), 0, 0, None);
        emitter.fill(&cubic.c, id, Quantity::Own(rsqrt::CUBIC), 0, 0, None);
        emitter.copy(v, &linear.b);
        emitter.tie(&cubic.a, &linear.a);
        emitter.tie(&cubic.b, &linear.c);

        let one = emitter.constant(1);
        for (&cell, root) in linear.a.iter().zip(&root) {
            emitter.define(Expr::atom(cell).plus(root, -1));
        }
        for (&cell, low) in cubic.c.iter().zip(&low) {
            emitter.define(Expr::atom(cell).plus(low, 1).plus(&target, -1));
        }
        for (j, high) in high.iter().enumerate() {
            let next = Expr::atom(cubic.c[j]).plus(&Expr::atom(linear.c[j]), 2).plus(&Expr::atom(linear.b[j]), 1);
            emitter.define(next.plus(&one, -1).plus(&target, -1).plus(high, -1));
        }
        Ok(linear.a.into_iter().map(Expr::atom).collect())
    }

    fn size(&self, site: &Site) -> (u64, u64) {
        (8 + 3 * any_limbs(site), 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "root: both C - r^2 v and (r + 1)^2 v - 1 - C are limbs"
    }
}

impl Emitter<'_> {
    /// States that cells are equal.
    fn tie(&mut self, cells: &[Atom], others: &[Atom]) {
        for (&cell, &other) in cells.iter().zip(others) {
            self.define(Expr::atom(cell).plus(&Expr::atom(other), -1));
        }
    }
}

/// Greatest value of `2 r v + v` for the roots r of operands v in `[lo, hi]` when r at lo is at most `root`:
/// `r v <= sqrt(C v)` and `C < (root + 1)^2 lo`.
fn slack_bound(root: i64, lo: i64, hi: i64) -> i128 {
    let (root, lo, hi) = (root as i128, lo as i128, hi as i128);
    let plain = root.saturating_mul(2 * hi);
    let by_target = (2 * (root + 1)).saturating_mul(((lo * hi) as u128).isqrt() as i128 + 1);
    plain.min(by_target).saturating_add(hi)
}

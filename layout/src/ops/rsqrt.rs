//! RSqrt: `r^2 v <= C < (r + 1)^2 v`.
//!
//! Uniqueness: `C - r^2 v >= 0` and `r^2 v + 2 r v + v - 1 - C >= 0` with `r >= 0` hold for one integer r only when
//! `v >= 1`; all quantities are made of limbs, so nothing wraps around the field.

use crate::emit::{Emitter, bits, operand_error};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Part;
use nanozk_ir::int::ValueId;

impl Emitter<'_> {
    /// The root's limbs and the products `r v` and `r (r v)`.
    pub fn lower_rsqrt(&mut self, id: ValueId, param: u32) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(id);
        let v = self.input(id, 0)?;
        let features = node.features;
        self.expect_features(id, v, features)?;
        let radicand = self.node(v);
        if radicand.lo < 1 {
            return Err(operand_error(node, format!("its operand may be {}, below 1", radicand.lo)));
        }
        let limbs = self.limbs(node.hi as i128);
        self.limit(id, "the squared root times the operand", 2 * limbs * self.bits + self.magnitude_bits(v), 200)?;
        let slack = slack_bound(node.hi, radicand.lo, radicand.hi);
        self.limit(id, "the distance to the next root", bits(slack), 62)?;
        let slack_limbs = self.limbs(slack);
        let target = self.params(id, param, 1)?.remove(0);

        let root = self.range(id, Part::Value, features, limbs, 0);
        let low = self.range(id, Part::Low, features, slack_limbs, 0);
        let high = self.range(id, Part::High, features, slack_limbs, 0);

        let linear = self.product_rows(features, false, self.magnitude_bits(id));
        let cubic = self.product_rows(features, false, self.magnitude_bits(id));
        for rows in [&linear, &cubic] {
            self.fill(&rows.a, id, Part::Value, 0, 0, None);
            if let Some(square) = &rows.square {
                self.fill(square, id, Part::Square, 0, 0, None);
            }
        }
        self.fill(&linear.b, v, Part::Value, 0, 0, None);
        self.fill(&linear.c, id, Part::Linear, 0, 0, None);
        self.fill(&cubic.b, id, Part::Linear, 0, 0, None);
        self.fill(&cubic.c, id, Part::Cubic, 0, 0, None);
        self.copy(v, &linear.b);
        self.tie(&cubic.a, &linear.a);
        self.tie(&cubic.b, &linear.c);

        let one = self.constant(1);
        for (&cell, root) in linear.a.iter().zip(&root) {
            self.define(Expr::atom(cell).plus(root, -1));
        }
        for (&cell, low) in cubic.c.iter().zip(&low) {
            self.define(Expr::atom(cell).plus(low, 1).plus(&target, -1));
        }
        for (j, high) in high.iter().enumerate() {
            let next = Expr::atom(cubic.c[j]).plus(&Expr::atom(linear.c[j]), 2).plus(&Expr::atom(linear.b[j]), 1);
            self.define(next.plus(&one, -1).plus(&target, -1).plus(high, -1));
        }
        Ok(linear.a.into_iter().map(Expr::atom).collect())
    }

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

//! Mul: rows `a * b = c`; the square of a factor stands in the row of another product by it, where that saves lanes.

use super::Circuit;
use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Const, Mul, Op, Site};

impl Circuit for Mul {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let features = site.features as u32;
        let (x, y) = (emitter.input(id, 0)?, emitter.input(id, 1)?);
        for (factor, other) in [(x, y), (y, x)] {
            let constants: Option<Vec<i128>> =
                emitter.values[factor as usize].iter().map(|e| e.constant(ONE)).collect();
            if let Some(constants) = constants {
                let values = &emitter.values[other as usize];
                return Ok(values.iter().zip(constants).map(|(value, c)| value.scaled(c)).collect());
            }
        }
        emitter.limit(id, "the product of the bounds", emitter.magnitude_bits(x) + emitter.magnitude_bits(y), 200)?;
        emitter.limit(id, "the product", emitter.magnitude_bits(id), 63)?;
        if x == y {
            return Ok(emitter.square_rows(id, x));
        }
        for (factor, other) in [(x, y), (y, x)] {
            if let Some(square) = emitter.square_of(factor, id)
                && let Some((b, c)) = emitter.waiting.remove(&square)
            {
                return Ok(emitter.rest_of_rows(id, other, &b, &c));
            }
        }
        let (x, y) = if emitter.magnitude_bits(y) < emitter.magnitude_bits(x) { (y, x) } else { (x, y) };
        let rows = emitter.product_rows(features, false, emitter.magnitude_bits(x));
        emitter.fill(&rows.a, x, Quantity::Value, 0, 0, None);
        emitter.copy(x, &rows.a);
        if let Some(square) = &rows.square {
            emitter.fill(square, x, Quantity::Square, 0, 0, None);
        }
        Ok(emitter.rest_of_rows(id, y, &rows.b, &rows.c))
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (3, 0)
    }
}

impl Emitter<'_> {
    /// Fills the second factor and the product of rows whose first factor stands.
    fn rest_of_rows(&mut self, id: ValueId, factor: ValueId, b: &[Atom], c: &[Atom]) -> Vec<Expr> {
        self.fill(b, factor, Quantity::Value, 0, 0, None);
        self.copy(factor, b);
        self.fill(c, id, Quantity::Value, 0, 0, None);
        c.iter().map(|&cell| Expr::atom(cell)).collect()
    }

    /// `x * x`, in the row of another product by x when there is one.
    fn square_rows(&mut self, id: ValueId, x: ValueId) -> Vec<Expr> {
        let features = self.node(id).features;
        let partner = self.consumers[x as usize].iter().any(|&c| self.square_of(x, c) == Some(id));
        let rows = self.product_rows(features, partner, self.magnitude_bits(x));
        self.fill(&rows.a, x, Quantity::Value, 0, 0, None);
        self.copy(x, &rows.a);
        match rows.square {
            Some(square) if partner => {
                self.fill(&square, id, Quantity::Value, 0, 0, None);
                self.waiting.insert(id, (rows.b, rows.c));
                square.into_iter().map(Expr::atom).collect()
            }
            square => {
                if let Some(square) = square {
                    self.fill(&square, x, Quantity::Square, 0, 0, None);
                }
                self.rest_of_rows(id, x, &rows.b, &rows.c)
            }
        }
    }

    /// The square of `x` whose row the product `id` completes: the first square of x goes with the first other product.
    fn square_of(&self, x: ValueId, id: ValueId) -> Option<ValueId> {
        let products = |same: bool| {
            self.consumers[x as usize].iter().copied().find(|&c| {
                let node = self.node(c);
                node.op == Op::Mul(Mul) && (node.inputs == [x, x]) == same && !self.has_constant_factor(c)
            })
        };
        let square = products(true)?;
        (products(false) == Some(id) && square < id).then_some(square)
    }

    /// Whether a factor is a constant of one row, so that no product row is needed.
    fn has_constant_factor(&self, id: ValueId) -> bool {
        self.node(id).inputs.iter().any(|&i| matches!(self.node(i).op, Op::Const(Const { rows: 1, .. })))
    }
}

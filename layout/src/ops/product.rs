//! Mul: rows `a * b = c`, with a fourth column `a * a` where that saves lanes.

use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Part;
use crate::options::Squares;
use crate::space::{Signature, StripGate, Where, column};
use nanozk_ir::int::{Op, ValueId};

/// The cells of product rows.
pub struct ProductRows {
    /// Left factors.
    pub a: Vec<Atom>,
    /// Right factors.
    pub b: Vec<Atom>,
    /// Products.
    pub c: Vec<Atom>,
    /// Squares of the left factors, where the strip has them.
    pub square: Option<Vec<Atom>>,
}

impl Emitter<'_> {
    /// New rows of products; `square`: the squares are wanted; `bits`: width of the left factors, whose squares must
    /// fit a cell where the strip has them.
    pub fn product_rows(&mut self, rows: u32, square: bool, bits: u32) -> ProductRows {
        let four = match self.out.squares {
            Squares::Plain => false,
            Squares::Apart => square,
            Squares::Together => 2 * bits <= 62,
        };
        let gate = |name, b, c| StripGate { name, rows: Where::Everywhere, a: column(0), b: column(b), c: column(c) };
        let mut columns: Vec<String> = ["a", "b", "c"].map(String::from).into();
        let mut gates = vec![gate("product", 1, 2)];
        if four {
            columns.push("a a".into());
            gates.push(gate("square", 0, 3));
        }
        let name = if four { "products with squares" } else { "products" };
        let signature = Signature { name: name.into(), columns, lookups: Vec::new(), gates, spare_raw: Some(1) };
        let (strip, first) = self.strip(signature, rows);
        ProductRows {
            a: self.cells(strip, 0, first, rows),
            b: self.cells(strip, 1, first, rows),
            c: self.cells(strip, 2, first, rows),
            square: four.then(|| self.cells(strip, 3, first, rows)),
        }
    }

    /// New rows of products whose factors have no squares beside them.
    pub fn plain_rows(&mut self, rows: u32) -> ProductRows {
        self.product_rows(rows, false, 64)
    }

    /// Elementwise product.
    pub fn lower_mul(&mut self, id: ValueId) -> Result<Vec<Expr>, LayoutError> {
        let features = self.node(id).features;
        let (x, y) = (self.input(id, 0)?, self.input(id, 1)?);
        self.expect_features(id, x, features)?;
        self.expect_features(id, y, features)?;
        for (factor, other) in [(x, y), (y, x)] {
            let constants: Option<Vec<i128>> = self.values[factor as usize].iter().map(|e| e.constant(ONE)).collect();
            if let Some(constants) = constants {
                let values = &self.values[other as usize];
                return Ok(values.iter().zip(constants).map(|(value, c)| value.scaled(c)).collect());
            }
        }
        self.limit(id, "the product of the bounds", self.magnitude_bits(x) + self.magnitude_bits(y), 200)?;
        self.limit(id, "the product", self.magnitude_bits(id), 63)?;
        if x == y {
            return Ok(self.lower_square(id, x));
        }
        for (factor, other) in [(x, y), (y, x)] {
            if let Some(square) = self.square_of(factor, id)
                && let Some((b, c)) = self.waiting.remove(&square)
            {
                return Ok(self.product(id, other, &b, &c));
            }
        }
        let (x, y) = if self.magnitude_bits(y) < self.magnitude_bits(x) { (y, x) } else { (x, y) };
        let rows = self.product_rows(features, false, self.magnitude_bits(x));
        self.fill(&rows.a, x, Part::Value, 0, 0, None);
        self.copy(x, &rows.a);
        if let Some(square) = &rows.square {
            self.fill(square, x, Part::Square, 0, 0, None);
        }
        Ok(self.product(id, y, &rows.b, &rows.c))
    }

    /// Fills the second factor and the product of rows whose first factor stands.
    fn product(&mut self, id: ValueId, factor: ValueId, b: &[Atom], c: &[Atom]) -> Vec<Expr> {
        self.fill(b, factor, Part::Value, 0, 0, None);
        self.copy(factor, b);
        self.fill(c, id, Part::Value, 0, 0, None);
        c.iter().map(|&cell| Expr::atom(cell)).collect()
    }

    /// `x * x`, in the row of another product by x when there is one.
    fn lower_square(&mut self, id: ValueId, x: ValueId) -> Vec<Expr> {
        let features = self.node(id).features;
        let partner = self.consumers[x as usize].iter().any(|&c| self.square_of(x, c) == Some(id));
        let rows = self.product_rows(features, partner, self.magnitude_bits(x));
        self.fill(&rows.a, x, Part::Value, 0, 0, None);
        self.copy(x, &rows.a);
        match rows.square {
            Some(square) if partner => {
                self.fill(&square, id, Part::Value, 0, 0, None);
                self.waiting.insert(id, (rows.b, rows.c));
                square.into_iter().map(Expr::atom).collect()
            }
            square => {
                if let Some(square) = square {
                    self.fill(&square, x, Part::Square, 0, 0, None);
                }
                self.product(id, x, &rows.b, &rows.c)
            }
        }
    }

    /// The square of `x` whose row the product `id` completes: the first square of x goes with the first other product.
    fn square_of(&self, x: ValueId, id: ValueId) -> Option<ValueId> {
        let products = |same: bool| {
            self.consumers[x as usize].iter().copied().find(|&c| {
                let node = self.node(c);
                node.op == Op::Mul && (node.inputs == [x, x]) == same && !self.has_constant_factor(c)
            })
        };
        let square = products(true)?;
        (products(false) == Some(id) && square < id).then_some(square)
    }

    /// Whether a factor is a constant of one row, so that no product row is needed.
    fn has_constant_factor(&self, id: ValueId) -> bool {
        self.node(id).inputs.iter().any(|&i| matches!(self.node(i).op, Op::Const { rows: 1, .. }))
    }
}

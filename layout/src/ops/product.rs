//! Rows `a * b = c`, with a fourth column `a * a` where that saves lanes.

use crate::emit::Emitter;
use crate::expr::Atom;
use crate::options::Squares;
use crate::space::{Signature, StripGate, Where, column};

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
}

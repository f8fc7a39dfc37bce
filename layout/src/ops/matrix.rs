//! Products with hidden matrices: Linear, Diagonal, Embed, TokenBias.

use crate::emit::Emitter;
use crate::expr::Expr;
use crate::hidden::{GroupShape, Product};
use nanozk_ir::int::ValueId;

impl Emitter<'_> {
    /// One matrix with its rows' factors, `[position, row]`.
    pub fn matrix(&self, id: ValueId, weight: u32, inputs: Vec<Expr>, positions: u32) -> Product {
        Product::Matrix { weight, inputs, positions, outputs: self.node(id).features / positions, scale: 1 }
    }

    /// The outputs of matrices that add up.
    pub fn matrices(&mut self, id: ValueId, products: Vec<Product>, positions: u32) -> Vec<Expr> {
        let outputs = self.node(id).features / positions;
        self.group(id, GroupShape::Matrix { outputs, positions }, products)
    }
}

//! Scores and Context: products of two activations. The right operand is read a second time as rows of B, from signed
//! copies of its cells.

use crate::emit::{Emitter, operand_error};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr, SpaceId};
use crate::fill::Part;
use crate::hidden::{GroupShape, Heads, Product};
use crate::space::{ETA, ROW};
use nanozk_ir::int::ValueId;

impl Emitter<'_> {
    /// Queries times keys.
    pub fn lower_scores(&mut self, id: ValueId, query: u32, kv: u32, dim: u32) -> Result<Vec<Expr>, LayoutError> {
        let heads = self.heads(id, Heads { query, kv, dim }, query * self.tokens)?;
        let (q, k) = (self.input(id, 0)?, self.input(id, 1)?);
        self.expect_features(id, q, query * dim)?;
        let keys = self.right_operand(id, k, kv * dim, ETA)?;
        let query = (0..(query * dim) as usize).map(|f| self.value(q, f)).collect();
        let shape = GroupShape::Scores { heads: heads.query };
        Ok(self.group(id, shape, vec![Product::Scores { query, heads, keys }]))
    }

    /// Attention weights times values.
    pub fn lower_context(&mut self, id: ValueId, query: u32, kv: u32, dim: u32) -> Result<Vec<Expr>, LayoutError> {
        let heads = self.heads(id, Heads { query, kv, dim }, query * dim)?;
        let (e, v) = (self.input(id, 0)?, self.input(id, 1)?);
        self.expect_features(id, e, query * self.tokens)?;
        let values = self.right_operand(id, v, kv * dim, ROW)?;
        let weights = (0..(query * self.tokens) as usize).map(|f| self.value(e, f)).collect();
        let shape = GroupShape::Context { outputs: query * dim };
        Ok(self.group(id, shape, vec![Product::Context { weights, heads, values }]))
    }

    fn heads(&self, id: ValueId, heads: Heads, features: u32) -> Result<Heads, LayoutError> {
        let node = self.node(id);
        if heads.kv == 0 || heads.query == 0 || !heads.query.is_multiple_of(heads.kv) {
            return Err(operand_error(node, format!("{} heads over {} key heads", heads.query, heads.kv)));
        }
        if node.features != features {
            return Err(operand_error(node, format!("{} features, its heads give {features}", node.features)));
        }
        Ok(heads)
    }

    /// Signed copies of a right operand; the first of them in the space.
    fn right_operand(&mut self, id: ValueId, x: ValueId, features: u32, space: SpaceId) -> Result<u32, LayoutError> {
        self.expect_features(id, x, features)?;
        let cells = self.raw(space, x, Part::Value, features);
        self.copy(x, &cells);
        match cells.first() {
            Some(&Atom::Cell(_, first)) => Ok(first),
            _ => Err(operand_error(self.node(id), "a right operand without features".into())),
        }
    }
}

//! Scores: queries times keys.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::hidden::{GroupShape, Heads, Product};
use crate::space::ETA;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Scores, Site};

impl Circuit for Scores {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let heads = Heads { query: self.heads, kv: self.kv_heads, dim: self.head_dim };
        let (q, k) = (emitter.input(id, 0)?, emitter.input(id, 1)?);
        let keys = emitter.right_operand(k, ETA);
        let query = (0..site.widths[0]).map(|f| emitter.value(q, f)).collect();
        let shape = GroupShape::Scores { heads: heads.query };
        Ok(emitter.group(id, shape, vec![Product::Scores { query, heads, keys }]))
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (2, 0)
    }
}

//! Context: attention weights times values.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::hidden::{GroupShape, Heads, Product};
use crate::space::ROW;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Context, Site};

impl Circuit for Context {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let heads = Heads { query: self.heads, kv: self.kv_heads, dim: self.head_dim };
        let (e, v) = (emitter.input(id, 0)?, emitter.input(id, 1)?);
        let values = emitter.right_operand(v, ROW);
        let weights = (0..site.widths[0]).map(|f| emitter.value(e, f)).collect();
        let shape = GroupShape::Context { outputs: site.features as u32 };
        Ok(emitter.group(id, shape, vec![Product::Context { weights, heads, values }]))
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (2, 0)
    }
}

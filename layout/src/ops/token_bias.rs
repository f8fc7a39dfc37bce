//! TokenBias: tokens times the hidden matrix, or 1 times its row.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Site, TokenBias};
use nanozk_plan::Public;

impl Circuit for TokenBias {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let inputs = if site.graph.weights[self.weight as usize].0 == 1 {
            vec![emitter.constant(1)]
        } else {
            let run = emitter.public(Public::Position);
            (0..emitter.tokens).map(|i| Expr::atom(Atom::Public(run, i))).collect()
        };
        let product = emitter.matrix(id, self.weight, inputs, 1);
        Ok(emitter.matrices(id, vec![product], 1))
    }

    fn size(&self, site: &Site) -> (u64, u64) {
        (1, site.tokens as u64)
    }
}

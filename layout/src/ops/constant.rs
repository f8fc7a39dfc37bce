//! Const: of one row as factors of the public 1, else as public slots.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Const, Site};
use nanozk_plan::Public;

impl Circuit for Const {
    fn emit(&self, emitter: &mut Emitter, _: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        if self.rows == 1 {
            return Ok(self.data.iter().map(|&v| emitter.constant(v as i128)).collect());
        }
        let (rows, features) = (self.rows, site.features as u32);
        let run = emitter.public(Public::Const { rows, features, data: self.data.clone() });
        Ok((0..features).map(|i| Expr::atom(Atom::Public(run, i))).collect())
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (1, self.data.len() as u64)
    }
}

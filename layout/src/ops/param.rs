//! Param: public slots of the layer's parameters.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Param, Site};

impl Circuit for Param {
    fn emit(&self, emitter: &mut Emitter, _: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        Ok(emitter.params(self.first, site.features as u32))
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (3, 0)
    }
}

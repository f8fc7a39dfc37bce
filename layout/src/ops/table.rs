//! Table: a pair lookup `(x + 2^(b-1), y)`; its key is at the same time the range check of x.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use crate::space::{Signature, StripLookup};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Site, Table};

/// The lookup of columns 0 and 1 in pair table `table`.
pub fn pair_lookup(table: u32) -> StripLookup {
    StripLookup { a: 0, b: Some(1), tag: table + 1, visible_only: false }
}

impl Circuit for Table {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let (features, table, operand) = (site.features as u32, self.table, emitter.input(id, 0)?);
        if let Some(cells) = emitter.table_values.remove(&id) {
            return Ok(cells.into_iter().map(Expr::atom).collect());
        }
        let signature = Signature {
            name: format!("table {table}"),
            columns: vec!["key".into(), "value".into()],
            lookups: vec![pair_lookup(table)],
            gates: Vec::new(),
            spare_raw: None,
        };
        let offset = 1i64 << (emitter.bits - 1);
        let (strip, first) = emitter.strip(signature, features);
        let key = emitter.cells(strip, 0, first, features);
        let value = emitter.cells(strip, 1, first, features);
        emitter.fill(&key, operand, Quantity::Value, 0, offset, None);
        emitter.fill(&value, id, Quantity::Value, 0, 0, None);
        let shift = emitter.constant(offset as i128);
        for (j, &cell) in key.iter().enumerate() {
            let x = emitter.values[operand as usize][j].plus(&shift, 1);
            emitter.define(Expr::atom(cell).plus(&x, -1));
        }
        Ok(value.into_iter().map(Expr::atom).collect())
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (2, 0)
    }
}

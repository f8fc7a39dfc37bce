//! Table: a pair lookup `(x + 2^(b-1), y)`; its key is at the same time the range check of x.

use crate::emit::{Emitter, operand_error};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Part;
use crate::space::{Signature, StripLookup};
use nanozk_ir::int::ValueId;

/// The lookup of columns 0 and 1 in pair table `table`.
pub fn pair_lookup(table: u32) -> StripLookup {
    StripLookup { a: 0, b: Some(1), tag: table + 1, visible_only: false }
}

impl Emitter<'_> {
    /// The value cells that the operand's Requant placed, or a new pair of columns.
    pub fn lower_table(&mut self, id: ValueId, table: u32) -> Result<Vec<Expr>, LayoutError> {
        let features = self.node(id).features;
        let operand = self.input(id, 0)?;
        self.expect_features(id, operand, features)?;
        if table >= self.graph.tables {
            return Err(operand_error(self.node(id), format!("table {table} does not exist")));
        }
        if let Some(cells) = self.table_values.remove(&id) {
            return Ok(cells.into_iter().map(Expr::atom).collect());
        }
        let signature = Signature {
            name: format!("table {table}"),
            columns: vec!["key".into(), "value".into()],
            lookups: vec![pair_lookup(table)],
            gates: Vec::new(),
            spare_raw: None,
        };
        let offset = 1i64 << (self.bits - 1);
        let (strip, first) = self.strip(signature, features);
        let key = self.cells(strip, 0, first, features);
        let value = self.cells(strip, 1, first, features);
        self.fill(&key, operand, Part::Value, 0, offset, None);
        self.fill(&value, id, Part::Value, 0, 0, None);
        let shift = self.constant(offset as i128);
        for (j, &cell) in key.iter().enumerate() {
            let x = self.values[operand as usize][j].plus(&shift, 1);
            self.define(Expr::atom(cell).plus(&x, -1));
        }
        Ok(value.into_iter().map(Expr::atom).collect())
    }
}

//! Bits: cells that are 0 or 1, with the operand as their sum of powers of two.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Quantity;
use crate::space::{Signature, StripGate, Where, column, constant};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Bits, Site};

impl Circuit for Bits {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        let bits = emitter.bits(id, Quantity::Value, site.features as u32);
        for (j, bits) in bits.chunks(self.count as usize).enumerate() {
            let sum = Expr::atoms((0..).zip(bits).map(|(i, &bit)| (bit, 1 << i)));
            let x = emitter.values[operand as usize][j].clone();
            emitter.define(x.plus(&sum, -1));
        }
        Ok(bits.into_iter().map(Expr::atom).collect())
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (2, 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "digits: each is 0 or 1, and they add up to the number"
    }
}

impl Emitter<'_> {
    /// New cells that are 0 or 1.
    pub fn bits(&mut self, id: ValueId, quantity: Quantity, count: u32) -> Vec<Atom> {
        let signature = Signature {
            name: "bits".into(),
            columns: vec!["bit".into()],
            lookups: Vec::new(),
            gates: vec![StripGate {
                name: "0 or 1",
                rows: Where::Everywhere,
                a: column(0),
                b: (vec![(0, 1)], -1),
                c: constant(0),
            }],
            spare_raw: None,
        };
        let (strip, first) = self.strip(signature, count);
        let cells = self.cells(strip, 0, first, count);
        self.fill(&cells, id, quantity, 0, 0, None);
        cells
    }
}

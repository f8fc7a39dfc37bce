//! Max: the greatest feature of each group.
//!
//! Uniqueness: every `max - x` is made of limbs, and the marks of a group add up to 1 and are 0 where `max - x` is not, so
//! one of its features is max.

use super::Circuit;
use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use crate::space::{ColumnForm, RAW, Signature, StripGate, StripLookup, Where, column, constant};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Max, Site, max};

impl Circuit for Max {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        let features = site.widths[0] as u32;
        let width = (features / self.groups) as usize;
        if width == 1 {
            return Ok(emitter.values[operand as usize].clone());
        }
        let limbs = self.limbs as usize;
        let weight = |limb: usize| 1i64 << (limb as u32 * site.limb_bits);
        let distance: ColumnForm = ((0..limbs).map(|limb| (limb, weight(limb))).collect(), 0);
        let gate = |name, b| StripGate { name, rows: Where::Everywhere, a: column(limbs), b, c: constant(0) };
        let mut columns: Vec<String> = (0..limbs).map(|limb| format!("distance {limb}")).collect();
        columns.push("is max".into());
        let range = |a| StripLookup { a, b: None, tag: 0, visible_only: false };
        let signature = Signature {
            name: "max".into(),
            columns,
            lookups: (0..limbs).map(range).collect(),
            gates: vec![gate("the maximum has distance 0", distance), gate("is max is a bit", (vec![(limbs, 1)], -1))],
            spare_raw: None,
        };
        let (strip, first) = emitter.strip(signature, features);
        let is_max = emitter.cells(strip, limbs, first, features);
        emitter.fill(&is_max, id, Quantity::Own(max::IS_MAX), 0, 0, None);
        let mut sums = emitter.values[operand as usize].clone();
        for limb in 0..limbs {
            let cells = emitter.cells(strip, limb, first, features);
            emitter.fill(&cells, id, Quantity::Own(max::DISTANCE), 0, 0, Some((limb as u32, self.limbs)));
            for (sum, &cell) in sums.iter_mut().zip(&cells) {
                *sum = sum.plus(&Expr::atom(cell), weight(limb).into());
            }
        }
        let maximum = emitter.raw(RAW, id, Quantity::Value, self.groups);
        for (j, sum) in sums.iter().enumerate() {
            emitter.define(sum.plus(&Expr::atom(maximum[j / width]), -1));
        }
        for group in is_max.chunks(width) {
            let marks = group.iter().map(|&cell| (cell, 1));
            emitter.define(Expr::atoms(marks.chain([(ONE, -1)])));
        }
        Ok(maximum.into_iter().map(Expr::atom).collect())
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (2 + u64::from(self.limbs), 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "maximum: no distance is negative, and one is 0"
    }
}

//! Attend: unnormalised softmax from raw scores.
//!
//! Per visible cell `x + 2^(S-1) = 2^S (m - d - o) + rem` with `0 <= rem < 2^S`, d in the table's domain, o >= 0 made
//! of limbs and `o (2^b - 1 - d) = 0`. Uniqueness: m is made of limbs and the row has one cell with
//! `is_max = 1`, where `d + o = 0`, so m is the maximum of `s`; then d and o are the two parts of `m - s`. Hidden
//! cells have `e = 0` and `is_max = 0`; their o (or `absorb`) is free and makes the raw score's equation vacuous.

use super::table::pair_lookup;
use super::{Circuit, any_limbs};
use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use crate::space::{ColumnForm, Signature, StripGate, StripLookup, Where, column, constant};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Attend, Site, attend, attend::groups};

const DISTANCE: usize = 0;
const WEIGHT: usize = 1;
const IS_MAX: usize = 2;
const FIRST_OVER: usize = 3;

impl Circuit for Attend {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let (raw, bits, tokens) = (emitter.input(id, 0)?, site.limb_bits, site.tokens as u32);
        let features = site.features as u32;
        emitter.limit(id, "the distance", (self.over_limbs + 1) * bits, 62)?;
        let half = if self.limbs == 0 { 0 } else { 1i128 << (self.limbs * bits - 1) };
        let scale = 1i128 << (self.limbs * bits);

        let (strip, first) = emitter.strip(signature(self, bits), features);
        if self.causal {
            let hidden = (0..features).map(|i| (first + i, i % tokens)).filter(|&(_, n)| n > 0);
            emitter.out.strips[strip].hidden.extend(hidden);
        }
        let distance = emitter.cells(strip, DISTANCE, first, features);
        let weight = emitter.cells(strip, WEIGHT, first, features);
        let is_max = emitter.cells(strip, IS_MAX, first, features);
        emitter.fill(&distance, id, Quantity::Own(attend::DISTANCE), 0, 0, None);
        emitter.fill(&weight, id, Quantity::Value, 0, 0, None);
        emitter.fill(&is_max, id, Quantity::Own(attend::IS_MAX), 0, 0, None);
        let mut total: Vec<Expr> = distance.iter().map(|&cell| Expr::atom(cell)).collect();
        for limb in 0..absorbing(self) {
            let cells = emitter.cells(strip, FIRST_OVER + limb as usize, first, features);
            let split = (self.over_limbs > 0).then_some((limb, self.over_limbs));
            emitter.fill(&cells, id, Quantity::Own(attend::OVER), 0, 0, split);
            for (sum, &cell) in total.iter_mut().zip(&cells) {
                *sum = sum.plus(&Expr::atom(cell), 1 << (limb * bits));
            }
        }

        let maximum = emitter.signed_maximum(id, raw, self, half)?;
        let remainder = emitter.range(id, Quantity::Own(attend::REMAINDER), features, self.limbs, 0);
        let bias = emitter.constant(half);
        for (group, maximum) in groups(&self.keys).zip(&maximum) {
            for j in group {
                let rounded = maximum.plus(&total[j], -1);
                let score = emitter.values[raw as usize][j].plus(&bias, 1);
                emitter.define(score.plus(&rounded, -scale).plus(&remainder[j], -1));
            }
        }
        for group in groups(&self.keys) {
            let marks = is_max[group].iter().map(|&cell| (cell, 1));
            emitter.define(Expr::atoms(marks.chain([(ONE, -1)])));
        }
        Ok(weight.into_iter().map(Expr::atom).collect())
    }

    fn size(&self, site: &Site) -> (u64, u64) {
        (5 + any_limbs(site) + u64::from(self.limbs) + u64::from(self.over_limbs), 0)
    }

    fn argument(&self, quantity: Quantity) -> &'static str {
        match quantity {
            Quantity::Own(attend::MAX) => "maximum: no distance is negative, and one is 0",
            _ => "distance from the maximum: it is beyond the table only at its end",
        }
    }
}

/// Columns that hold what the table's domain does not: limbs, or one cell that is 0 where visible.
fn absorbing(op: &Attend) -> u32 {
    if op.causal { op.over_limbs.max(1) } else { op.over_limbs }
}

/// In groups of one key, the group's sum makes the only cell the maximum, and the gate of the maximum makes d and o 0.
fn signature(op: &Attend, bits: u32) -> Signature {
    let choice = op.keys.iter().any(|&keys| keys > 1);
    let mut columns: Vec<String> = ["key", "value", "is max"].map(String::from).into();
    columns.extend((0..absorbing(op)).map(|i| format!("over {i}")));
    let over: Vec<usize> = (FIRST_OVER..columns.len()).collect();
    let top = (1i64 << bits) - 1;

    let mut lookups = vec![pair_lookup(op.table)];
    let mut distance: ColumnForm = column(DISTANCE);
    distance.0.extend(over.iter().enumerate().map(|(i, &o)| (o, 1i64 << (i as u32 * bits))));
    let gate = |name, rows, a, b, c| StripGate { name, rows, a, b, c };
    let all = Where::Everywhere;
    let mut gates = vec![gate("the maximum has distance 0", all, column(IS_MAX), distance, constant(0))];
    if choice {
        gates.push(gate("is max is a bit", all, column(IS_MAX), (vec![(IS_MAX, 1)], -1), constant(0)));
    }
    for &o in &over {
        if op.over_limbs == 0 {
            gates.push(gate("visible cells absorb nothing", Where::Visible, column(o), constant(1), constant(0)));
        } else {
            lookups.push(StripLookup { a: o, b: None, tag: 0, visible_only: op.causal });
            if choice {
                let below = (vec![(DISTANCE, -1)], top);
                gates.push(gate("over only beyond the table", all, column(o), below, constant(0)));
            }
        }
    }
    if op.causal {
        for (name, cell) in [("hidden weight is 0", WEIGHT), ("hidden cell is not the maximum", IS_MAX)] {
            gates.push(gate(name, Where::Hidden, column(cell), constant(1), constant(0)));
        }
    }
    Signature { name: format!("softmax {}", op.table), columns, lookups, gates, spare_raw: None }
}

impl Emitter<'_> {
    /// The maximum of each group, signed, from limbs wide enough for every rounded score.
    fn signed_maximum(&mut self, id: ValueId, raw: ValueId, op: &Attend, half: i128) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(raw);
        let round = |v: i64| (v as i128 + half) >> (op.limbs * self.bits);
        let reach = round(node.hi).max(-round(node.lo) - 1).max(0);
        let limbs = self.limbs(2 * reach + 1);
        self.limit(id, "the row maximum", limbs * self.bits, 62)?;
        let offset = 1i64 << (limbs * self.bits - 1);
        let unsigned = self.range(id, Quantity::Own(attend::MAX), op.keys.len() as u32, limbs, offset);
        Ok(self.signed(id, Quantity::Own(attend::MAX), &unsigned, offset, op.limbs * self.bits))
    }
}

//! Attend: unnormalised softmax from raw scores.
//!
//! Per visible cell `x + 2^(S-1) = 2^S (m - d - o) + rem` with `0 <= rem < 2^S`, d in the table's domain, o >= 0 made
//! of limbs and `o (2^b - 1 - d) = 0`. Uniqueness: m is made of limbs and the row has one cell with
//! `is_max = 1`, where `d + o = 0`, so m is the maximum of `s`; then d and o are the two parts of `m - s`. Hidden
//! cells have `e = 0` and `is_max = 0`; their o (or `absorb`) is free and makes the raw score's equation vacuous.

use super::table::pair_lookup;
use crate::emit::{Emitter, ONE, operand_error};
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Part;
use crate::space::{ColumnForm, Signature, StripGate, StripLookup, Where, column, constant};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::interp::attention::groups;

/// The parameters of [`nanozk_ir::int::Op::Attend`].
#[derive(Clone, Copy, Debug)]
pub struct AttendShape<'g> {
    /// Features of each group.
    pub keys: &'g [u32],
    /// Table over the distance.
    pub table: u32,
    /// Limbs dropped from the raw score.
    pub limbs: u32,
    /// Limbs of the part of the distance beyond the table.
    pub over_limbs: u32,
    /// Whether later tokens are hidden.
    pub causal: bool,
}

const DISTANCE: usize = 0;
const WEIGHT: usize = 1;
const IS_MAX: usize = 2;
const FIRST_OVER: usize = 3;

impl AttendShape<'_> {
    /// Columns that hold what the table's domain does not: limbs, or one cell that is 0 where visible.
    fn absorbing(&self) -> u32 {
        if self.causal { self.over_limbs.max(1) } else { self.over_limbs }
    }

    /// In groups of one key, the group's sum makes the only cell the maximum, and the gate of the maximum makes d and o 0.
    fn signature(&self, bits: u32) -> Signature {
        let choice = self.keys.iter().any(|&keys| keys > 1);
        let mut columns: Vec<String> = ["key", "value", "is max"].map(String::from).into();
        columns.extend((0..self.absorbing()).map(|i| format!("over {i}")));
        let over: Vec<usize> = (FIRST_OVER..columns.len()).collect();
        let top = (1i64 << bits) - 1;

        let mut lookups = vec![pair_lookup(self.table)];
        let mut distance: ColumnForm = column(DISTANCE);
        distance.0.extend(over.iter().enumerate().map(|(i, &o)| (o, 1i64 << (i as u32 * bits))));
        let gate = |name, rows, a, b, c| StripGate { name, rows, a, b, c };
        let all = Where::Everywhere;
        let mut gates = vec![gate("the maximum has distance 0", all, column(IS_MAX), distance, constant(0))];
        if choice {
            gates.push(gate("is max is a bit", all, column(IS_MAX), (vec![(IS_MAX, 1)], -1), constant(0)));
        }
        for &o in &over {
            if self.over_limbs == 0 {
                gates.push(gate("visible cells absorb nothing", Where::Visible, column(o), constant(1), constant(0)));
            } else {
                lookups.push(StripLookup { a: o, b: None, tag: 0, visible_only: self.causal });
                if choice {
                    let below = (vec![(DISTANCE, -1)], top);
                    gates.push(gate("over only beyond the table", all, column(o), below, constant(0)));
                }
            }
        }
        if self.causal {
            for (name, cell) in [("hidden weight is 0", WEIGHT), ("hidden cell is not the maximum", IS_MAX)] {
                gates.push(gate(name, Where::Hidden, column(cell), constant(1), constant(0)));
            }
        }
        Signature { name: format!("softmax {}", self.table), columns, lookups, gates, spare_raw: None }
    }
}

impl Emitter<'_> {
    /// The weights' cells, bound to the raw scores.
    pub fn lower_attend(&mut self, id: ValueId, shape: AttendShape) -> Result<Vec<Expr>, LayoutError> {
        let (node, bits, tokens) = (self.node(id), self.bits, self.tokens);
        let raw = self.input(id, 0)?;
        let features = shape.keys.iter().sum();
        self.expect_features(id, raw, features)?;
        if node.features != features || shape.table >= self.graph.tables {
            return Err(operand_error(node, format!("{} features, table {}", node.features, shape.table)));
        }
        if shape.causal && shape.keys.iter().any(|&keys| keys != tokens) {
            return Err(operand_error(node, format!("a causal group has {tokens} keys")));
        }
        self.limit(id, "the remainder", shape.limbs * bits, 62)?;
        self.limit(id, "the distance", (shape.over_limbs + 1) * bits, 62)?;
        let half = if shape.limbs == 0 { 0 } else { 1i128 << (shape.limbs * bits - 1) };
        let scale = 1i128 << (shape.limbs * bits);

        let (strip, first) = self.strip(shape.signature(bits), features);
        if shape.causal {
            let hidden = (0..features).map(|i| (first + i, i % tokens)).filter(|&(_, n)| n > 0);
            self.out.strips[strip].hidden.extend(hidden);
        }
        let distance = self.cells(strip, DISTANCE, first, features);
        let weight = self.cells(strip, WEIGHT, first, features);
        let is_max = self.cells(strip, IS_MAX, first, features);
        self.fill(&distance, id, Part::Distance, 0, 0, None);
        self.fill(&weight, id, Part::Value, 0, 0, None);
        self.fill(&is_max, id, Part::IsMax, 0, 0, None);
        let mut total: Vec<Expr> = distance.iter().map(|&cell| Expr::atom(cell)).collect();
        for limb in 0..shape.absorbing() {
            let cells = self.cells(strip, FIRST_OVER + limb as usize, first, features);
            let split = (shape.over_limbs > 0).then_some((limb, shape.over_limbs));
            self.fill(&cells, id, Part::Over, 0, 0, split);
            for (sum, &cell) in total.iter_mut().zip(&cells) {
                *sum = sum.plus(&Expr::atom(cell), 1 << (limb * bits));
            }
        }

        let maximum = self.signed_maximum(id, raw, shape, half)?;
        let remainder = self.range(id, Part::Remainder, features, shape.limbs, 0);
        let bias = self.constant(half);
        for (group, maximum) in groups(shape.keys).zip(&maximum) {
            for j in group {
                let rounded = maximum.plus(&total[j], -1);
                let score = self.values[raw as usize][j].plus(&bias, 1);
                self.define(score.plus(&rounded, -scale).plus(&remainder[j], -1));
            }
        }
        for group in groups(shape.keys) {
            let marks = is_max[group].iter().map(|&cell| (cell, 1));
            self.define(Expr::atoms(marks.chain([(ONE, -1)])));
        }
        Ok(weight.into_iter().map(Expr::atom).collect())
    }

    /// The maximum of each group, signed, from limbs wide enough for every rounded score.
    fn signed_maximum(
        &mut self,
        id: ValueId,
        raw: ValueId,
        shape: AttendShape,
        half: i128,
    ) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(raw);
        let round = |v: i64| (v as i128 + half) >> (shape.limbs * self.bits);
        let reach = round(node.hi).max(-round(node.lo) - 1).max(0);
        let limbs = self.limbs(2 * reach + 1);
        self.limit(id, "the row maximum", limbs * self.bits, 62)?;
        let offset = 1i64 << (limbs * self.bits - 1);
        let unsigned = self.range(id, Part::Max, shape.keys.len() as u32, limbs, offset);
        Ok(self.signed(id, Part::Max, &unsigned, offset, shape.limbs * self.bits))
    }
}

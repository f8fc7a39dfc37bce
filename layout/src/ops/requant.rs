//! Requant: values cut into range-checked limbs.
//!
//! Uniqueness: `x + 2^(S-1) = 2^S y + rem` with `0 <= rem < 2^S` has one solution over the integers, and all sides are
//! far below the field. With clamping, `y + over - under` is that solution, and `over > 0` only at the greatest y,
//! `under > 0` only at the least.

use super::table::pair_lookup;
use super::{Circuit, FOLLOWS, any_limbs};
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use crate::space::{Signature, StripGate, StripLookup, Where, column, constant};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Op, Requant, Site, Table, requant};

impl Circuit for Requant {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let Requant { limbs, out_limbs, clamp } = *self;
        let (features, b, operand) = (site.features as u32, site.limb_bits, emitter.input(id, 0)?);
        let half = 1i128 << (limbs * b - 1);
        let offset = 1i64 << (out_limbs * b - 1);
        let table =
            emitter.consumers[id as usize].iter().copied().find(|&c| matches!(emitter.node(c).op, Op::Table(_)));
        let table = table.filter(|_| out_limbs == 1);

        let (over, under) = if clamp { emitter.clamp_limbs(operand, limbs * b, half, offset) } else { (0, 0) };
        let (unsigned, excess) = if over + under > 0 || table.is_some() {
            emitter.requant_strip(id, table, over, under, offset)
        } else {
            (emitter.range(id, Quantity::Value, features, out_limbs, offset), vec![Expr::default(); features as usize])
        };
        let remainder = emitter.range(id, Quantity::Own(requant::REMAINDER), features, limbs, 0);
        let values = emitter.signed(id, Quantity::Value, &unsigned, offset, limbs * b);
        let bias = emitter.constant(half);
        for j in 0..values.len() {
            let total = values[j].plus(&excess[j], 1).scaled(1 << (limbs * b)).plus(&remainder[j], 1);
            let expr = emitter.values[operand as usize][j].plus(&bias, 1).plus(&total, -1);
            emitter.define(expr);
        }
        Ok(values)
    }

    fn size(&self, site: &Site) -> (u64, u64) {
        let clamp = if self.clamp { 2 * any_limbs(site) } else { 0 };
        (2 + u64::from(self.limbs) + u64::from(self.out_limbs) + clamp, 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        if self.clamp { "clamped value: what exceeds the range is 0 except at its ends" } else { FOLLOWS }
    }
}

impl Emitter<'_> {
    /// Limbs of what may exceed and fall short of the result's range.
    fn clamp_limbs(&self, operand: ValueId, s: u32, half: i128, offset: i64) -> (u32, u32) {
        let x = self.node(operand);
        let bound = |v: i64| (v as i128 + half) >> s;
        let over = bound(x.hi) - (offset as i128 - 1);
        let under = -(offset as i128) - bound(x.lo);
        let limbs = |v: i128| if v > 0 { self.limbs(v) } else { 0 };
        (limbs(over), limbs(under))
    }

    /// The strip `u [, table value], over.., under..`: expressions of u and of over - under.
    fn requant_strip(
        &mut self,
        id: ValueId,
        table: Option<ValueId>,
        over: u32,
        under: u32,
        offset: i64,
    ) -> (Vec<Expr>, Vec<Expr>) {
        let features = self.node(id).features;
        let table_index = table.and_then(|t| match self.node(t).op {
            Op::Table(Table { table }) => Some(table),
            _ => None,
        });
        let first_limb = 1 + table_index.is_some() as usize;
        let columns = first_limb + (over + under) as usize;
        let mut names = vec!["key".to_string()];
        names.extend(table_index.map(|_| "value".to_string()));
        names.extend((0..over).map(|i| format!("over {i}")));
        names.extend((0..under).map(|i| format!("under {i}")));
        let range = |a| StripLookup { a, b: None, tag: 0, visible_only: false };
        let mut lookups = vec![table_index.map_or(range(0), pair_lookup)];
        lookups.extend((first_limb..columns).map(range));
        let top = (1i64 << self.bits) - 1;
        let gates = (first_limb..columns)
            .map(|limb| StripGate {
                name: if limb < first_limb + over as usize {
                    "over only at the top"
                } else {
                    "under only at the bottom"
                },
                rows: Where::Everywhere,
                a: column(limb),
                b: if limb < first_limb + over as usize { (vec![(0, -1)], top) } else { column(0) },
                c: constant(0),
            })
            .collect();
        let name = match (table_index, over + under) {
            (Some(t), 0) => format!("table {t}"),
            (Some(t), _) => format!("clamp table {t}"),
            (None, _) => "clamp".to_string(),
        };
        let signature = Signature { name, columns: names, lookups, gates, spare_raw: None };
        let (strip, first) = self.strip(signature, features);
        let key = self.cells(strip, 0, first, features);
        self.fill(&key, id, Quantity::Value, 0, offset, None);
        if let Some(table) = table {
            let value = self.cells(strip, 1, first, features);
            self.fill(&value, table, Quantity::Value, 0, 0, None);
            self.table_values.insert(table, value);
        }
        let mut excess = vec![Expr::default(); features as usize];
        for (quantity, limbs, start, sign) in [
            (Quantity::Own(requant::OVER), over, first_limb, 1i128),
            (Quantity::Own(requant::UNDER), under, first_limb + over as usize, -1),
        ] {
            for limb in 0..limbs {
                let cells = self.cells(strip, start + limb as usize, first, features);
                self.fill(&cells, id, quantity, 0, 0, Some((limb, limbs)));
                for (sum, &cell) in excess.iter_mut().zip(&cells) {
                    *sum = sum.plus(&Expr::term(cell, sign), 1 << (limb * self.bits));
                }
            }
        }
        (key.into_iter().map(Expr::atom).collect(), excess)
    }
}

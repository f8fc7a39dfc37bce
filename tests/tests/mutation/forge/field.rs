//! Forgeries with field elements: fractions and roots that satisfy the equations where integers are meant.

use super::{Forger, Forgery, Out};
use crate::cells::Change;
use group::ff::Field;
use nanozk_ir::int::ops::{FloorDiv, Gadget, Step, div, floor_div, recip, requant, root, rsqrt, step};
use nanozk_ir::int::{Op, ops};
use nanozk_layout::Quantity;
use nanozk_plan::SlotId;
use nanozk_proof::field::{Fr, int};

impl Forger<'_> {
    /// Other solutions of the equations of one value over the field.
    pub(super) fn field(&self, id: usize, token: usize, feature: usize, out: Out) {
        let node = &self.net.model.shapes[0].nodes[id];
        let at = token * node.features as usize + feature;
        let what = format!("{} {id} at ({token}, {feature})", node.op.name());
        let mut push = |kind, parts: &[(Quantity, Fr)]| {
            let changes = parts.iter().flat_map(|&(part, value)| self.cells_of(id, part, token, feature, value));
            self.honest_but(kind, &what, changes.collect(), out);
        };
        match node.op {
            Op::Requant(ops::Requant { limbs, .. }) => {
                let shift = limbs * self.net.model.limb_bits;
                let half = if shift == 0 { 0 } else { 1i64 << (shift - 1) };
                let exact = int(self.operand(id, 0).1[at] + half) * int(1 << shift).invert().unwrap();
                let none =
                    [Quantity::Own(requant::REMAINDER), Quantity::Own(requant::OVER), Quantity::Own(requant::UNDER)]
                        .map(|part| (part, Fr::ZERO));
                push("fraction-valued quotient", &[&[(Quantity::Value, exact)], &none[..]].concat());
            }
            Op::Recip(ops::Recip { param }) => {
                let (c, z) = (int(self.net.model.layers[0].params[param as usize]), int(self.operand(id, 0).1[at]));
                let r = c * z.invert().unwrap();
                let parts = [
                    (Quantity::Value, r),
                    (Quantity::Square, r.square()),
                    (Quantity::Own(recip::PRODUCT), c),
                    (Quantity::Own(recip::REMAINDER), Fr::ZERO),
                    (Quantity::Own(recip::GAP), z - Fr::ONE),
                ];
                push("fraction-valued reciprocal", &parts);
            }
            Op::RSqrt(ops::RSqrt { param }) => {
                let (c, v) = (int(self.net.model.layers[0].params[param as usize]), int(self.operand(id, 0).1[at]));
                let root = |r: Fr| {
                    let high = (r + Fr::ONE).square() * v - Fr::ONE - c;
                    let (low, linear) = (c - r.square() * v, r * v);
                    let products = [
                        (Quantity::Own(rsqrt::LINEAR), linear),
                        (Quantity::Own(rsqrt::CUBIC), r * linear),
                        (Quantity::Square, r.square()),
                    ];
                    [
                        &[(Quantity::Value, r), (Quantity::Own(rsqrt::LOW), low), (Quantity::Own(rsqrt::HIGH), high)],
                        &products[..],
                    ]
                    .concat()
                };
                push("negative root", &root(-int(self.net.values[id][at])));
                // Of two neighbouring quotients of the field one is a square, as a rule.
                let exact: Option<Fr> = (c * v.invert().unwrap()).sqrt().into();
                exact.into_iter().for_each(|r| push("root in the field", &root(r)));
            }
            Op::Gadget(Gadget::Step(Step { limbs })) => {
                let reach = int(1 << (limbs * self.net.model.limb_bits));
                let bit = Fr::ONE + int(self.operand(id, 0).1[at]) * reach.invert().unwrap();
                push("fraction-valued comparison", &[(Quantity::Value, bit), (Quantity::Own(step::REST), Fr::ZERO)]);
            }
            Op::Gadget(Gadget::FloorDiv(FloorDiv { divisor, .. })) => {
                let quotient = int(self.operand(id, 0).1[at]) * int(divisor).invert().unwrap();
                let rest =
                    [(Quantity::Own(floor_div::REST), Fr::ZERO), (Quantity::Own(floor_div::GAP), int(divisor - 1))];
                push("fraction-valued floor", &[&[(Quantity::Value, quotient)], &rest[..]].concat());
            }
            Op::Gadget(Gadget::Div(_)) => {
                let (x, z) = (int(self.operand(id, 0).1[at]), int(self.operand(id, 1).1[at]));
                let quotient = x * z.invert().unwrap();
                let helpers = [(div::PRODUCT, x), (div::REST, Fr::ZERO), (div::GAP, z - Fr::ONE)];
                let helpers = helpers.map(|(part, value)| (Quantity::Own(part), value));
                push("fraction-valued division", &[&[(Quantity::Value, quotient)], &helpers[..]].concat());
            }
            Op::Gadget(Gadget::Root(_)) => {
                let (x, honest) = (int(self.operand(id, 0).1[at]), int(self.net.values[id][at]));
                let exact: Option<Fr> = x.sqrt().into();
                for r in exact.into_iter().chain([-honest]).filter(|r| *r != honest) {
                    let rest = x - r.square();
                    let helpers = [
                        (root::SQUARE, r.square()),
                        (root::REST, rest),
                        (root::GAP, r.double() - rest),
                        (root::LIMBS, r),
                    ];
                    let helpers = helpers.map(|(part, value)| (Quantity::Own(part), value));
                    push("square root in the field", &[&[(Quantity::Value, r)], &helpers[..]].concat());
                }
            }
            _ => {}
        }
    }

    /// The honest cells with the changes.
    pub(super) fn honest_but(&self, kind: &'static str, what: &str, field: Vec<Change>, out: Out) {
        let (lanes, publics) = (self.net.lanes(self.lowered), self.net.tensors());
        out(Forgery { kind, what: what.into(), lanes, publics, field });
    }

    /// The slots that hold a feature of a quantity, with what is added and the limb.
    pub(super) fn slots_of(
        &self,
        id: usize,
        quantity: Quantity,
        feature: u32,
    ) -> impl Iterator<Item = (SlotId, i64, Option<(u32, u32)>)> + '_ {
        let here = move |f: &&nanozk_layout::Fill| {
            f.node as usize == id && f.quantity == quantity && (f.first..f.first + f.count).contains(&feature)
        };
        self.lowered.fills.iter().filter(here).map(move |f| (f.slot + feature - f.first, f.add, f.limb))
    }

    /// A quantity's cells with a field element in place of the integer: in the first limb, the others 0. A value that
    /// fits its limbs is cut into them.
    fn cells_of(&self, id: usize, quantity: Quantity, token: usize, feature: usize, value: Fr) -> Vec<Change> {
        let bits = self.net.model.limb_bits;
        let change = |(slot, add, limb): (SlotId, i64, Option<(u32, u32)>)| {
            let whole = value + int(add);
            let value = match (limb, crate::cells::small(whole)) {
                (None, _) | (Some((0, _)), None) => whole,
                (Some(_), None) => Fr::ZERO,
                (Some((index, _)), Some(small)) => int(((small as i64) >> (index * bits)) & ((1 << bits) - 1)),
            };
            Change { slot, token: token as u32, value }
        };
        self.slots_of(id, quantity, feature as u32).map(change).collect()
    }
}

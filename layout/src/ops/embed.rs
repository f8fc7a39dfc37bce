//! Embed: one-hot ids times the table. The one-hots of public ids are public, others are cells.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Embed, Input, Op, Site, embed};
use nanozk_plan::{Port, Public};

impl Circuit for Embed {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let operand = emitter.input(id, 0)?;
        let positions = site.widths[0] as u32;
        let public = match emitter.node(operand).op {
            Op::Input(Input { port }) if emitter.boundary_space(Port::Input(port)).is_none() => Some(Port::Input(port)),
            _ => None,
        };
        let inputs = match public {
            Some(port) => (0..positions)
                .flat_map(|feature| {
                    let run = emitter.public(Public::OneHot { port, feature, count: self.vocab });
                    (0..self.vocab).map(move |i| Expr::atom(Atom::Public(run, i)))
                })
                .collect(),
            None => emitter.one_hots(id, Quantity::Own(embed::IS_ID), operand, self.vocab),
        };
        let product = emitter.matrix(id, self.weight, inputs, positions);
        Ok(emitter.matrices(id, vec![product], positions))
    }

    fn size(&self, site: &Site) -> (u64, u64) {
        (1, site.read().saturating_mul(self.vocab.into()))
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "digits: each is 0 or 1, and they add up to the number"
    }
}

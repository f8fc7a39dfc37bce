//! ArgMax: the winner of each group of a token's features, or of their sum with noise, lowest index first. Public winners
//! are public one-hots, all others cells.
//!
//! Uniqueness: a group has one winner, there `max - x = 0`, so max is the winner's value; every
//! `max - x_i - [i below the winner]` is made of limbs, so no feature is larger and none before the winner is equal.

use super::Circuit;
use crate::emit::{Emitter, ONE};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Quantity;
use crate::space::{RAW, Signature, StripGate, Where, column, constant};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{ArgMax, Op, Output, Site, argmax};
use nanozk_plan::{Port, Public};

impl Circuit for ArgMax {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let (x, noise) = (emitter.input(id, 0)?, emitter.node(id).inputs.get(1).copied());
        let (features, groups, limbs) = (site.widths[0] as u32, self.groups, self.limbs);
        let width = (features / groups) as usize;
        let public = emitter.winners_port(id);

        let gate = |name, b, c| StripGate { name, rows: Where::Everywhere, a: column(1), b, c };
        let mut gates = vec![gate("the winner has distance 0", column(0), constant(0))];
        if public.is_none() {
            gates.push(gate("a winner is marked by 1", (vec![(1, 1)], -1), constant(0)));
        }
        let signature = Signature {
            name: if public.is_some() { "argmax".into() } else { "hidden argmax".into() },
            columns: vec!["distance".into(), "winner".into()],
            lookups: Vec::new(),
            gates,
            spare_raw: Some(0),
        };
        let (strip, first) = emitter.strip(signature, features);
        let distance = emitter.cells(strip, 0, first, features);
        let is_max = emitter.cells(strip, 1, first, features);
        emitter.fill(&distance, id, Quantity::Own(argmax::DISTANCE), 0, 0, None);
        emitter.fill(&is_max, id, Quantity::Own(argmax::IS_MAX), 0, 0, None);
        let maximum = emitter.raw(RAW, id, Quantity::Own(argmax::MAX), groups);
        let below = emitter.raw(RAW, id, Quantity::Own(argmax::BELOW), features);
        let excess = emitter.range(id, Quantity::Own(argmax::EXCESS), features, limbs, 0);

        let winners: Vec<Atom> = match public {
            Some(port) => (0..groups)
                .flat_map(|feature| {
                    let run = emitter.public(Public::OneHot { port, feature, count: width as u32 });
                    (0..width as u32).map(move |i| Atom::Public(run, i))
                })
                .collect(),
            None => is_max.clone(),
        };
        for group in winners.chunks(width) {
            let winners = group.iter().map(|&winner| (winner, 1));
            emitter.define(Expr::atoms(winners.chain([(ONE, -1)])));
        }
        if public.is_some() {
            for (&cell, &winner) in is_max.iter().zip(&winners) {
                emitter.define(Expr::atoms([(cell, 1), (winner, -1)]));
            }
        }
        for (j, &cell) in distance.iter().enumerate() {
            let score = &emitter.values[x as usize][j];
            let score = noise.map_or(score.clone(), |noise| score.plus(&emitter.values[noise as usize][j], 1));
            let value = score.plus(&Expr::atom(cell), 1);
            emitter.define(value.plus(&Expr::atom(maximum[j / width]), -1));
        }
        for j in 0..features as usize {
            let later = if (j + 1).is_multiple_of(width) { None } else { Some([below[j + 1], winners[j + 1]]) };
            let later = later.into_iter().flatten().map(|atom| (atom, -1));
            emitter.define(Expr::atoms(later.chain([(below[j], 1)])));
        }
        for (j, (&cell, &before)) in distance.iter().zip(&below).enumerate() {
            emitter.define(Expr::atom(cell).plus(&Expr::atom(before), -1).plus(&excess[j], -1));
        }
        if public.is_some() {
            // Only the port reads it.
            return Ok(vec![Expr::default(); groups as usize]);
        }
        Ok(winners.chunks(width).map(|group| Expr::atoms(group.iter().copied().zip(0..))).collect())
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (5 + u64::from(self.limbs), 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "winner: no distance is negative, and that of the winner is 0"
    }
}

impl Emitter<'_> {
    /// The public output port that the node writes, if nothing else reads it.
    pub fn winners_port(&self, id: ValueId) -> Option<Port> {
        let [consumer] = self.consumers[id as usize].as_slice() else { return None };
        let Op::Output(Output { port }) = self.node(*consumer).op else { return None };
        let features = self.node(id).features;
        let spec = self.ports.outputs.get(port as usize)?;
        (spec.public && spec.features == features).then_some(Port::Output(port))
    }
}

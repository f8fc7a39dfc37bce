//! ArgMax: the winner of each group of a token's features, or of their sum with noise, lowest index first. Public winners are public one-hots, all
//! others cells.
//!
//! Uniqueness: a group has one winner, there `max - x = 0`, so max is the winner's value; every
//! `max - x_i - [i below the winner]` is made of limbs, so no feature is larger and none before the winner is equal.

use crate::emit::{Emitter, ONE, operand_error};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Part;
use crate::space::{RAW, Signature, StripGate, Where, column, constant};
use nanozk_ir::int::{Op, ValueId};
use nanozk_plan::{Port, Public};

impl Emitter<'_> {
    /// The facts that make the result of this node the argmax of each group.
    pub fn lower_argmax(&mut self, id: ValueId, groups: u32, limbs: u32) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(id);
        let x = self.input(id, 0)?;
        let features = self.node(x).features;
        let noise = node.inputs.get(1).copied();
        let other_width = noise.is_some_and(|noise| self.node(noise).features != features);
        if limbs == 0
            || features == 0
            || other_width
            || node.features != groups
            || !features.is_multiple_of(groups.max(1))
        {
            return Err(operand_error(node, format!("{limbs} limbs, {groups} groups of {features} features")));
        }
        self.limit(id, "the difference", limbs * self.bits, 62)?;
        let width = (features / groups) as usize;
        let public = self.winners_port(id);

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
        let (strip, first) = self.strip(signature, features);
        let distance = self.cells(strip, 0, first, features);
        let is_max = self.cells(strip, 1, first, features);
        self.fill(&distance, id, Part::Distance, 0, 0, None);
        self.fill(&is_max, id, Part::IsMax, 0, 0, None);
        let maximum = self.raw(RAW, id, Part::Max, groups);
        let below = self.raw(RAW, id, Part::Below, features);
        let excess = self.range(id, Part::Excess, features, limbs, 0);

        let winners: Vec<Atom> = match public {
            Some(port) => (0..groups)
                .flat_map(|feature| {
                    let run = self.public(Public::OneHot { port, feature, count: width as u32 });
                    (0..width as u32).map(move |i| Atom::Public(run, i))
                })
                .collect(),
            None => is_max.clone(),
        };
        for group in winners.chunks(width) {
            let winners = group.iter().map(|&winner| (winner, 1));
            self.define(Expr::atoms(winners.chain([(ONE, -1)])));
        }
        if public.is_some() {
            for (&cell, &winner) in is_max.iter().zip(&winners) {
                self.define(Expr::atoms([(cell, 1), (winner, -1)]));
            }
        }
        for (j, &cell) in distance.iter().enumerate() {
            let score = &self.values[x as usize][j];
            let score = noise.map_or(score.clone(), |noise| score.plus(&self.values[noise as usize][j], 1));
            let value = score.plus(&Expr::atom(cell), 1);
            self.define(value.plus(&Expr::atom(maximum[j / width]), -1));
        }
        for j in 0..features as usize {
            let later = if (j + 1).is_multiple_of(width) { None } else { Some([below[j + 1], winners[j + 1]]) };
            let later = later.into_iter().flatten().map(|atom| (atom, -1));
            self.define(Expr::atoms(later.chain([(below[j], 1)])));
        }
        for (j, (&cell, &before)) in distance.iter().zip(&below).enumerate() {
            self.define(Expr::atom(cell).plus(&Expr::atom(before), -1).plus(&excess[j], -1));
        }
        if public.is_some() {
            // Only the port reads it.
            return Ok(vec![Expr::default(); groups as usize]);
        }
        Ok(winners.chunks(width).map(|group| Expr::atoms(group.iter().copied().zip(0..))).collect())
    }

    /// The public output port that the node writes, if nothing else reads it.
    pub fn winners_port(&self, id: ValueId) -> Option<Port> {
        let [consumer] = self.consumers[id as usize].as_slice() else { return None };
        let Op::Output { port } = self.node(*consumer).op else { return None };
        let features = self.node(id).features;
        let spec = self.ports.outputs.get(port as usize)?;
        (spec.public && spec.features == features).then_some(Port::Output(port))
    }
}

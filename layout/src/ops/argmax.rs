//! ArgMax: the public winner of each token, lowest index first.
//!
//! Uniqueness: the public one-hot has one 1 per token, there `max - x = 0`, so max is the winner's value; every
//! `max - x_i - [i below the winner]` is made of limbs, so no feature is larger and none before the winner is equal.

use crate::emit::{Emitter, ONE, operand_error};
use crate::error::LayoutError;
use crate::expr::{Atom, Expr};
use crate::fill::Part;
use crate::space::{RAW, Signature, StripGate, Where, column, constant};
use nanozk_ir::int::{Op, ValueId};
use nanozk_plan::{Port, Public};

impl Emitter<'_> {
    /// The facts that make the public output of this node the argmax.
    pub fn lower_argmax(&mut self, id: ValueId, limbs: u32) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(id);
        let x = self.input(id, 0)?;
        let features = self.node(x).features;
        if limbs == 0 || features == 0 || node.features != 1 {
            return Err(operand_error(node, format!("{limbs} limbs over {features} features")));
        }
        self.limit(id, "the difference", limbs * self.bits, 62)?;
        let port = self.winner_port(id)?;
        let run = self.public(Public::OneHot { port, count: features });
        let winner = |i: usize| Expr::atom(Atom::Public(run, i as u32));

        let signature = Signature {
            name: "argmax".into(),
            columns: vec!["distance".into(), "winner".into()],
            lookups: Vec::new(),
            gates: vec![StripGate {
                name: "the winner has distance 0",
                rows: Where::Everywhere,
                a: column(1),
                b: column(0),
                c: constant(0),
            }],
            spare_raw: Some(0),
        };
        let (strip, first) = self.strip(signature, features);
        let distance = self.cells(strip, 0, first, features);
        let is_max = self.cells(strip, 1, first, features);
        self.fill(&distance, id, Part::Distance, 0, 0, None);
        self.fill(&is_max, id, Part::IsMax, 0, 0, None);
        let maximum = Expr::atom(self.raw(RAW, id, Part::Max, 1)[0]);
        let below = self.raw(RAW, id, Part::Below, features);
        let excess = self.range(id, Part::Excess, features, limbs, 0);

        let mut ones: Vec<Expr> = (0..features as usize).map(winner).collect();
        ones.push(Expr::term(ONE, -1));
        self.define(Expr::sum(ones.iter().map(|one| (one, 1))));
        for (i, &cell) in is_max.iter().enumerate() {
            self.define(Expr::atom(cell).plus(&winner(i), -1));
        }
        for (j, &cell) in distance.iter().enumerate() {
            let value = self.values[x as usize][j].plus(&Expr::atom(cell), 1);
            self.define(value.plus(&maximum, -1));
        }
        for j in 0..features as usize {
            let later = match below.get(j + 1) {
                Some(&next) => Expr::atom(next).plus(&winner(j + 1), 1),
                None => Expr::default(),
            };
            self.define(Expr::atom(below[j]).plus(&later, -1));
        }
        for (j, (&cell, &before)) in distance.iter().zip(&below).enumerate() {
            self.define(Expr::atom(cell).plus(&Expr::atom(before), -1).plus(&excess[j], -1));
        }
        Ok(vec![Expr::default()])
    }

    /// The public output port that the node writes, and nothing else reads.
    fn winner_port(&self, id: ValueId) -> Result<Port, LayoutError> {
        let node = self.node(id);
        let port = match self.consumers[id as usize].as_slice() {
            [consumer] => match self.node(*consumer).op {
                Op::Output { port } => Some(port),
                _ => None,
            },
            _ => None,
        };
        let public = |port: &u32| self.ports.outputs.get(*port as usize).is_some_and(|s| s.public && s.features == 1);
        match port.filter(public) {
            Some(port) => Ok(Port::Output(port)),
            None => Err(operand_error(node, "its only reader must be a public output of one feature".into())),
        }
    }
}

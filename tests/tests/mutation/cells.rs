//! The constraints of a plan over the proof's own field: which of them a set of changed cells breaks.
//!
//! The bilinear identity is compared monomial by monomial and token by token, which is what it says at random
//! challenges. Only what a change can reach is evaluated, so that every cell of a plan can be tried.

use group::ff::{Field, PrimeField};
use nanozk_ir::int::Table;
use nanozk_plan::{Plan, Port, RowForm, SlotId, Tag, Term, TokenWeight};
use nanozk_proof::field::{Fr, int};
use std::collections::{BTreeMap, BTreeSet};

/// The smallest part of a plan that can fail or be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Constraint {
    /// A gate.
    Gate(usize),
    /// A lookup.
    Lookup(usize),
    /// A relation and its repetition.
    Relation(usize, u32),
    /// Exponents of rho and eta in the bilinear identity.
    Monomial(u32, u32),
}

/// Another value of the cell of a slot at a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub slot: SlotId,
    pub token: u32,
    pub value: Fr,
}

/// What a layer's constraints are about, beside its plan.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    pub tables: &'a [Table],
    pub params: &'a [i64],
    pub weights: &'a [Vec<i32>],
}

/// The constraints with the honest cells.
pub struct Cells<'a> {
    plan: &'a Plan,
    data: Data<'a>,
    /// Honest integers, `[slot][token]`.
    honest: Vec<i64>,
    cells: Vec<Fr>,
    fixed: Vec<Vec<i64>>,
    /// Table values by tag and key.
    tables: Vec<Vec<Fr>>,
    gates: Vec<[Form; 3]>,
    gates_of: Vec<Vec<usize>>,
    lookups_of: Vec<Vec<usize>>,
    relations_of: Vec<Vec<(usize, u32)>>,
    identity: Identity,
}

/// `sum factor * lane + constant`.
struct Form(Vec<(usize, Fr)>, Fr);

impl Form {
    fn new(form: &RowForm) -> Self {
        Form(form.terms.iter().map(|&(lane, coef)| (lane as usize, int(coef))).collect(), int(form.constant))
    }
}

/// `sum factor * slot`.
type Sum = Vec<(SlotId, Fr)>;

/// One row of the operand columns.
#[derive(Default)]
struct Row {
    a: Vec<((u32, u32), Sum)>,
    b: Vec<((u32, u32), Sum)>,
    weights: Vec<(u32, Fr)>,
    cells: Vec<((u32, u32), usize)>,
}

struct Identity {
    claims: Vec<((u32, u32), Sum)>,
    rows: Vec<Row>,
    /// Slots that it reads at their own token only, and at all tokens.
    reads: Vec<(bool, bool)>,
    /// Exponents of rho and eta stay below these.
    size: (usize, usize),
}

impl<'a> Cells<'a> {
    pub fn new(plan: &'a Plan, data: Data<'a>, lanes: &[Vec<i64>], publics: &BTreeMap<Port, Vec<i64>>) -> Self {
        let honest = integers(plan, data, lanes, publics);
        let mut gates_of = vec![Vec::new(); plan.lanes.len()];
        for (i, gate) in plan.gates.iter().enumerate() {
            let lanes = [&gate.a, &gate.b, &gate.c].into_iter().flat_map(|f| f.terms.iter().map(|t| t.0));
            lanes.collect::<BTreeSet<u32>>().into_iter().for_each(|lane| gates_of[lane as usize].push(i));
        }
        let mut lookups_of = vec![Vec::new(); plan.lanes.len()];
        for (i, lookup) in plan.lookups.iter().enumerate() {
            std::iter::once(lookup.a).chain(lookup.b).for_each(|lane| lookups_of[lane as usize].push(i));
        }
        let mut relations_of = vec![Vec::new(); plan.slots() as usize];
        for (i, relation) in plan.relations.iter().enumerate() {
            for repetition in 0..relation.count {
                relation.terms.iter().for_each(|t| relations_of[t.at(repetition) as usize].push((i, repetition)));
            }
        }
        let range = vec![Fr::ZERO; 1 << plan.geometry.limb_bits];
        let pairs = data.tables.iter().map(|t| t.iter().map(|&v| int(v)).collect());
        Cells {
            cells: honest.iter().map(|&v| int(v)).collect(),
            honest,
            fixed: plan.fixed.iter().map(|f| column(plan, &f.runs)).collect(),
            tables: std::iter::once(range).chain(pairs).collect(),
            gates: plan.gates.iter().map(|g| [&g.a, &g.b, &g.c].map(Form::new)).collect(),
            identity: Identity::new(plan, data),
            plan,
            data,
            gates_of,
            lookups_of,
            relations_of,
        }
    }

    /// The honest value.
    pub fn value(&self, slot: SlotId, token: u32) -> Fr {
        int(self.honest[self.at(slot, token)])
    }

    /// Where other integers differ from the honest ones.
    pub fn changes(&self, lanes: &[Vec<i64>], publics: &BTreeMap<Port, Vec<i64>>) -> Vec<Change> {
        let tokens = self.plan.geometry.tokens as usize;
        let other = integers(self.plan, self.data, lanes, publics);
        let differs = other.iter().zip(&self.honest).enumerate().filter(|(_, (a, b))| a != b);
        let change = |(at, (&value, _)): (usize, (&i64, &i64))| Change {
            slot: (at / tokens) as SlotId,
            token: (at % tokens) as u32,
            value: int(value),
        };
        differs.map(change).collect()
    }

    /// Whether any equation between slots, or the identity, reads the slot.
    pub fn is_read(&self, slot: SlotId) -> bool {
        !self.relations_of[slot as usize].is_empty() || self.identity.reads[slot as usize] != (false, false)
    }

    /// The constraints that the changes break.
    pub fn broken(&mut self, changes: &[Change]) -> BTreeSet<Constraint> {
        let before: Vec<(usize, Fr)> = changes
            .iter()
            .map(|change| {
                let at = self.at(change.slot, change.token);
                (at, std::mem::replace(&mut self.cells[at], change.value))
            })
            .collect();
        let broken = self.reached(changes);
        for (at, value) in before.into_iter().rev() {
            self.cells[at] = value;
        }
        broken
    }

    /// The constraints that the honest cells break.
    pub fn broken_by_honest(&self) -> BTreeSet<Constraint> {
        let mut all = Reach::default();
        let rows = self.plan.geometry.rows();
        all.gates.extend((0..self.gates.len()).flat_map(|gate| (0..rows).map(move |row| (gate, row))));
        all.lookups.extend((0..self.plan.lookups.len()).flat_map(|lookup| (0..rows).map(move |row| (lookup, row))));
        for (i, relation) in self.plan.relations.iter().enumerate() {
            let tokens = self.plan.geometry.tokens;
            all.relations.extend((0..relation.count).flat_map(|r| (0..tokens).map(move |t| (i, r, t))));
        }
        all.tokens.extend(0..self.plan.geometry.tokens);
        self.evaluate(&all)
    }

    /// Values of the claims at a token, in their order, with their monomials.
    pub fn claims(&self, token: u32) -> Vec<((u32, u32), Fr)> {
        self.identity.claims.iter().map(|(monomial, sum)| (*monomial, self.weigh(sum, token))).collect()
    }

    /// Monomials whose two sides differ at a token, with the claim less the products.
    pub fn differences(&self, token: u32) -> Vec<((u32, u32), Fr)> {
        self.identity.differences(self, token)
    }

    fn at(&self, slot: SlotId, token: u32) -> usize {
        slot as usize * self.plan.geometry.tokens as usize + token as usize
    }

    fn reached(&self, changes: &[Change]) -> BTreeSet<Constraint> {
        let mut reach = Reach::default();
        let rows = self.plan.geometry.rows();
        for change in changes {
            let at = self.at(change.slot, change.token);
            if let (Some(gates), Some(lookups)) = (self.gates_of.get(at / rows), self.lookups_of.get(at / rows)) {
                reach.gates.extend(gates.iter().map(|&gate| (gate, at % rows)));
                reach.lookups.extend(lookups.iter().map(|&lookup| (lookup, at % rows)));
            }
            let relations = self.relations_of[change.slot as usize].iter();
            reach.relations.extend(relations.map(|&(i, repetition)| (i, repetition, change.token)));
            match self.identity.reads[change.slot as usize] {
                (_, true) => reach.tokens.extend(0..self.plan.geometry.tokens),
                (true, false) => drop(reach.tokens.insert(change.token)),
                (false, false) => {}
            }
        }
        self.evaluate(&reach)
    }

    fn evaluate(&self, reach: &Reach) -> BTreeSet<Constraint> {
        let gates = reach.gates.iter().filter(|(gate, row)| !self.gate_holds(*gate, *row));
        let lookups = reach.lookups.iter().filter(|(lookup, row)| !self.lookup_holds(*lookup, *row));
        let relations = reach
            .relations
            .iter()
            .filter(|(i, repetition, token)| self.sum(&self.plan.relations[*i].terms, *repetition, *token) != Fr::ZERO);
        let monomials = reach.tokens.iter().flat_map(|&token| self.differences(token)).map(|d| d.0);
        gates
            .map(|g| Constraint::Gate(g.0))
            .chain(lookups.map(|l| Constraint::Lookup(l.0)))
            .chain(relations.map(|r| Constraint::Relation(r.0, r.1)))
            .chain(monomials.map(|(rho, eta)| Constraint::Monomial(rho, eta)))
            .collect()
    }

    fn gate_holds(&self, gate: usize, row: usize) -> bool {
        let on = self.plan.gates[gate].selector.is_none_or(|s| self.fixed[s as usize][row] != 0);
        let rows = self.plan.geometry.rows();
        let [a, b, c] = &self.gates[gate];
        let value = |form: &Form| form.0.iter().fold(form.1, |sum, (lane, f)| sum + *f * self.cells[lane * rows + row]);
        !on || value(a) * value(b) == value(c)
    }

    fn lookup_holds(&self, lookup: usize, row: usize) -> bool {
        let lookup = &self.plan.lookups[lookup];
        if lookup.mask.is_some_and(|m| self.fixed[m as usize][row] == 0) {
            return true;
        }
        let tag = match lookup.tag {
            Tag::Table(tag) => tag as usize,
            Tag::Fixed(column) => self.fixed[column as usize][row] as usize,
        };
        let cell = |lane: u32| self.cells[lane as usize * self.plan.geometry.rows() + row];
        let value = lookup.b.map_or(Fr::ZERO, cell);
        small(cell(lookup.a)).and_then(|key| self.tables[tag].get(key)) == Some(&value)
    }

    fn sum(&self, terms: &[Term], repetition: u32, token: u32) -> Fr {
        terms.iter().fold(Fr::ZERO, |sum, t| sum + int(t.coef) * self.cells[self.at(t.at(repetition), token)])
    }

    fn weigh(&self, sum: &Sum, token: u32) -> Fr {
        sum.iter().fold(Fr::ZERO, |total, &(slot, factor)| total + factor * self.cells[self.at(slot, token)])
    }
}

/// What is to be evaluated.
#[derive(Default)]
struct Reach {
    gates: BTreeSet<(usize, usize)>,
    lookups: BTreeSet<(usize, usize)>,
    relations: BTreeSet<(usize, u32, u32)>,
    tokens: BTreeSet<u32>,
}

impl Identity {
    fn new(plan: &Plan, data: Data) -> Self {
        let sum = |terms: &[Term], i: u32| terms.iter().map(|t| (t.at(i), int(t.coef))).collect::<Sum>();
        let mut rows: Vec<Row> = (0..plan.operand_rows()).map(|_| Row::default()).collect();
        let sides = [(&plan.operands, true), (&plan.right_operands, false)];
        for (operand, left) in sides.into_iter().flat_map(|(all, left)| all.iter().map(move |o| (o, left))) {
            for i in 0..operand.count {
                let row = &mut rows[(operand.row + i * operand.row_stride) as usize];
                let side = if left { &mut row.a } else { &mut row.b };
                side.push((operand.monomial.at(i), sum(&operand.terms, i)));
            }
        }
        for tile in &plan.tiles {
            let columns = plan.weight_columns;
            let parts = tile.outputs.div_ceil(columns);
            for (at, &weight) in data.weights[tile.weight as usize].iter().enumerate() {
                let (i, j) = (at as u32 / tile.outputs, at as u32 % tile.outputs);
                if let Some(row) = rows.get_mut((tile.row + i * parts + j / columns) as usize) {
                    row.weights.push((j % columns, int(weight as i64)));
                }
            }
        }
        let mut reads = vec![(false, false); plan.slots() as usize];
        let tokens = plan.geometry.tokens;
        for functional in &plan.functionals {
            for entry in &functional.entries {
                reads[entry.slot as usize].1 = true;
                for t in 0..tokens {
                    let (row, monomial) = match functional.kind {
                        TokenWeight::Eta => (entry.row, (0, tokens - 1 - t)),
                        TokenWeight::Row => (entry.row + t, (entry.rho, 0)),
                    };
                    if let Some(row) = rows.get_mut(row as usize) {
                        row.cells.push((monomial, entry.slot as usize * tokens as usize + t as usize));
                    }
                }
            }
        }
        let claims: Vec<((u32, u32), Sum)> =
            plan.claims.iter().flat_map(|c| (0..c.count).map(|i| (c.monomial.at(i), sum(&c.terms, i)))).collect();
        let sums = claims.iter().chain(rows.iter().flat_map(|r| r.a.iter().chain(&r.b)));
        sums.flat_map(|s| &s.1).for_each(|term| reads[term.0 as usize].0 = true);
        let products = rows.iter().flat_map(|row| {
            let b = row.weights.iter().map(|w| (w.0, 0)).chain(row.cells.iter().map(|c| c.0));
            let b = b.chain(row.b.iter().map(|b| b.0));
            b.flat_map(|b| row.a.iter().map(move |a| (a.0.0 + b.0, a.0.1 + b.1)))
        });
        let size = products
            .chain(claims.iter().map(|c| c.0))
            .fold((0, 0), |size, (rho, eta)| (size.0.max(rho as usize + 1), size.1.max(eta as usize + 1)));
        Identity { claims, rows, reads, size }
    }

    /// Monomials whose two sides differ at a token, with the difference.
    fn differences(&self, cells: &Cells, token: u32) -> Vec<((u32, u32), Fr)> {
        let mut difference = vec![Fr::ZERO; self.size.0 * self.size.1];
        let at = |rho: u32, eta: u32| rho as usize * self.size.1 + eta as usize;
        for ((rho, eta), sum) in &self.claims {
            difference[at(*rho, *eta)] += cells.weigh(sum, token);
        }
        for row in &self.rows {
            for ((rho, eta), sum) in &row.a {
                let a = cells.weigh(sum, token);
                if a == Fr::ZERO {
                    continue;
                }
                for (column, weight) in &row.weights {
                    difference[at(rho + column, *eta)] -= a * weight;
                }
                for ((r, e), cell) in &row.cells {
                    difference[at(rho + r, eta + e)] -= a * cells.cells[*cell];
                }
                for ((r, e), sum) in &row.b {
                    difference[at(rho + r, eta + e)] -= a * cells.weigh(sum, token);
                }
            }
        }
        let broken = difference.into_iter().enumerate().filter(|(_, d)| *d != Fr::ZERO);
        broken.map(|(i, d)| (((i / self.size.1) as u32, (i % self.size.1) as u32), d)).collect()
    }
}

/// Integers of all slots, `[slot][token]`.
fn integers(plan: &Plan, data: Data, lanes: &[Vec<i64>], publics: &BTreeMap<Port, Vec<i64>>) -> Vec<i64> {
    let features: BTreeMap<Port, u32> = plan.boundaries.iter().map(|b| (b.port, b.features)).collect();
    let tensor = |port: Port, t: u32, j: u32| publics.get(&port)?.get((t * features.get(&port)? + j) as usize).copied();
    let mut all = lanes.concat();
    for public in &plan.publics {
        for index in 0..plan.public_len(public) {
            let value = |t| plan.public_value(public, index, t, data.params, tensor).unwrap();
            all.extend((0..plan.geometry.tokens).map(value));
        }
    }
    all
}

/// A fixed column over the data rows.
fn column(plan: &Plan, runs: &[(u32, u32, i64)]) -> Vec<i64> {
    let mut column = vec![0; plan.geometry.rows()];
    for &(start, len, value) in runs {
        column[start as usize..(start + len) as usize].fill(value);
    }
    column
}

/// The element as a small integer: a key of a table.
pub fn small(value: Fr) -> Option<usize> {
    let repr = value.to_repr();
    let (low, high) = repr.as_ref().split_at(4);
    high.iter().all(|b| *b == 0).then(|| u32::from_le_bytes([low[0], low[1], low[2], low[3]]) as usize)
}

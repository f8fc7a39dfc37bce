//! Checks an assignment against a plan without any proof system: gates, lookups and relations exactly over the
//! integers, the bilinear identity modulo `2^61 - 1` at random challenges.

use crate::slots::SlotKind;
use crate::{Operand, Plan, Port, RowForm, SlotId, Tag, Term, TokenWeight};
use std::collections::{BTreeMap, HashSet};

/// A prover's data for one layer.
#[derive(Clone, Debug)]
pub struct Assignment<'a> {
    /// Data rows of every lane.
    pub lanes: &'a [Vec<i64>],
    /// Pair tables of `2^b` entries.
    pub tables: &'a [Vec<i64>],
    /// The layer's parameters.
    pub params: &'a [i64],
    /// Row-major weight matrices, by the index that tiles name.
    pub weights: &'a [Vec<i32>],
    /// Public boundary tensors, row-major `[tokens, features]`.
    pub publics: &'a BTreeMap<Port, Vec<i64>>,
}

/// The first constraint that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MockError {
    /// Data of the wrong size.
    #[error("{what} has {found} entries, expected {expected}")]
    Shape {
        /// Which data.
        what: String,
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
    },
    /// The plan names a slot, parameter or tensor cell that does not exist.
    #[error("slot {slot} has no value")]
    Slot {
        /// The slot.
        slot: SlotId,
    },
    /// A gate fails.
    #[error("gate '{name}' fails on row {row}")]
    Gate {
        /// Name of the gate.
        name: String,
        /// Row.
        row: usize,
    },
    /// A lookup fails.
    #[error("lookup {index} (lane '{lane}', table tag {tag}) fails on row {row}: ({a}, {b})")]
    Lookup {
        /// Index of the lookup.
        index: usize,
        /// Name of the key's lane.
        lane: String,
        /// Table tag of the row.
        tag: i64,
        /// Row.
        row: usize,
        /// Key.
        a: i64,
        /// Value.
        b: i64,
    },
    /// A relation fails.
    #[error("relation {index}, repetition {repetition}, fails at token {token}: the sum is {sum}")]
    Relation {
        /// Index of the relation.
        index: usize,
        /// Repetition.
        repetition: u32,
        /// Token.
        token: u32,
        /// What should be 0.
        sum: i128,
    },
    /// The bilinear identity fails at challenge set `round`.
    #[error("the bilinear identity fails at challenge set {round}")]
    Identity {
        /// Index of the challenge set.
        round: u32,
    },
}

/// Challenge sets at which the identity is evaluated.
const ROUNDS: u32 = 3;

/// Checks every constraint of the plan.
///
/// # Errors
/// The first failing constraint, in the order gates, lookups, relations, identity.
pub fn check(plan: &Plan, assignment: &Assignment) -> Result<(), MockError> {
    let mock = Mock { plan, assignment };
    mock.shapes()?;
    mock.gates()?;
    mock.lookups()?;
    let cells = mock.cells()?;
    mock.relations(&cells)?;
    (0..ROUNDS).try_for_each(|round| mock.identity(&cells, round))
}

struct Mock<'a> {
    plan: &'a Plan,
    assignment: &'a Assignment<'a>,
}

impl Mock<'_> {
    fn shapes(&self) -> Result<(), MockError> {
        let size = |what: String, found: usize, expected: usize| {
            if found == expected { Ok(()) } else { Err(MockError::Shape { what, found, expected }) }
        };
        size("the lanes".into(), self.assignment.lanes.len(), self.plan.lanes.len())?;
        for (lane, data) in self.plan.lanes.iter().zip(self.assignment.lanes) {
            size(format!("lane '{}'", lane.name), data.len(), self.plan.geometry.rows())?;
        }
        size("the tables".into(), self.assignment.tables.len(), self.plan.tables as usize)?;
        for (i, table) in self.assignment.tables.iter().enumerate() {
            size(format!("table {i}"), table.len(), 1 << self.plan.geometry.limb_bits)?;
        }
        for tile in &self.plan.tiles {
            let found = self.assignment.weights.get(tile.weight as usize).map_or(0, Vec::len);
            size(format!("weight {}", tile.weight), found, tile.inputs as usize * tile.outputs as usize)?;
        }
        Ok(())
    }

    fn fixed(&self, index: u32) -> Vec<i64> {
        let mut column = vec![0; self.plan.geometry.rows()];
        for &(start, len, value) in self.plan.fixed.get(index as usize).map_or(&[][..], |f| &f.runs) {
            if let Some(rows) = column.get_mut(start as usize..(start + len) as usize) {
                rows.fill(value);
            }
        }
        column
    }

    fn form(&self, form: &RowForm, row: usize) -> i128 {
        let lanes = self.assignment.lanes;
        form.terms.iter().map(|&(lane, coef)| coef as i128 * lanes[lane as usize][row] as i128).sum::<i128>()
            + form.constant as i128
    }

    fn gates(&self) -> Result<(), MockError> {
        for gate in &self.plan.gates {
            let selector = gate.selector.map(|s| self.fixed(s));
            for row in 0..self.plan.geometry.rows() {
                let on = selector.as_ref().is_none_or(|s| s[row] != 0);
                let holds = || {
                    let product = self.form(&gate.a, row).checked_mul(self.form(&gate.b, row));
                    product == Some(self.form(&gate.c, row))
                };
                if on && !holds() {
                    return Err(MockError::Gate { name: gate.name.clone(), row });
                }
            }
        }
        Ok(())
    }

    fn lookups(&self) -> Result<(), MockError> {
        let size = 1i64 << self.plan.geometry.limb_bits;
        let pairs: Vec<HashSet<(i64, i64)>> = self
            .assignment
            .tables
            .iter()
            .map(|table| table.iter().enumerate().map(|(key, &value)| (key as i64, value)).collect())
            .collect();
        for (index, lookup) in self.plan.lookups.iter().enumerate() {
            let mask = lookup.mask.map(|m| self.fixed(m));
            let tags = match lookup.tag {
                Tag::Fixed(column) => Some(self.fixed(column)),
                Tag::Table(_) => None,
            };
            for row in 0..self.plan.geometry.rows() {
                if mask.as_ref().is_some_and(|m| m[row] == 0) {
                    continue;
                }
                let tag = match (&tags, lookup.tag) {
                    (Some(tags), _) => tags[row],
                    (None, Tag::Table(tag)) | (None, Tag::Fixed(tag)) => tag as i64,
                };
                let a = self.assignment.lanes[lookup.a as usize][row];
                let b = lookup.b.map_or(0, |lane| self.assignment.lanes[lane as usize][row]);
                let found = match tag {
                    0 => (0..size).contains(&a) && b == 0,
                    _ => pairs.get(tag as usize - 1).is_some_and(|pairs| pairs.contains(&(a, b))),
                };
                if !found {
                    let lane = self.plan.lanes[lookup.a as usize].name.clone();
                    return Err(MockError::Lookup { index, lane, tag, row, a, b });
                }
            }
        }
        Ok(())
    }

    /// The cells of every slot, `[slot][token]`.
    fn cells(&self) -> Result<Vec<Vec<i64>>, MockError> {
        let tokens = self.plan.geometry.tokens;
        let features: BTreeMap<Port, u32> = self.plan.boundaries.iter().map(|b| (b.port, b.features)).collect();
        let tensor = |port: Port, t: u32, j: u32| {
            let width = features.get(&port)?;
            self.assignment.publics.get(&port)?.get((t * width + j) as usize).copied()
        };
        let cell = |slot: SlotId, t: u32| match self.plan.slot_kind(slot)? {
            SlotKind::Lane(lane, group) => {
                self.assignment.lanes[lane as usize].get(self.plan.geometry.row(group, t)).copied()
            }
            SlotKind::Public { run, index } => {
                let public = &self.plan.publics[run as usize];
                self.plan.public_value(public, index, t, self.assignment.params, tensor)
            }
        };
        (0..self.plan.slots())
            .map(|slot| {
                (0..tokens).map(|t| cell(slot, t)).collect::<Option<Vec<i64>>>().ok_or(MockError::Slot { slot })
            })
            .collect()
    }

    fn relations(&self, cells: &[Vec<i64>]) -> Result<(), MockError> {
        for (index, relation) in self.plan.relations.iter().enumerate() {
            for repetition in 0..relation.count {
                for token in 0..self.plan.geometry.tokens {
                    let mut sum = 0i128;
                    for term in &relation.terms {
                        let slot = term.at(repetition);
                        let cell = cells.get(slot as usize).ok_or(MockError::Slot { slot })?[token as usize];
                        sum += term.coef as i128 * cell as i128;
                    }
                    if sum != 0 {
                        return Err(MockError::Relation { index, repetition, token, sum });
                    }
                }
            }
        }
        Ok(())
    }

    fn identity(&self, cells: &[Vec<i64>], round: u32) -> Result<(), MockError> {
        let challenge =
            |name: u64| Small::new(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(name + 3 * round as u64 + 1) as i64);
        let (theta, rho, eta) = (challenge(0), challenge(1), challenge(2));
        let folded: Vec<Small> = cells
            .iter()
            .map(|slot| slot.iter().fold(Small(0), |sum, &cell| sum.times(theta).plus(Small::new(cell))))
            .collect();
        let sum = |terms: &[Term], i: u32| {
            terms.iter().fold(Small(0), |sum, term| {
                let value = folded.get(term.at(i) as usize).copied().unwrap_or(Small(0));
                sum.plus(Small::new(term.coef).times(value))
            })
        };
        let mut left = Small(0);
        for claim in &self.plan.claims {
            for i in 0..claim.count {
                let (r, e) = claim.monomial.at(i);
                left = left.plus(rho.power(r).times(eta.power(e)).times(sum(&claim.terms, i)));
            }
        }
        let rows = self.plan.operand_rows() as usize;
        let column = |operands: &[Operand]| {
            let mut column = vec![Small(0); rows];
            for operand in operands {
                for i in 0..operand.count {
                    let (r, e) = operand.monomial.at(i);
                    if let Some(row) = column.get_mut((operand.row + i * operand.row_stride) as usize) {
                        *row = row.plus(rho.power(r).times(eta.power(e)).times(sum(&operand.terms, i)));
                    }
                }
            }
            column
        };
        let a = column(&self.plan.operands);
        let mut b = column(&self.plan.right_operands);
        for tile in &self.plan.tiles {
            let per_input = tile.outputs.div_ceil(self.plan.weight_columns.max(1));
            let weights = &self.assignment.weights[tile.weight as usize];
            for (at, &weight) in weights.iter().enumerate() {
                let (i, j) = (at as u32 / tile.outputs, at as u32 % tile.outputs);
                let (part, column) = (j / self.plan.weight_columns, j % self.plan.weight_columns);
                let row = (tile.row + i * per_input + part) as usize;
                if let Some(b) = b.get_mut(row) {
                    *b = b.plus(rho.power(column).times(Small::new(weight as i64)));
                }
            }
        }
        let tokens = self.plan.geometry.tokens;
        for functional in &self.plan.functionals {
            for entry in &functional.entries {
                for t in 0..tokens {
                    let cell = Small::new(cells[entry.slot as usize][t as usize]);
                    let (row, weight) = match functional.kind {
                        TokenWeight::Eta => (entry.row, eta.power(tokens - 1 - t)),
                        TokenWeight::Row => (entry.row + t, rho.power(entry.rho)),
                    };
                    if let Some(b) = b.get_mut(row as usize) {
                        *b = b.plus(weight.times(cell));
                    }
                }
            }
        }
        let right = a.iter().zip(&b).fold(Small(0), |sum, (&a, &b)| sum.plus(a.times(b)));
        if left == right { Ok(()) } else { Err(MockError::Identity { round }) }
    }
}

/// Integers modulo `2^61 - 1`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Small(u64);

impl Small {
    const MODULUS: u64 = (1 << 61) - 1;

    fn new(value: i64) -> Self {
        Small(value.rem_euclid(Self::MODULUS as i64) as u64)
    }

    fn plus(self, other: Self) -> Self {
        Small((self.0 + other.0) % Self::MODULUS)
    }

    fn times(self, other: Self) -> Self {
        Small((self.0 as u128 * other.0 as u128 % Self::MODULUS as u128) as u64)
    }

    fn power(self, exponent: u32) -> Self {
        let (mut result, mut base, mut e) = (Small(1), self, exponent);
        while e > 0 {
            if e & 1 == 1 {
                result = result.times(base);
            }
            base = base.times(base);
            e >>= 1;
        }
        result
    }
}

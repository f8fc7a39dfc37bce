//! The second reading of an activation: as the right operand of a product of two activations.

use crate::{Geometry, LaneId, Plan, SlotId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the tokens of a slot enter `B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TokenWeight {
    /// `B[row] += sum_t eta^(T-1-t) cell(slot, t)`: tokens are summed (keys).
    Eta,
    /// `B[row + t] += rho^rho cell(slot, t)`: each token has its row, features are summed (values).
    Row,
}

/// One slot of a functional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FunctionalEntry {
    /// The slot (of a lane).
    pub slot: SlotId,
    /// Row of B (of token 0).
    pub row: u32,
    /// Exponent of rho for [`TokenWeight::Row`].
    pub rho: u32,
}

/// Rows of B defined from the cells of some slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Functional {
    /// Kind of token weight, the same for all entries.
    pub kind: TokenWeight,
    /// The slots.
    pub entries: Vec<FunctionalEntry>,
}

/// Exponents of (lambda, eta or theta, rho).
pub type Exponents = (i64, i64, i64);

/// Weights of the cells of neighbouring slots of a lane, each a product of powers of challenges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotWeights {
    /// The first slot, as a group of its lane.
    pub group: u32,
    /// Number of slots.
    pub slots: u32,
    /// Exponents of the weight of the first cell.
    pub first: Exponents,
    /// What they change by from one token of a slot to the next.
    pub step: Exponents,
    /// What they change by from the last token of a slot to the first of the next.
    pub jump: Exponents,
}

impl TokenWeight {
    /// What the exponents of a slot's weight change by from one token to the next.
    fn step(self) -> Exponents {
        match self {
            TokenWeight::Eta => (0, -1, 0),
            TokenWeight::Row => (1, 0, 0),
        }
    }
}

fn plus(a: Exponents, b: Exponents) -> Exponents {
    (a.0 + b.0, a.1 + b.1, a.2 + b.2)
}

fn times(a: Exponents, factor: i64) -> Exponents {
    (a.0 * factor, a.1 * factor, a.2 * factor)
}

impl SlotWeights {
    /// Those of one slot.
    fn of_slot(group: u32, first: Exponents, step: Exponents) -> Self {
        SlotWeights { group, slots: 1, first, step, jump: (0, 0, 0) }
    }

    /// What the first exponents of a slot and those of the next differ by.
    fn pitch(&self, tokens: u32) -> Exponents {
        plus(self.jump, times(self.step, i64::from(tokens) - 1))
    }

    /// Takes on the slot behind its last, if its weights go on as those before.
    fn extend(&mut self, next: &SlotWeights, tokens: u32) -> bool {
        let last = plus(self.first, times(self.pitch(tokens), i64::from(self.slots) - 1));
        let end = plus(last, times(self.step, i64::from(tokens) - 1));
        let jump = plus(next.first, times(end, -1));
        let fits =
            next.group == self.group + self.slots && next.step == self.step && (self.slots == 1 || jump == self.jump);
        if fits {
            (self.jump, self.slots) = (jump, self.slots + 1);
        }
        fits
    }
}

/// Weights of the compression of all lanes: row t of group g has `lambda^(base + g) theta^(T-1-t)`.
pub fn compression_weights(geometry: &Geometry, base: i64) -> SlotWeights {
    let last = i64::from(geometry.tokens) - 1;
    let (first, step, jump) = ((base, last, 0), TokenWeight::Eta.step(), (1, last, 0));
    SlotWeights { group: 0, slots: geometry.groups, first, step, jump }
}

/// Weights of the cells that functionals read, by lane, ascending; B row 0 has `lambda^base`. A cell that several entries
/// name has the sum of their weights.
pub fn functional_weights(plan: &Plan, base: i64) -> BTreeMap<LaneId, Vec<SlotWeights>> {
    let Geometry { tokens, groups, .. } = plan.geometry;
    let mut lanes: BTreeMap<LaneId, Vec<SlotWeights>> = BTreeMap::new();
    for functional in &plan.functionals {
        let mut entries: Vec<&FunctionalEntry> = functional.entries.iter().collect();
        entries.sort_by_key(|entry| entry.slot);
        for entry in entries {
            let row = base + i64::from(entry.row);
            let first = match functional.kind {
                TokenWeight::Eta => (row, i64::from(tokens) - 1, 0),
                TokenWeight::Row => (row, 0, i64::from(entry.rho)),
            };
            let slot = SlotWeights::of_slot(entry.slot % groups, first, functional.kind.step());
            let runs = lanes.entry(entry.slot / groups).or_default();
            if !runs.last_mut().is_some_and(|run| run.extend(&slot, tokens)) {
                runs.push(slot);
            }
        }
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weights of all cells that have some, row by row.
    fn by_row(geometry: &Geometry, runs: &[SlotWeights]) -> Vec<(usize, Exponents)> {
        let mut out = Vec::new();
        for run in runs {
            let mut weight = run.first;
            for i in 0..run.slots * geometry.tokens {
                out.push((geometry.row(run.group, 0) + i as usize, weight));
                weight = plus(weight, if (i + 1) % geometry.tokens == 0 { run.jump } else { run.step });
            }
        }
        out.sort_unstable();
        out
    }

    #[test]
    fn weights_are_those_of_the_definition() {
        for tokens in [1, 2, 5] {
            let geometry = Geometry::new(7, 4, tokens).expect("fits");
            let (groups, last) = (geometry.groups, tokens as i64 - 1);
            let all: Vec<(usize, Exponents)> = (0..groups)
                .flat_map(|g| (0..tokens).map(move |t| (geometry.row(g, t), (3 + g as i64, last - t as i64, 0))))
                .collect();
            assert_eq!(by_row(&geometry, &[compression_weights(&geometry, 3)]), all);
            for kind in [TokenWeight::Eta, TokenWeight::Row] {
                // Slots in a run, across the end of a lane, twice, and with gaps.
                for slots in [&[][..], &[0, 1, 2, 3, 7], &[4, 2, 2, 11], &[groups - 1, groups, 0, groups + 1]] {
                    let entry = |(i, slot): (usize, &u32)| FunctionalEntry {
                        slot: *slot,
                        row: 9 + 2 * i as u32,
                        rho: i as u32,
                    };
                    let entries: Vec<FunctionalEntry> = slots.iter().enumerate().map(entry).collect();
                    let mut expected: BTreeMap<LaneId, Vec<(usize, Exponents)>> = BTreeMap::new();
                    for entry in &entries {
                        for t in 0..tokens {
                            let row = 5 + entry.row as i64;
                            let weight = match kind {
                                TokenWeight::Eta => (row, last - t as i64, 0),
                                TokenWeight::Row => (row + t as i64, 0, entry.rho as i64),
                            };
                            let cell = (geometry.row(entry.slot, t), weight);
                            expected.entry(entry.slot / groups).or_default().push(cell);
                        }
                    }
                    expected.values_mut().for_each(|cells| cells.sort_unstable());
                    let plan = Plan { geometry, functionals: vec![Functional { kind, entries }], ..Plan::default() };
                    let weights = functional_weights(&plan, 5);
                    let found: BTreeMap<_, _> =
                        weights.iter().map(|(lane, runs)| (*lane, by_row(&geometry, runs))).collect();
                    assert_eq!(found, expected, "{tokens} tokens, {kind:?}, {slots:?}");
                    let runs: usize = weights.values().map(Vec::len).sum();
                    assert!(slots.len() < 5 || runs == 2, "neighbours are one run");
                }
            }
        }
    }
}

//! The second reading of an activation: as the right operand of a product of two activations.

use crate::{Geometry, SlotId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

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

/// Rows of B defined from the cells of some slots. All entries of one functional stand in different groups, so that
/// one accumulator column serves them: `z[r+1] = M[r] (z[r] + cell[r])`, with `M[r] = w[r] / w[r+1]` for the target
/// weight `w[r] = lambda^(base + B row) * (eta or rho power)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Functional {
    /// Kind of token weight, the same for all entries.
    pub kind: TokenWeight,
    /// The slots.
    pub entries: Vec<FunctionalEntry>,
}

/// Exponents of (lambda, eta or theta, rho).
pub type Exponents = (i64, i64, i64);

/// The rows of an accumulator, as ascending runs, grouped by the exponents of its multiplier.
pub type RowClasses = Vec<(Exponents, Vec<Range<u32>>)>;

impl TokenWeight {
    /// What the exponents of a slot's weight change by from one token to the next.
    fn step(self) -> Exponents {
        match self {
            TokenWeight::Eta => (0, -1, 0),
            TokenWeight::Row => (1, 0, 0),
        }
    }
}

impl Functional {
    /// Exponents `(lambda relative to base, eta, rho)` of the weight of token 0 of an entry.
    fn weight(&self, geometry: &Geometry, entry: &FunctionalEntry) -> Exponents {
        match self.kind {
            TokenWeight::Eta => (entry.row as i64, geometry.tokens as i64 - 1, 0),
            TokenWeight::Row => (entry.row as i64, 0, entry.rho as i64),
        }
    }

    /// The rows of the accumulator grouped by the exponents of `M`, for `lambda^base` as the weight of B row 0.
    pub fn multipliers(&self, geometry: &Geometry, base: i64) -> RowClasses {
        let weight = |entry: &FunctionalEntry| {
            let (l, e, r) = self.weight(geometry, entry);
            (geometry.row(entry.slot, 0) as u32, (base + l, e, r))
        };
        ratios(geometry, self.entries.iter().map(weight).collect(), self.kind.step())
    }
}

/// Multipliers of the accumulator of all lanes: row t of group g has weight `lambda^(base + g) theta^(T-1-t)`.
pub fn compression_multipliers(geometry: &Geometry, base: i64) -> RowClasses {
    let weight = |g: u32| (g * geometry.tokens, (base + g as i64, geometry.tokens as i64 - 1, 0));
    ratios(geometry, (0..geometry.groups).map(weight).collect(), TokenWeight::Eta.step())
}

/// `M[r] = w[r] / w[r+1]` with `w` after the last row 1, and rows without a weight carrying on (M = 1). `slots` holds the
/// first row of each slot that has weights, with the weight there; `step` leads from one row of a slot to the next.
fn ratios(geometry: &Geometry, mut slots: Vec<(u32, Exponents)>, step: Exponents) -> RowClasses {
    slots.sort_unstable();
    let mut classes: BTreeMap<Exponents, Vec<Range<u32>>> = BTreeMap::new();
    let mut add = |ratio: Exponents, rows: Range<u32>| {
        if !rows.is_empty() {
            classes.entry(ratio).or_default().push(rows);
        }
    };
    let steps = geometry.tokens as i64 - 1;
    let (mut next, mut end) = ((0, 0, 0), geometry.rows() as u32);
    for (start, first) in slots.into_iter().rev() {
        let last_row = start + geometry.tokens - 1;
        let last = (first.0 + steps * step.0, first.1 + steps * step.1, first.2 + steps * step.2);
        add((0, 0, 0), last_row + 1..end);
        add((last.0 - next.0, last.1 - next.1, last.2 - next.2), last_row..last_row + 1);
        add((-step.0, -step.1, -step.2), start..last_row);
        (next, end) = (first, start);
    }
    add((0, 0, 0), 0..end);
    classes.values_mut().for_each(|runs| runs.reverse());
    classes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row by row, by the definition.
    fn reference(weights: &[Option<Exponents>]) -> Vec<Exponents> {
        let mut next = (0, 0, 0);
        let ratio = |weight: &Option<Exponents>| {
            let w = weight.unwrap_or(next);
            let ratio = (w.0 - next.0, w.1 - next.1, w.2 - next.2);
            next = w;
            ratio
        };
        let mut ratios: Vec<Exponents> = weights.iter().rev().map(ratio).collect();
        ratios.reverse();
        ratios
    }

    fn by_row(geometry: &Geometry, classes: RowClasses) -> Vec<Exponents> {
        assert!(classes.is_sorted_by_key(|class| class.0));
        let mut out = vec![None; geometry.rows()];
        for (exponents, runs) in classes {
            assert!(runs.is_sorted_by(|a, b| a.end <= b.start), "ascending runs");
            for row in runs.into_iter().flatten() {
                assert_eq!(out[row as usize].replace(exponents), None);
            }
        }
        out.into_iter().map(|exponents| exponents.expect("every row has a class")).collect()
    }

    #[test]
    fn classes_are_those_of_the_definition() {
        for tokens in [1, 2, 5] {
            let geometry = Geometry::new(7, 4, tokens).expect("fits");
            let weights: Vec<Option<Exponents>> = (0..geometry.groups as i64)
                .flat_map(|g| (0..tokens as i64).rev().map(move |e| Some((3 + g, e, 0))))
                .collect();
            assert_eq!(by_row(&geometry, compression_multipliers(&geometry, 3)), reference(&weights));
            for kind in [TokenWeight::Eta, TokenWeight::Row] {
                for slots in [&[][..], &[0, 1, 7], &[4, 2, 11], &[geometry.groups - 1, 0]] {
                    let entry = |(i, slot): (usize, &u32)| FunctionalEntry { slot: *slot, row: 9, rho: i as u32 };
                    let functional = Functional { kind, entries: slots.iter().enumerate().map(entry).collect() };
                    let mut weights = vec![None; geometry.rows()];
                    for entry in &functional.entries {
                        for t in 0..tokens {
                            let (row, t) = (geometry.row(entry.slot, t), t as i64);
                            weights[row] = Some(match kind {
                                TokenWeight::Eta => (5 + 9, tokens as i64 - 1 - t, 0),
                                TokenWeight::Row => (5 + 9 + t, 0, entry.rho as i64),
                            });
                        }
                    }
                    assert_eq!(by_row(&geometry, functional.multipliers(&geometry, 5)), reference(&weights));
                }
            }
        }
    }
}

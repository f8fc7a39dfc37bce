//! The second reading of an activation: as the right operand of a product of two activations.

use crate::{Geometry, SlotId};
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

/// The rows of an accumulator grouped by the exponents of its multiplier.
pub type RowClasses = Vec<(Exponents, Vec<u32>)>;

impl Functional {
    /// Exponents `(lambda relative to base, eta, rho)` of the weight of token t of an entry.
    pub fn weight(&self, geometry: &Geometry, entry: &FunctionalEntry, t: u32) -> Exponents {
        match self.kind {
            TokenWeight::Eta => (entry.row as i64, (geometry.tokens - 1 - t) as i64, 0),
            TokenWeight::Row => (entry.row as i64 + t as i64, 0, entry.rho as i64),
        }
    }

    /// The rows of the accumulator grouped by the exponents of `M`, for `lambda^base` as the weight of B row 0.
    pub fn multipliers(&self, geometry: &Geometry, base: i64) -> RowClasses {
        let mut weights: Vec<Option<Exponents>> = vec![None; geometry.rows()];
        for entry in &self.entries {
            for t in 0..geometry.tokens {
                let (l, e, r) = self.weight(geometry, entry, t);
                weights[geometry.row(entry.slot, t)] = Some((base + l, e, r));
            }
        }
        ratios(&weights)
    }
}

/// Multipliers of the accumulator of all lanes: row t of group g has weight `lambda^(base + g) theta^(T-1-t)`.
pub fn compression_multipliers(geometry: &Geometry, base: i64) -> RowClasses {
    let weights: Vec<_> = (0..geometry.groups as i64)
        .flat_map(|g| (0..geometry.tokens as i64).rev().map(move |e| Some((base + g, e, 0))))
        .collect();
    ratios(&weights)
}

/// `M[r] = w[r] / w[r+1]` with `w` after the last row 1, and rows without a weight carrying on (M = 1).
fn ratios(weights: &[Option<Exponents>]) -> RowClasses {
    let mut classes: RowClasses = Vec::new();
    let mut index = BTreeMap::<Exponents, usize>::new();
    let mut next = (0, 0, 0);
    // The last class found: neighbours mostly share it.
    let mut last = 0;
    for (row, weight) in weights.iter().enumerate().rev() {
        let w = weight.unwrap_or(next);
        let ratio = (w.0 - next.0, w.1 - next.1, w.2 - next.2);
        if classes.get(last).is_none_or(|class| class.0 != ratio) {
            last = *index.entry(ratio).or_insert_with(|| {
                classes.push((ratio, Vec::new()));
                classes.len() - 1
            });
        }
        classes[last].1.push(row as u32);
        next = w;
    }
    classes.iter_mut().for_each(|class| class.1.reverse());
    classes.sort_unstable_by_key(|class| class.0);
    classes
}

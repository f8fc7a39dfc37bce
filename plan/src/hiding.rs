//! Whether the random rows of the columns outnumber what proofs reveal of them.
//!
//! A committed column ends in [`MASK_ROWS`] uniformly random rows. Its commitment reveals one linear function of them,
//! and every layer that holds it one for each point at which it is opened. The functions are rows of a Cauchy matrix,
//! so any [`MASK_ROWS`] of them are independent: revealed values are uniform as long as they are no more than that.
//!
//! Helper columns have no random rows of their own: on the mask rows they are sums of inverses of the looked-up lanes'
//! random cells. Revealed are two linear functions of each, and they are close to uniform when the helper has *own
//! lanes*, which no other helper reads, with enough randomness left over from their own openings.

use crate::{Boundary, Lookup, MASK_ROWS, Plan, Port};
use std::collections::{BTreeMap, BTreeSet};

/// Fractions that share one helper column; the degree of its constraint is one more.
pub const FRACTIONS_PER_HELPER: usize = 3;

/// Random rows of its own lanes that a helper column needs beside what is revealed of them: two for what is revealed of
/// the helper, and two that make the distance from uniform negligible (docs/protocol.md, section 10).
pub const HELPER_FREEDOM: usize = 4;

/// One layer of a model.
#[derive(Clone, Copy, Debug)]
pub struct HeldTensors<'a> {
    /// Its plan.
    pub plan: &'a Plan,
    /// Tensors by input port.
    pub inputs: &'a [u32],
    /// Tensors by output port.
    pub outputs: &'a [u32],
}

/// Why a model's proofs would not hide its columns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HidingError {
    /// A column is opened too often.
    #[error("{what} would be opened {openings} times, and its random rows hide at most {limit} openings")]
    Openings {
        /// Which column.
        what: String,
        /// Linear functions that proofs reveal, the commitment not counted.
        openings: usize,
        /// Openings that the random rows hide.
        limit: usize,
    },
    /// A helper column has too little randomness.
    #[error(
        "the lookups {lookups:?} of layer {layer} share a helper column that {freedom} random rows hide, {HELPER_FREEDOM} are needed"
    )]
    Helper {
        /// Index of the layer.
        layer: usize,
        /// Its lookups of that helper.
        lookups: std::ops::Range<usize>,
        /// Random rows that are left for the helper.
        freedom: usize,
    },
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Most linear functions that proofs reveal of one lane, its commitment included.
    pub revealed: usize,
    /// Fewest random rows left for a helper column; `None` when all helpers have a multiplicity's own random rows.
    pub freedom: Option<usize>,
}

/// A lane wherever it is used: of one layer alone, or of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Private(u32),
    Shared(u32, u32),
}

/// A helper column: of a layer, with these lookups in units of [`FRACTIONS_PER_HELPER`].
type Helper = (usize, usize);

/// What holds a lane of a tensor.
#[derive(Default)]
struct Held {
    /// Number of layers.
    layers: usize,
    /// The last of them.
    last: Option<usize>,
    readers: Readers,
}

/// The helpers that look a lane up.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Readers {
    #[default]
    None,
    One(Helper),
    Many,
}

impl Readers {
    fn add(&mut self, helper: Helper) {
        *self = match *self {
            Readers::None => Readers::One(helper),
            Readers::One(other) if other == helper => return,
            _ => Readers::Many,
        }
    }
}

impl HeldTensors<'_> {
    fn tensor(&self, boundary: &Boundary) -> Option<u32> {
        match boundary.port {
            Port::Input(p) => self.inputs.get(p as usize).copied(),
            Port::Output(p) => self.outputs.get(p as usize).copied(),
        }
    }

    /// What each lane is.
    fn columns(&self) -> Vec<Column> {
        let mut out: Vec<Column> = (0..self.plan.lanes.len() as u32).map(Column::Private).collect();
        for boundary in &self.plan.boundaries {
            let Some(tensor) = self.tensor(boundary) else { continue };
            for (i, lane) in boundary.lanes.iter().enumerate() {
                if let Some(column) = out.get_mut(*lane as usize) {
                    *column = Column::Shared(tensor, i as u32);
                }
            }
        }
        out
    }

    /// All lookups by lane: the lane with the helper that holds the lookup, of layer `index`.
    fn lookups(&self, index: usize) -> impl Iterator<Item = (u32, Helper)> {
        let lookups = self.plan.lookups.iter().enumerate();
        lookups.flat_map(move |(i, lookup)| lanes(lookup).map(move |lane| (lane, (index, i / FRACTIONS_PER_HELPER))))
    }
}

/// Counts what the proofs of a bundle of all `layers` reveal; `points` is the number of points at which a layer opens a
/// lane.
///
/// # Errors
/// A lane with more openings than its random rows hide, or a helper column with too little randomness.
pub fn check(layers: &[HeldTensors], points: usize) -> Result<Counts, HidingError> {
    let mut tensors: BTreeMap<Column, Held> = BTreeMap::new();
    for (index, layer) in layers.iter().enumerate() {
        let columns = layer.columns();
        for column in columns.iter().filter(|column| matches!(column, Column::Shared(..))) {
            let held = tensors.entry(*column).or_default();
            if held.last.replace(index) != Some(index) {
                held.layers += 1;
            }
        }
        for (lane, helper) in layer.lookups(index) {
            if let Some(held) = tensors.get_mut(&columns[lane as usize]) {
                held.readers.add(helper);
            }
        }
    }
    let openings = |column: &Column| tensors.get(column).map_or(1, |held| held.layers) * points;
    let mut counts = Counts { revealed: 0, freedom: None };
    for (index, layer) in layers.iter().enumerate() {
        let columns = layer.columns();
        for (lane, column) in columns.iter().enumerate() {
            let (openings, limit) = (openings(column), MASK_ROWS - 1);
            if openings > limit {
                let what = match column {
                    Column::Private(_) => format!("lane {lane} of layer {index}"),
                    Column::Shared(tensor, _) => format!("tensor {tensor}"),
                };
                return Err(HidingError::Openings { what, openings, limit });
            }
            counts.revealed = counts.revealed.max(1 + openings);
        }
        let mut private = vec![Readers::None; columns.len()];
        layer.lookups(index).for_each(|(lane, helper)| private[lane as usize].add(helper));
        let own = |column: &Column| match column {
            Column::Private(lane) => private[*lane as usize] != Readers::Many,
            shared => tensors.get(shared).is_some_and(|held| held.readers != Readers::Many),
        };
        // Helpers with a table's fraction have the random rows of its multiplicities.
        let alone = layer.plan.lookups.len() / FRACTIONS_PER_HELPER;
        for (helper, lookups) in layer.plan.lookups.chunks(FRACTIONS_PER_HELPER).take(alone).enumerate() {
            let fractions: Vec<Vec<Column>> =
                lookups.iter().map(|l| lanes(l).map(|lane| columns[lane as usize]).collect()).collect();
            let freedom = freedom(&fractions, own, |column| MASK_ROWS - 1 - openings(column));
            if freedom < HELPER_FREEDOM {
                let first = helper * FRACTIONS_PER_HELPER;
                return Err(HidingError::Helper { layer: index, lookups: first..first + lookups.len(), freedom });
            }
            counts.freedom = Some(counts.freedom.map_or(freedom, |f: usize| f.min(freedom)));
        }
    }
    Ok(counts)
}

fn lanes(lookup: &Lookup) -> impl Iterator<Item = u32> {
    std::iter::once(lookup.a).chain(lookup.b)
}

/// Random rows left over in own lanes of which no fraction holds two, so that the helper is a sum of independent terms.
/// A tensor at two ports of a layer is one lane.
fn freedom(fractions: &[Vec<Column>], own: impl Fn(&Column) -> bool, left: impl Fn(&Column) -> usize) -> usize {
    let candidates: BTreeSet<&Column> = fractions.iter().flatten().filter(|column| own(column)).collect();
    let mut candidates: Vec<&Column> = candidates.into_iter().collect();
    candidates.sort_by_key(|column| std::cmp::Reverse(left(column)));
    let mut taken: Vec<&Column> = Vec::new();
    for column in candidates {
        let meets = |f: &Vec<Column>| f.contains(column) && f.iter().any(|other| taken.contains(&other));
        if !fractions.iter().any(meets) {
            taken.push(column);
        }
    }
    taken.into_iter().map(left).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Lane, Tag};

    fn lookup(a: u32, b: Option<u32>) -> Lookup {
        Lookup { a, b, tag: Tag::Table(0), mask: None }
    }

    /// `lanes` lanes; the first is an input, the second an output.
    fn plan(lanes: u32, lookups: Vec<Lookup>) -> Plan {
        let lane = |i: u32| Lane {
            name: String::new(),
            boundary: match i {
                0 => Some(Port::Input(0)),
                1 => Some(Port::Output(0)),
                _ => None,
            },
        };
        let boundary = |port, lane| Boundary { port, lanes: vec![lane], features: 1 };
        Plan {
            geometry: Geometry::new(6, 4, 4).expect("fits"),
            lanes: (0..lanes).map(lane).collect(),
            boundaries: vec![boundary(Port::Input(0), 0), boundary(Port::Output(0), 1)],
            lookups,
            ..Plan::default()
        }
    }

    fn chain(plan: &Plan, readers: u32) -> Result<Counts, HidingError> {
        let ports: Vec<[[u32; 1]; 2]> = (0..readers).map(|i| [[0], [i + 1]]).collect();
        let layers: Vec<HeldTensors> =
            ports.iter().map(|[inputs, outputs]| HeldTensors { plan, inputs, outputs }).collect();
        check(&layers, 1)
    }

    #[test]
    fn a_tensor_with_many_readers_is_refused() {
        let plan = plan(3, vec![]);
        assert_eq!(chain(&plan, 7), Ok(Counts { revealed: MASK_ROWS, freedom: None }));
        let error = chain(&plan, 8).expect_err("eight openings and a commitment");
        assert_eq!(error, HidingError::Openings { what: "tensor 0".into(), openings: 8, limit: 7 });
        let twice = HeldTensors { plan: &plan, inputs: &[0], outputs: &[1] };
        assert!(check(&[twice; 4], 1).is_ok() && check(&[twice; 4], 2).is_err(), "rotations count");
    }

    #[test]
    fn helpers_need_lanes_of_their_own() {
        let own = plan(5, vec![lookup(2, None), lookup(3, Some(4)), lookup(3, None)]);
        assert_eq!(chain(&own, 1).map(|c| c.freedom), Ok(Some(12)), "lane 2, and one of 3 and 4");
        let shared: Vec<Lookup> = [2, 2, 2, 2, 2, 2].map(|a| lookup(a, None)).into();
        let error = chain(&plan(5, shared), 1).expect_err("two helpers, one lane");
        assert_eq!(error, HidingError::Helper { layer: 0, lookups: 0..3, freedom: 0 });
        let boundary = plan(2, vec![lookup(0, None), lookup(0, None), lookup(0, None)]);
        assert!(chain(&boundary, 1).is_ok(), "six rows are left");
        let error = chain(&boundary, 2).expect_err("looked up in two layers");
        assert!(matches!(error, HidingError::Helper { freedom: 0, .. }), "{error}");
        let twin = plan(2, vec![lookup(0, None), lookup(1, None), lookup(0, None)]);
        let twice = HeldTensors { plan: &twin, inputs: &[0], outputs: &[0] };
        assert_eq!(check(&[twice], 1).map(|c| c.freedom), Ok(Some(6)), "one tensor at two ports");
        let error = check(&[twice], 4).expect_err("three rows are left of one lane, not of two");
        assert!(matches!(error, HidingError::Helper { freedom: 3, .. }), "{error}");
        let table = plan(2, vec![lookup(0, None), lookup(0, None)]);
        assert_eq!(chain(&table, 2).map(|c| c.freedom), Ok(None), "the multiplicities share the helper");
    }
}

//! Which cells the constraints determine.
//!
//! Starting points are committed inputs and public slots, except those of output tensors. Looked-up keys, and cells
//! that a gate over one lane limits to its roots, are *bounded*. A relation or claim determines the one slot of it that is still open, or all open slots
//! when they are digits: bounded, with factors that grow by `2^b`. A gate `a * b = c` determines c, a table its value.
//! A claim counts only once every factor that its monomial can meet is determined, so nothing is defined by itself.
//!
//! Where this stops, uniqueness rests on an argument that the analysis does not follow (inequalities of a quotient, a
//! root, a clamp or a maximum): the bounded slots of the stuck equations are taken as determined and listed.

use crate::boundaries::boundary_lanes;
use crate::{Gate, Plan, Port, Public, SlotId, Term, TokenWeight};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Result of the analysis.
pub struct Pinned {
    /// For every slot: whether it is determined.
    pub determined: Vec<bool>,
    /// Bounded slots whose uniqueness rests on an argument beside the analysis.
    pub argued: BTreeSet<SlotId>,
    /// Slots that lookups or gates limit on some tokens only, with the other tokens.
    pub free: BTreeMap<SlotId, Vec<u32>>,
}

/// For every slot, how many equations (relations and claims) and how many operands and functionals read it.
pub fn reads(plan: &Plan) -> Vec<(u32, u32)> {
    let mut reads = vec![(0, 0); plan.slots() as usize];
    let mut each = |terms: &[Term], count: u32, equation: bool| {
        for i in 0..count {
            for term in terms {
                let read = &mut reads[term.at(i) as usize];
                if equation { read.0 += 1 } else { read.1 += 1 }
            }
        }
    };
    plan.relations.iter().for_each(|r| each(&r.terms, r.count, true));
    plan.claims.iter().for_each(|c| each(&c.terms, c.count, true));
    plan.operands.iter().for_each(|o| each(&o.terms, o.count, false));
    plan.functionals.iter().flat_map(|f| &f.entries).for_each(|e| reads[e.slot as usize].1 += 1);
    reads
}

/// Runs the analysis on a plan whose indices are in bounds.
pub fn analyse(plan: &Plan) -> Pinned {
    let mut analysis = Analysis::new(plan);
    analysis.lookups();
    analysis.single_lane_gates();
    let free = analysis.bound_slots();
    let equations = Equations::new(plan);
    let mut argued = BTreeSet::new();
    // Where the passes run out, slots stay open and the plan is refused.
    let mut passes = equations.most_passes();
    let mut pass = || {
        passes = passes.saturating_sub(1);
        passes > 0
    };
    loop {
        while pass() && (analysis.products() | analysis.values() | equations.round(&mut analysis)) {}
        let stuck = equations.stuck(&analysis);
        if stuck.is_empty() || !pass() {
            break;
        }
        stuck.iter().for_each(|&slot| analysis.state[slot as usize] = State::Determined);
        argued.extend(stuck);
    }
    let determined = analysis.state.iter().map(|s| *s == State::Determined).collect();
    Pinned { determined, argued, free }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Bounded,
    Determined,
}

struct Analysis<'p> {
    plan: &'p Plan,
    /// Cells of each lane, by row, that a lookup or a gate over the lane holds.
    rows: Vec<Vec<bool>>,
    /// Lanes that hold table values.
    values: Vec<bool>,
    state: Vec<State>,
}

impl<'p> Analysis<'p> {
    fn new(plan: &'p Plan) -> Self {
        let lane_slots = plan.lane_slots();
        let first = |slot| if slot >= lane_slots { State::Determined } else { State::Unknown };
        let mut state: Vec<State> = (0..plan.slots()).map(first).collect();
        let mut next = lane_slots as usize;
        for public in &plan.publics {
            let len = plan.public_len(public) as usize;
            // The provider states outputs: as for any cell, an equation has to determine them.
            if matches!(public, Public::Tensor { port: Port::Output(_), .. }) {
                state[next..next + len].fill(State::Unknown);
            }
            next += len;
        }
        for (lane, _, first, features) in boundary_lanes(plan).filter(|b| matches!(b.1, Port::Input(_))) {
            let start = (lane * plan.geometry.groups) as usize;
            let len = plan.geometry.groups.min(features.saturating_sub(first)) as usize;
            state[start..start + len].fill(State::Determined);
        }
        let rows = vec![vec![false; plan.geometry.rows()]; plan.lanes.len()];
        Analysis { plan, rows, values: vec![false; plan.lanes.len()], state }
    }

    fn is_open(&self, slot: SlotId) -> bool {
        self.state[slot as usize] != State::Determined
    }

    /// The 0/1 column over the data rows; all 1 for `None`.
    fn selector(&self, column: Option<u32>) -> Vec<bool> {
        let rows = self.plan.geometry.rows();
        let Some(column) = column else { return vec![true; rows] };
        let mut on = vec![false; rows];
        for &(start, len, value) in &self.plan.fixed[column as usize].runs {
            on[start as usize..(start + len) as usize].fill(value != 0);
        }
        on
    }

    fn mark(&mut self, lane: u32, rows: &[bool]) {
        for (row, &on) in self.rows[lane as usize].iter_mut().zip(rows) {
            *row |= on;
        }
    }

    /// Keys take a value of the table's domain. Values of the table are held too, but not bounded by it.
    fn lookups(&mut self) {
        for lookup in &self.plan.lookups {
            let on = self.selector(lookup.mask);
            self.mark(lookup.a, &on);
            if let Some(value) = lookup.b {
                self.mark(value, &on);
                self.values[value as usize] = true;
            }
        }
    }

    /// Gates over one lane leave it the roots of a polynomial that is not 0.
    fn single_lane_gates(&mut self) {
        for gate in &self.plan.gates {
            let mut lanes = [&gate.a, &gate.b, &gate.c].into_iter().flat_map(|f| f.terms.iter().map(|t| t.0));
            let Some(lane) = lanes.next() else { continue };
            if lanes.all(|other| other == lane) && has_small_roots(gate, self.plan.geometry.limb_bits) {
                let on = self.selector(gate.selector);
                self.mark(lane, &on);
            }
        }
    }

    /// Brings slots in line with rows; the slots of which only some tokens are held, with the others.
    fn bound_slots(&mut self) -> BTreeMap<SlotId, Vec<u32>> {
        let geometry = &self.plan.geometry;
        let mut free = BTreeMap::new();
        for slot in 0..self.plan.lane_slots() {
            let rows = &self.rows[(slot / geometry.groups) as usize];
            let open: Vec<u32> = (0..geometry.tokens).filter(|&t| !rows[geometry.row(slot, t)]).collect();
            if open.len() < geometry.tokens as usize && self.is_open(slot) {
                if !self.values[(slot / geometry.groups) as usize] {
                    self.state[slot as usize] = State::Bounded;
                }
                if !open.is_empty() {
                    free.insert(slot, open);
                }
            }
        }
        free
    }

    /// Marks the slots of `lane` whose group satisfies `ready`; whether any was open.
    fn determine_lane(&mut self, lane: u32, ready: impl Fn(&Self, u32) -> bool) -> bool {
        let groups = self.plan.geometry.groups;
        let mut new = false;
        for group in 0..groups {
            let slot = lane * groups + group;
            if self.is_open(slot) && ready(self, group) {
                self.state[slot as usize] = State::Determined;
                new = true;
            }
        }
        new
    }

    /// Gates determine a product of determined factors; whether anything was new.
    fn products(&mut self) -> bool {
        let plan = self.plan;
        let mut new = false;
        for gate in plan.gates.iter().filter(|gate| gate.selector.is_none()) {
            let [(lane, coef)] = gate.c.terms.as_slice() else { continue };
            let factors: Vec<u32> = gate.a.terms.iter().chain(&gate.b.terms).map(|t| t.0).collect();
            if *coef != 0 && !factors.contains(lane) {
                let groups = plan.geometry.groups;
                new |= self.determine_lane(*lane, |this, group| {
                    factors.iter().all(|factor| !this.is_open(factor * groups + group))
                });
            }
        }
        new
    }

    /// Tables determine the value of a determined key; whether anything was new.
    fn values(&mut self) -> bool {
        let plan = self.plan;
        let mut new = false;
        for lookup in plan.lookups.iter().filter(|l| l.mask.is_none()) {
            if let Some(value) = lookup.b {
                let groups = plan.geometry.groups;
                new |= self.determine_lane(value, |this, group| !this.is_open(lookup.a * groups + group));
            }
        }
        new
    }
}

/// Whether a gate over one lane is `a b = 0` with roots that the range table holds.
fn has_small_roots(gate: &Gate, bits: u32) -> bool {
    let root_is_small = |form: &crate::RowForm| {
        let factor: i128 = form.terms.iter().map(|t| t.1 as i128).sum();
        let constant = form.constant as i128;
        match factor {
            0 => constant != 0,
            _ => constant % factor == 0 && (0..1 << bits).contains(&(-constant / factor)),
        }
    };
    let zero = gate.c.terms.is_empty() && gate.c.constant == 0;
    zero && root_is_small(&gate.a) && root_is_small(&gate.b)
}

/// Passes over all equations that an analysis may take; honest plans take as many as they have ops in a row.
const MAX_PASSES: u64 = 1 << 12;

/// Terms that an analysis may visit in all: a hostile plan could be long and need a pass for each slot.
const MAX_VISITS: u64 = 1 << 32;

/// One equation: the index of its exponent of rho when it is a claim; its slots with their factors.
type Equation = (Option<usize>, Vec<(SlotId, i64)>);

/// All single equations, and what claims depend on.
struct Equations {
    items: Vec<Equation>,
    /// Number of different exponents of rho.
    exponents: usize,
    /// The exponents of these indices need these slots.
    factors: Vec<(Range<usize>, Vec<SlotId>)>,
    /// Width of the range table.
    limb_bits: u32,
}

impl Equations {
    fn new(plan: &Plan) -> Self {
        let mut items = Vec::new();
        let slots = |terms: &[Term], i: u32| {
            let mut sums: BTreeMap<SlotId, i64> = BTreeMap::new();
            for term in terms {
                let sum = sums.entry(term.at(i)).or_default();
                *sum = sum.saturating_add(term.coef);
            }
            sums.into_iter().filter(|(_, coef)| *coef != 0).collect::<Vec<_>>()
        };
        for relation in &plan.relations {
            items.extend((0..relation.count).map(|i| (None, slots(&relation.terms, i))));
        }
        let claims = || plan.claims.iter().flat_map(|c| (0..c.count).map(move |i| (c, i)));
        let mut exponents: Vec<u32> = claims().map(|(claim, i)| claim.monomial.at(i).0).collect();
        exponents.sort_unstable();
        exponents.dedup();
        let index = |rho: u32| exponents.partition_point(|&e| e < rho);
        items.extend(claims().map(|(claim, i)| (Some(index(claim.monomial.at(i).0)), slots(&claim.terms, i))));
        let factors = factors(plan).into_iter().map(|(first, end, slots)| (index(first)..index(end), slots)).collect();
        Equations { items, exponents: exponents.len(), factors, limb_bits: plan.geometry.limb_bits }
    }

    fn most_passes(&self) -> u64 {
        let terms: u64 = self.items.iter().map(|item| 1 + item.1.len() as u64).sum();
        MAX_PASSES.min(MAX_VISITS / terms.max(1))
    }

    /// Exponents of claims that wait for a factor.
    fn blocked(&self, analysis: &Analysis) -> Vec<bool> {
        let mut blocked = vec![false; self.exponents];
        for (exponents, slots) in &self.factors {
            if slots.iter().any(|&slot| analysis.is_open(slot)) {
                blocked[exponents.clone()].fill(true);
            }
        }
        blocked
    }

    /// Open slots of the equations that do not wait for a factor.
    fn open<'a>(
        items: impl Iterator<Item = &'a Equation>,
        blocked: &[bool],
    ) -> impl Iterator<Item = &'a [(SlotId, i64)]> {
        items.filter(|(rho, _)| !rho.is_some_and(|rho| blocked[rho])).map(|(_, slots)| slots.as_slice())
    }

    /// One pass forward and one backward; whether anything was new.
    fn round(&self, analysis: &mut Analysis) -> bool {
        let mut new = false;
        let blocked = self.blocked(analysis);
        for slots in Self::open(self.items.iter().chain(self.items.iter().rev()), &blocked) {
            let open: Vec<(SlotId, i64)> = slots.iter().copied().filter(|s| analysis.is_open(s.0)).collect();
            if open.len() == 1 || (!open.is_empty() && self.are_digits(&open, analysis)) {
                open.iter().for_each(|s| analysis.state[s.0 as usize] = State::Determined);
                new = true;
            }
        }
        new
    }

    /// Whether a sum of the bounded slots has one solution: each factor exceeds what the smaller ones can add up to.
    fn are_digits(&self, open: &[(SlotId, i64)], analysis: &Analysis) -> bool {
        let mut coefs: Vec<u64> = open.iter().map(|s| s.1.unsigned_abs()).collect();
        coefs.sort_unstable();
        open.iter().all(|s| analysis.state[s.0 as usize] == State::Bounded)
            && coefs.windows(2).all(|pair| pair[1] >> self.limb_bits >= pair[0])
    }

    /// The bounded open slots of all equations that have no other open slots, or else of the first equation that has
    /// bounded ones.
    fn stuck(&self, analysis: &Analysis) -> BTreeSet<SlotId> {
        let blocked = self.blocked(analysis);
        let bounded = |slot: SlotId| analysis.state[slot as usize] == State::Bounded;
        let open = |slots: &[(SlotId, i64)]| -> Vec<SlotId> {
            slots.iter().map(|s| s.0).filter(|&slot| analysis.is_open(slot)).collect()
        };
        let all: BTreeSet<SlotId> = Self::open(self.items.iter(), &blocked)
            .map(open)
            .filter(|open| open.iter().all(|&slot| bounded(slot)))
            .flatten()
            .collect();
        if !all.is_empty() {
            return all;
        }
        let first =
            Self::open(self.items.iter(), &blocked).map(open).find(|open| open.iter().any(|&slot| bounded(slot)));
        first.into_iter().flatten().filter(|&slot| bounded(slot)).collect()
    }
}

/// For each range of exponents of rho that rows of A can reach with their row of B, the slots of both.
fn factors(plan: &Plan) -> Vec<(u32, u32, Vec<SlotId>)> {
    let mut spans: BTreeMap<u32, u32> = BTreeMap::new();
    let mut slots_of_row: BTreeMap<u32, Vec<SlotId>> = BTreeMap::new();
    for tile in &plan.tiles {
        let parts = tile.outputs.div_ceil(plan.weight_columns.max(1));
        for row in tile.row..tile.row + tile.inputs * parts {
            spans.insert(row, plan.weight_columns);
        }
    }
    for functional in &plan.functionals {
        for entry in &functional.entries {
            let rows = match functional.kind {
                TokenWeight::Eta => entry.row..entry.row + 1,
                TokenWeight::Row => entry.row..entry.row + plan.geometry.tokens,
            };
            for row in rows {
                let span = spans.entry(row).or_insert(1);
                *span = (*span).max(entry.rho + 1);
                slots_of_row.entry(row).or_default().push(entry.slot);
            }
        }
    }
    let mut factors: BTreeMap<(u32, u32), Vec<SlotId>> = BTreeMap::new();
    for operand in &plan.operands {
        for i in 0..operand.count {
            let row = operand.row + i * operand.row_stride;
            let first = operand.monomial.at(i).0;
            let slots = factors.entry((first, first + spans.get(&row).copied().unwrap_or(1))).or_default();
            slots.extend(operand.terms.iter().map(|t| t.at(i)));
            slots.extend(slots_of_row.get(&row).into_iter().flatten());
        }
    }
    let sorted = |mut slots: Vec<SlotId>| {
        slots.sort_unstable();
        slots.dedup();
        slots
    };
    factors.into_iter().map(|((first, end), slots)| (first, end, sorted(slots))).collect()
}

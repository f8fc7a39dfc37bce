//! Which cells the constraints determine.
//!
//! Starting points are committed inputs and public slots, except those of output tensors. Looked-up keys, and cells
//! that a gate over one lane limits to its roots, are *bounded*. A relation or claim determines the one slot of it that
//! is still open, or all open slots when they are digits: bounded, with factors that grow by `2^b`. A gate `a * b = c`
//! determines c, a table its value. A claim counts only once every factor that its monomial can meet is determined, so
//! nothing is defined by itself.
//!
//! Where this stops, uniqueness rests on an argument that the analysis does not follow (inequalities of a quotient, a
//! root, a clamp or a maximum): the bounded slots of the stuck equations are taken as determined and listed.
//!
//! A slot that becomes determined is taken up once and visits what reads it ([`Analysis::settle`]), so the time follows
//! the number of terms, in whatever order a plan gives its gates and equations.

mod equations;
mod factors;
mod held;
mod state;

use crate::boundaries::boundary_lanes;
use crate::defect::CheckError;
use crate::{LaneId, Plan, Port, Public, SlotId, Term};
use equations::Equations;
use held::Held;
use nanozk_mutants::mutant;
pub use state::Reads;
use state::State;
use std::collections::{BTreeMap, BTreeSet};

/// Result of the analysis.
pub struct Pinned {
    /// For every slot: whether it is determined.
    pub determined: Vec<bool>,
    /// Bounded slots whose uniqueness rests on an argument beside the analysis.
    pub argued: BTreeSet<SlotId>,
    /// Slots that something reads and that lookups or gates limit on some tokens only, with the other tokens.
    pub free: BTreeMap<SlotId, Vec<u32>>,
}

/// Counts what reads each slot.
pub fn reads(plan: &Plan) -> Reads {
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
    plan.operands.iter().chain(&plan.right_operands).for_each(|o| each(&o.terms, o.count, false));
    plan.functionals.iter().flat_map(|f| &f.entries).for_each(|e| reads[e.slot as usize].1 += 1);
    reads
}

/// Runs the analysis on a plan whose indices are in bounds.
///
/// # Errors
/// More free cells than an honest plan has, or factors of one slot in an equation that add up to more than 64 bits.
pub fn analyse(plan: &Plan, reads: &Reads) -> Result<Pinned, CheckError> {
    let mut state = known_slots(plan);
    let free = Held::new(plan).bound_slots(&mut state, reads)?;
    let mut analysis = Analysis::new(plan, state)?;
    let mut argued = BTreeSet::new();
    // Where the passes run out, slots stay open and the plan is refused.
    for _ in 0..analysis.equations.most_passes() {
        analysis.settle();
        if analysis.release_claims() {
            continue;
        }
        let stuck = analysis.equations.stuck(&analysis.state);
        if stuck.is_empty() {
            break;
        }
        stuck.iter().for_each(|&slot| analysis.determine(slot));
        argued.extend(stuck);
    }
    let determined = analysis.state.iter().map(|s| *s == State::Determined).collect();
    Ok(Pinned { determined, argued, free })
}

/// The slots that are determined to begin with.
fn known_slots(plan: &Plan) -> Vec<State> {
    let lane_slots = plan.lane_slots();
    let first = |slot| if slot >= lane_slots { State::Determined } else { State::Unknown };
    let mut state: Vec<State> = (0..plan.slots()).map(first).collect();
    // The provider states outputs: as for any cell, an equation has to determine them.
    let output = |public: &Public| match public {
        Public::OneHot { .. } if mutant!(FreeOneHot, false, true) => false,
        Public::Tensor { port, .. } | Public::OneHot { port, .. } => matches!(port, Port::Output(_)),
        _ => false,
    };
    for (first, public) in plan.public_runs().filter(|(_, public)| output(public)) {
        state[first as usize..][..plan.public_len(public) as usize].fill(State::Unknown);
    }
    for (lane, _, first, features) in boundary_lanes(plan).filter(|b| matches!(b.1, Port::Input(_))) {
        let start = (lane * plan.geometry.groups) as usize;
        let len = plan.geometry.groups.min(features.saturating_sub(first)) as usize;
        state[start..start + len].fill(State::Determined);
    }
    state
}

/// A gate that determines the product of its factors, in every group.
struct Product {
    lane: LaneId,
    /// Factors that are open, by group.
    pending: Vec<u16>,
}

struct Analysis {
    groups: u32,
    state: Vec<State>,
    /// Slots that became determined and have not yet visited what reads them, with whether they were bounded.
    fresh: Vec<(SlotId, bool)>,
    products: Vec<Product>,
    /// For each lane the products that it is a factor of, as often as it is.
    factor_of: Vec<Vec<u32>>,
    /// For each lane of keys the lanes of their values.
    values_of: Vec<Vec<LaneId>>,
    equations: Equations,
}

impl Analysis {
    fn new(plan: &Plan, state: Vec<State>) -> Result<Self, CheckError> {
        let groups = plan.geometry.groups;
        let mut this = Analysis {
            groups,
            equations: Equations::new(plan, &state)?,
            state,
            fresh: Vec::new(),
            products: Vec::new(),
            factor_of: vec![Vec::new(); plan.lanes.len()],
            values_of: vec![Vec::new(); plan.lanes.len()],
        };
        this.add_products(plan);
        this.add_values(plan);
        (0..this.equations.len()).for_each(|equation| this.visit(equation));
        Ok(this)
    }

    fn is_open(&self, slot: SlotId) -> bool {
        self.state[slot as usize] != State::Determined
    }

    fn determine(&mut self, slot: SlotId) {
        let state = &mut self.state[slot as usize];
        if *state != State::Determined {
            self.fresh.push((slot, *state == State::Bounded));
            *state = State::Determined;
        }
    }

    /// Gates without a selector determine a product of determined factors.
    fn add_products(&mut self, plan: &Plan) {
        for gate in plan.gates.iter().filter(|gate| gate.selector.is_none()) {
            let [(lane, coef)] = gate.c.terms.as_slice() else { continue };
            let factors = || gate.a.terms.iter().chain(&gate.b.terms).map(|t| t.0);
            if *coef == 0 {
                continue;
            }
            // What is its own factor waits for itself.
            let mut pending = vec![0; self.groups as usize];
            for factor in factors() {
                let open = (0..self.groups).map(|group| self.is_open(factor * self.groups + group));
                pending.iter_mut().zip(open).for_each(|(count, open)| *count += u16::from(open));
                self.factor_of[factor as usize].push(self.products.len() as u32);
            }
            let known = (0..self.groups).filter(|group| pending[*group as usize] == 0);
            known.for_each(|group| self.determine(lane * self.groups + group));
            self.products.push(Product { lane: *lane, pending });
        }
    }

    /// Tables without a mask determine the value of a determined key.
    fn add_values(&mut self, plan: &Plan) {
        for lookup in plan.lookups.iter().filter(|l| l.mask.is_none()) {
            let Some(value) = lookup.b else { continue };
            self.values_of[lookup.a as usize].push(value);
            let known = (0..self.groups).filter(|group| !self.is_open(lookup.a * self.groups + group));
            known.collect::<Vec<_>>().into_iter().for_each(|group| self.determine(value * self.groups + group));
        }
    }

    /// Follows every newly determined slot to what it determines in turn.
    fn settle(&mut self) {
        while let Some((slot, was_bounded)) = self.fresh.pop() {
            let (lane, group) = ((slot / self.groups) as usize, slot % self.groups);
            for i in 0..self.factor_of.get(lane).map_or(0, Vec::len) {
                let product = &mut self.products[self.factor_of[lane][i] as usize];
                let pending = &mut product.pending[group as usize];
                *pending -= 1;
                if *pending == 0 {
                    let slot = product.lane * self.groups + group;
                    self.determine(slot);
                }
            }
            for i in 0..self.values_of.get(lane).map_or(0, Vec::len) {
                self.determine(self.values_of[lane][i] * self.groups + group);
            }
            for reader in self.equations.readers(slot) {
                let equation = self.equations.close(reader, was_bounded);
                self.visit(equation);
            }
        }
    }

    /// Determines the open slots of an equation that has one solution for them.
    fn visit(&mut self, equation: u32) {
        if let Some(slots) = self.equations.solved(equation, &self.state) {
            slots.into_iter().for_each(|slot| self.determine(slot));
        }
    }

    /// Visits claims whose factors are all determined by now; whether there were new ones.
    fn release_claims(&mut self) -> bool {
        let released = self.equations.release(&self.state);
        released.iter().for_each(|&claim| self.visit(claim));
        !released.is_empty()
    }
}

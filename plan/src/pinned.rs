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

use crate::boundaries::boundary_lanes;
use crate::check::CheckError;
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

/// For every slot, how many equations (relations and claims) and how many operands (left or right) and functionals read it.
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
    plan.operands.iter().chain(&plan.right_operands).for_each(|o| each(&o.terms, o.count, false));
    plan.functionals.iter().flat_map(|f| &f.entries).for_each(|e| reads[e.slot as usize].1 += 1);
    reads
}

/// Runs the analysis on a plan whose indices are in bounds.
///
/// # Errors
/// When the factors of one slot in an equation add up to more than 64 bits.
pub fn analyse(plan: &Plan) -> Result<Pinned, CheckError> {
    let mut analysis = Analysis::new(plan);
    analysis.lookups();
    analysis.single_lane_gates();
    let free = analysis.bound_slots();
    let mut equations = Equations::new(plan)?;
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
    Ok(Pinned { determined, argued, free })
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
        // The provider states outputs: as for any cell, an equation has to determine them.
        let output = |public: &Public| match public {
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
        let tokens = self.plan.geometry.tokens.max(1) as usize;
        let mut free = BTreeMap::new();
        let cells =
            self.rows.iter().zip(&self.values).flat_map(|(rows, value)| rows.chunks(tokens).map(move |c| (c, *value)));
        for ((slot, state), (cells, holds_values)) in self.state.iter_mut().enumerate().zip(cells) {
            if *state == State::Determined || !cells.contains(&true) {
                continue;
            }
            if !holds_values {
                *state = State::Bounded;
            }
            if cells.contains(&false) {
                let open = cells.iter().enumerate().filter(|(_, held)| !**held).map(|(t, _)| t as u32);
                free.insert(slot as SlotId, open.collect());
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

/// All single equations, relations before claims, and what claims depend on.
struct Equations {
    /// The slots with their factors of all equations, one equation after the other.
    terms: Vec<(SlotId, i64)>,
    /// Where the terms of each equation end.
    ends: Vec<u32>,
    /// Number of relations.
    relations: usize,
    /// First equation of each relation and of each claim, with all its repetitions.
    starts: Vec<u32>,
    /// For each claim the index of its exponent of rho.
    rho: Vec<u32>,
    /// Number of different exponents of rho.
    exponents: usize,
    factors: Vec<Factor>,
    /// The equations that may still have open slots, ascending.
    live: Vec<u32>,
    /// Width of the range table.
    limb_bits: u32,
}

/// Claims with exponents of these indices need these slots.
struct Factor {
    exponents: Range<usize>,
    slots: Vec<SlotId>,
    /// How many of the slots, from the first on, are known to be determined.
    determined: usize,
}

impl Equations {
    fn new(plan: &Plan) -> Result<Self, CheckError> {
        let claims = || plan.claims.iter().flat_map(|c| (0..c.count).map(move |i| c.monomial.at(i).0));
        let mut exponents: Vec<u32> = claims().collect();
        exponents.sort_unstable();
        exponents.dedup();
        let index = |rho: u32| exponents.partition_point(|&e| e < rho);
        let factor = |(first, end, slots): (u32, u32, Vec<SlotId>)| Factor {
            exponents: index(first)..index(end),
            slots,
            determined: 0,
        };
        let mut this = Equations {
            terms: Vec::new(),
            ends: Vec::new(),
            relations: plan.equations() as usize,
            starts: Vec::new(),
            rho: claims().map(|rho| index(rho) as u32).collect(),
            exponents: exponents.len(),
            factors: factors(plan).into_iter().map(factor).collect(),
            live: Vec::new(),
            limb_bits: plan.geometry.limb_bits,
        };
        plan.relations.iter().try_for_each(|r| this.extend(&r.terms, r.count))?;
        plan.claims.iter().try_for_each(|c| this.extend(&c.terms, c.count))?;
        this.live = (0..this.ends.len() as u32).collect();
        Ok(this)
    }

    /// Adds an equation for each repetition: factors of one slot added up, slots that cancel left out.
    fn extend(&mut self, terms: &[Term], count: u32) -> Result<(), CheckError> {
        self.starts.push(self.ends.len() as u32);
        let mut sums: Vec<(SlotId, i128)> = Vec::with_capacity(terms.len());
        for i in 0..count {
            sums.clear();
            sums.extend(terms.iter().map(|term| (term.at(i), i128::from(term.coef))));
            sums.sort_by_key(|sum| sum.0);
            sums.dedup_by(|next, sum| {
                let same = next.0 == sum.0;
                if same {
                    // The number of terms is bounded, so 128 bits hold the sum.
                    sum.1 += next.1;
                }
                same
            });
            for &(slot, sum) in sums.iter().filter(|sum| sum.1 != 0) {
                self.terms.push((slot, i64::try_from(sum).map_err(|_| CheckError::Coefficient { slot })?));
            }
            self.ends.push(self.terms.len() as u32);
        }
        Ok(())
    }

    /// The slots of an equation with their factors.
    fn slots(&self, equation: u32) -> &[(SlotId, i64)] {
        let start = equation.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.terms[start as usize..self.ends[equation as usize] as usize]
    }

    fn most_passes(&self) -> u64 {
        let terms = (self.ends.len() + self.terms.len()) as u64;
        MAX_PASSES.min(MAX_VISITS / terms.max(1))
    }

    /// Exponents of claims that wait for a factor.
    fn blocked(&mut self, analysis: &Analysis) -> Vec<bool> {
        let mut blocked = vec![false; self.exponents];
        for factor in &mut self.factors {
            let rest = &factor.slots[factor.determined..];
            factor.determined += rest.iter().take_while(|slot| !analysis.is_open(**slot)).count();
            if factor.determined < factor.slots.len() {
                blocked[factor.exponents.clone()].fill(true);
            }
        }
        blocked
    }

    /// Whether an equation is a claim that waits for a factor.
    fn waits(&self, equation: u32, blocked: &[bool]) -> bool {
        (equation as usize).checked_sub(self.relations).is_some_and(|claim| blocked[self.rho[claim] as usize])
    }

    /// One pass forward and one backward; whether anything was new.
    fn round(&mut self, analysis: &mut Analysis) -> bool {
        let mut new = false;
        let blocked = self.blocked(analysis);
        let mut open: Vec<(SlotId, i64)> = Vec::new();
        'equations: for &equation in self.live.iter().chain(self.live.iter().rev()) {
            if self.waits(equation, &blocked) {
                continue;
            }
            open.clear();
            let mut unknown = false;
            for &(slot, coef) in self.slots(equation) {
                match analysis.state[slot as usize] {
                    State::Determined => continue,
                    State::Bounded => {}
                    State::Unknown => unknown = true,
                }
                open.push((slot, coef));
                if unknown && open.len() > 1 {
                    continue 'equations;
                }
            }
            if open.len() == 1 || (!open.is_empty() && self.are_digits(&open)) {
                open.iter().for_each(|s| analysis.state[s.0 as usize] = State::Determined);
                new = true;
            }
        }
        let mut live = std::mem::take(&mut self.live);
        live.retain(|&equation| self.slots(equation).iter().any(|s| analysis.is_open(s.0)));
        self.live = live;
        new
    }

    /// Whether a sum of bounded slots has one solution: each factor exceeds what the smaller ones can add up to.
    fn are_digits(&self, open: &[(SlotId, i64)]) -> bool {
        let mut coefs: Vec<u64> = open.iter().map(|s| s.1.unsigned_abs()).collect();
        coefs.sort_unstable();
        coefs.windows(2).all(|pair| pair[1] >> self.limb_bits >= pair[0])
    }

    /// The bounded open slots of all equations that have no other open slots; or else of those whose one unknown slot
    /// stands in several such equations, as the maximum of a group does; or else of the first equation that has bounded
    /// ones and its repetitions.
    fn stuck(&mut self, analysis: &Analysis) -> BTreeSet<SlotId> {
        let blocked = self.blocked(analysis);
        let bounded = |slot: &SlotId| analysis.state[*slot as usize] == State::Bounded;
        let open = |equation: &u32| self.slots(*equation).iter().map(|s| s.0).filter(|&slot| analysis.is_open(slot));
        let equations = || self.live.iter().filter(|equation| !self.waits(**equation, &blocked));
        let mut all: Vec<SlotId> = equations().filter(|e| open(e).all(|slot| bounded(&slot))).flat_map(open).collect();
        if all.is_empty() {
            let mut unknown: BTreeMap<SlotId, Vec<u32>> = BTreeMap::new();
            for &equation in equations() {
                let mut others = open(&equation).filter(|slot| !bounded(slot));
                if let (Some(slot), None) = (others.next(), others.next())
                    && open(&equation).any(|slot| bounded(&slot))
                {
                    unknown.entry(slot).or_default().push(equation);
                }
            }
            let shared = unknown.values().filter(|equations| equations.len() > 1).flatten();
            all.extend(shared.flat_map(open).filter(bounded));
        }
        if all.is_empty() {
            let has_bounded = |e: &&u32| open(e).any(|slot| bounded(&slot));
            if let Some(first) = equations().find(has_bounded) {
                let next = self.starts.partition_point(|start| start <= first);
                let end = self.starts.get(next).copied().unwrap_or(u32::MAX);
                let repetitions = equations().skip_while(|e| *e < first).take_while(|e| **e < end);
                all.extend(repetitions.filter(has_bounded).flat_map(open).filter(bounded));
            }
        }
        all.into_iter().collect()
    }
}

/// Rows of B that belong together, and what stands in them.
struct Block {
    /// Exponents of rho that its terms reach.
    span: u32,
    slots: Vec<SlotId>,
}

/// For each range of exponents of rho that rows of A can reach with their row of B, the slots of both.
fn factors(plan: &Plan) -> Vec<(u32, u32, Vec<SlotId>)> {
    // Block 0 stands for rows of B that are 0.
    let mut blocks = vec![Block { span: 1, slots: Vec::new() }];
    let mut block_of = vec![0; plan.operand_rows() as usize];
    for tile in &plan.tiles {
        let parts = tile.outputs.div_ceil(plan.weight_columns.max(1));
        block_of[tile.row as usize..][..(tile.inputs * parts) as usize].fill(blocks.len());
        blocks.push(Block { span: plan.weight_columns, slots: Vec::new() });
    }
    for functional in &plan.functionals {
        let rows = match functional.kind {
            TokenWeight::Eta => 1,
            TokenWeight::Row => plan.geometry.tokens as usize,
        };
        for entry in &functional.entries {
            let rows = &mut block_of[entry.row as usize..][..rows];
            if rows[0] == 0 {
                rows.fill(blocks.len());
                blocks.push(Block { span: 1, slots: Vec::new() });
            }
            let block = &mut blocks[rows[0]];
            block.span = block.span.max(entry.rho + 1);
            block.slots.push(entry.slot);
        }
    }
    for operand in &plan.right_operands {
        for i in 0..operand.count {
            let row = &mut block_of[(operand.row + i * operand.row_stride) as usize];
            if *row == 0 {
                *row = blocks.len();
                blocks.push(Block { span: 1, slots: Vec::new() });
            }
            let block = &mut blocks[*row];
            block.span = block.span.max(operand.monomial.at(i).0 + 1);
            block.slots.extend(operand.terms.iter().map(|t| t.at(i)));
        }
    }
    let mut index: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    let mut factors: Vec<(u32, u32, Vec<SlotId>)> = Vec::new();
    for operand in &plan.operands {
        let mut last = None;
        for i in 0..operand.count {
            let block = block_of[(operand.row + i * operand.row_stride) as usize];
            let first = operand.monomial.at(i).0;
            let factor = match last {
                Some((at, factor)) if at == (first, block) => factor,
                _ => {
                    let Block { span, slots } = &blocks[block];
                    let factor = *index.entry((first, first + span)).or_insert_with(|| {
                        factors.push((first, first + span, Vec::new()));
                        factors.len() - 1
                    });
                    factors[factor].2.extend(slots);
                    last = Some(((first, block), factor));
                    factor
                }
            };
            factors[factor].2.extend(operand.terms.iter().map(|t| t.at(i)));
        }
    }
    for (_, _, slots) in &mut factors {
        slots.sort_unstable();
        slots.dedup();
    }
    factors
}

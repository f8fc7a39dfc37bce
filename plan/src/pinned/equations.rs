//! The single equations of a plan, and when they have one solution.

use super::factors::Factors;
use super::state::State;
use crate::defect::CheckError;
use crate::{Plan, SlotId, Term};
use nanozk_mutants::mutant;
use std::ops::Range;

/// Passes over what claims wait for, and over stuck equations, that an analysis may take; honest plans take as many as
/// they have products and quotients in a row.
const MAX_PASSES: usize = 1 << 12;

/// What the passes of an analysis may look at in all: a hostile plan could be long and need a pass for each slot.
const MAX_VISITS: usize = 1 << 29;

/// Most digits that one integer has: their factors grow at least by 2, and fit 64 bits.
const MOST_DIGITS: usize = 64;

/// All single equations, relations before claims, and what claims wait for.
pub struct Equations {
    /// The slots with their factors of all equations, one equation after the other.
    terms: Vec<(SlotId, i64)>,
    /// Where the terms of each equation end.
    ends: Vec<u32>,
    /// Unknown and bounded slots of each equation.
    open: Vec<(u32, u32)>,
    /// The equations that read each slot, one slot after the other.
    readers: Vec<u32>,
    /// Where the readers of each slot end.
    reader_ends: Vec<u32>,
    /// Number of relations.
    relations: u32,
    /// First equation of each relation and of each claim, with all its repetitions.
    starts: Vec<u32>,
    /// For each claim the index of its exponent of rho.
    rho: Vec<u32>,
    /// The different exponents of rho of claims.
    exponents: Vec<u32>,
    /// For each of them, whether its claims wait for a factor.
    blocked: Vec<bool>,
    factors: Factors,
    /// Width of the range table.
    limb_bits: u32,
}

impl Equations {
    /// The equations of a plan whose slots are in these states. All claims wait.
    ///
    /// # Errors
    /// When the factors of one slot in an equation add up to more than 64 bits.
    pub fn new(plan: &Plan, state: &[State]) -> Result<Self, CheckError> {
        let claims = || plan.claims.iter().flat_map(|c| (0..c.count).map(move |i| c.monomial.at(i).0));
        let mut exponents: Vec<u32> = claims().collect();
        exponents.sort_unstable();
        exponents.dedup();
        let rho = claims().map(|rho| exponents.partition_point(|&e| e < rho) as u32).collect();
        let mut this = Equations {
            terms: Vec::new(),
            ends: Vec::new(),
            open: Vec::new(),
            readers: Vec::new(),
            reader_ends: Vec::new(),
            relations: plan.equations(),
            starts: Vec::new(),
            rho,
            blocked: vec![true; exponents.len()],
            exponents,
            factors: Factors::new(plan),
            limb_bits: plan.geometry.limb_bits,
        };
        plan.relations.iter().try_for_each(|r| this.extend(&r.terms, r.count))?;
        plan.claims.iter().try_for_each(|c| this.extend(&c.terms, c.count))?;
        let count = |wanted: State, slots: &[(SlotId, i64)]| {
            slots.iter().filter(|s| state[s.0 as usize] == wanted).count() as u32
        };
        this.open = (0..this.len())
            .map(|e| (count(State::Unknown, this.slots(e)), count(State::Bounded, this.slots(e))))
            .collect();
        this.index_readers(state.len());
        Ok(this)
    }

    /// Adds an equation for each repetition: factors of one slot added up, slots that cancel left out.
    fn extend(&mut self, terms: &[Term], count: u32) -> Result<(), CheckError> {
        self.starts.push(self.len());
        let mut sums: Vec<(SlotId, i128)> = Vec::with_capacity(terms.len());
        for i in 0..count {
            sums.clear();
            sums.extend(terms.iter().map(|term| (term.at(i), i128::from(term.coef))));
            sums.sort_by_key(|sum| sum.0);
            sums.dedup_by(|next, sum| {
                let same = next.0 == sum.0;
                if same {
                    // The number of terms is bounded, so 128 bits hold the sum.
                    sum.1 = mutant!(
                        SaturatedFactors,
                        sum.1 + next.1,
                        (sum.1 + next.1).clamp(i64::MIN.into(), i64::MAX.into())
                    );
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

    fn index_readers(&mut self, slots: usize) {
        let mut ends = vec![0u32; slots];
        self.terms.iter().for_each(|term| ends[term.0 as usize] += 1);
        let mut total = 0;
        for end in &mut ends {
            total += *end;
            *end = total - *end;
        }
        self.readers = vec![0; total as usize];
        for equation in 0..self.len() {
            for &(slot, _) in &self.terms[self.range(equation)] {
                let end = &mut ends[slot as usize];
                self.readers[*end as usize] = equation;
                *end += 1;
            }
        }
        self.reader_ends = ends;
    }

    /// Number of equations.
    pub fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    fn range(&self, equation: u32) -> Range<usize> {
        range_of(&self.ends, equation)
    }

    /// The slots of an equation with their factors.
    fn slots(&self, equation: u32) -> &[(SlotId, i64)] {
        &self.terms[self.range(equation)]
    }

    /// Passes that fit the bounds.
    pub fn most_passes(&self) -> usize {
        let visits = self.ends.len() + self.terms.len() + self.exponents.len() + self.factors.len();
        MAX_PASSES.min(MAX_VISITS / visits.max(1))
    }

    /// The places where a slot is read, for [`Equations::close`].
    pub fn readers(&self, slot: SlotId) -> Range<usize> {
        range_of(&self.reader_ends, slot)
    }

    /// Notes at one of its readers that a slot is determined, which was bounded or unknown before; the equation.
    pub fn close(&mut self, reader: usize, was_bounded: bool) -> u32 {
        let equation = self.readers[reader];
        let open = &mut self.open[equation as usize];
        if was_bounded {
            open.1 -= 1
        } else {
            open.0 -= 1
        }
        equation
    }

    /// The open slots of an equation, if it has one solution for them and waits for nothing.
    pub fn solved(&self, equation: u32, state: &[State]) -> Option<Vec<SlotId>> {
        let (unknown, bounded) = self.open[equation as usize];
        let one = unknown + bounded == 1;
        let maybe_digits = unknown == 0 && (2..=MOST_DIGITS).contains(&(bounded as usize));
        if !(one || maybe_digits) || self.waits(equation) {
            return None;
        }
        let open = self.slots(equation).iter().filter(|s| state[s.0 as usize] != State::Determined);
        self.are_digits(open.clone().map(|s| s.1)).then(|| open.map(|s| s.0).collect())
    }

    /// Whether a sum of bounded slots has one solution: each factor exceeds what the smaller ones can add up to.
    fn are_digits(&self, factors: impl Iterator<Item = i64>) -> bool {
        let mut factors: Vec<u64> = factors.map(i64::unsigned_abs).collect();
        factors.sort_unstable();
        factors.windows(2).all(|pair| pair[1] >> self.limb_bits >= pair[0])
    }

    /// Whether an equation is a claim that waits for a factor.
    fn waits(&self, equation: u32) -> bool {
        let claim = equation.checked_sub(self.relations);
        claim.is_some_and(|claim| self.blocked[self.rho[claim as usize] as usize])
    }

    /// The claims that have stopped waiting.
    pub fn release(&mut self, state: &[State]) -> Vec<u32> {
        let index = |exponents: &[u32], rho: u32| exponents.partition_point(|&e| e < rho);
        let mut steps = vec![0i32; self.exponents.len() + 1];
        for rho in self.factors.open(state) {
            steps[index(&self.exponents, rho.start)] += 1;
            steps[index(&self.exponents, rho.end)] -= 1;
        }
        let mut open = 0;
        let mut released = vec![false; self.exponents.len()];
        for ((blocked, released), step) in self.blocked.iter_mut().zip(&mut released).zip(steps) {
            open += step;
            *released = *blocked && open == 0;
            *blocked = open > 0;
        }
        let claims = self.rho.iter().enumerate().filter(|(_, rho)| released[**rho as usize]);
        claims.map(|(claim, _)| self.relations + claim as u32).collect()
    }

    /// The bounded open slots of all equations that have no other open slots; or else of those whose one unknown slot
    /// stands in several such equations, as the maximum of a group does; or else of the first equation that has bounded
    /// ones and its repetitions.
    pub fn stuck(&self, state: &[State]) -> Vec<SlotId> {
        let bounded = |equation: u32| {
            self.slots(equation).iter().map(|s| s.0).filter(|slot| state[*slot as usize] == State::Bounded)
        };
        let candidates = || (0..self.len()).filter(|&e| self.open[e as usize].1 > 0 && !self.waits(e));
        let mut all: Vec<SlotId> = candidates().filter(|&e| self.open[e as usize].0 == 0).flat_map(bounded).collect();
        if all.is_empty() {
            let unknown = |equation: u32| {
                let mut slots = self.slots(equation).iter().map(|s| s.0);
                slots.find(|slot| state[*slot as usize] == State::Unknown).map(|slot| (slot, equation))
            };
            let mut pairs: Vec<_> =
                candidates().filter(|&e| self.open[e as usize].0 == 1).filter_map(unknown).collect();
            pairs.sort_unstable();
            let shared = pairs.chunk_by(|a, b| a.0 == b.0).filter(|pairs| pairs.len() > 1).flatten();
            all.extend(shared.flat_map(|pair| bounded(pair.1)));
        }
        if all.is_empty()
            && let Some(first) = candidates().next()
        {
            let next = self.starts.partition_point(|start| *start <= first);
            let end = self.starts.get(next).copied().unwrap_or(u32::MAX);
            all.extend(candidates().take_while(|e| *e < end).flat_map(bounded));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Part `index` of a list of parts that end at `ends`.
fn range_of(ends: &[u32], index: u32) -> Range<usize> {
    let start = index.checked_sub(1).map_or(0, |before| ends[before as usize]);
    start as usize..ends[index as usize] as usize
}

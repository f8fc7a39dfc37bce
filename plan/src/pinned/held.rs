//! Which cells lookups and gates over one lane hold.

use super::state::{Reads, State};
use crate::defect::{CheckError, MAX_FREE_CELLS, MAX_FREE_SLOTS, size};
use crate::{Gate, Plan, RowForm, SlotId};
use std::collections::BTreeMap;

/// Cells that a lookup or a gate over their lane holds.
pub struct Held<'p> {
    plan: &'p Plan,
    /// By lane and row; no rows where the lane has no such cell.
    rows: Vec<Vec<bool>>,
    /// Lanes that hold table values.
    values: Vec<bool>,
}

impl<'p> Held<'p> {
    /// The held cells of a plan.
    pub fn new(plan: &'p Plan) -> Self {
        let lanes = plan.lanes.len();
        let mut this = Held { plan, rows: vec![Vec::new(); lanes], values: vec![false; lanes] };
        this.lookups();
        this.single_lane_gates();
        this
    }

    /// Keys take a value of the table's domain. Values of the table are held too, but not bounded by it.
    fn lookups(&mut self) {
        for lookup in &self.plan.lookups {
            self.mark(lookup.a, lookup.mask);
            if let Some(value) = lookup.b {
                self.mark(value, lookup.mask);
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
                self.mark(lane, gate.selector);
            }
        }
    }

    /// Holds the lane's rows where the 0/1 column is not 0; all rows for `None`.
    fn mark(&mut self, lane: u32, column: Option<u32>) {
        let rows = &mut self.rows[lane as usize];
        rows.resize(self.plan.geometry.rows(), false);
        let Some(column) = column else { return rows.fill(true) };
        for &(start, len, value) in &self.plan.fixed[column as usize].runs {
            if value != 0 {
                rows[start as usize..(start + len) as usize].fill(true);
            }
        }
    }

    /// Brings slots in line with rows; the slots that something reads and of which only some tokens are held, with the
    /// others.
    ///
    /// # Errors
    /// More free cells than an honest plan has.
    pub fn bound_slots(&self, state: &mut [State], reads: &Reads) -> Result<BTreeMap<SlotId, Vec<u32>>, CheckError> {
        let (tokens, groups) = (self.plan.geometry.tokens.max(1) as usize, self.plan.geometry.groups as usize);
        let mut free: BTreeMap<SlotId, Vec<u32>> = BTreeMap::new();
        let mut free_cells = 0;
        for (lane, (rows, holds_values)) in self.rows.iter().zip(&self.values).enumerate() {
            for (slot, cells) in (lane * groups..).zip(rows.chunks(tokens)) {
                if state[slot] == State::Determined || !cells.contains(&true) {
                    continue;
                }
                if !holds_values {
                    state[slot] = State::Bounded;
                }
                if reads[slot] != (0, 0) && cells.contains(&false) {
                    let open = cells.iter().enumerate().filter(|(_, held)| !**held).map(|(t, _)| t as u32);
                    let open: Vec<u32> = open.collect();
                    free_cells += open.len() as u64;
                    size("the number of free cells", free_cells, MAX_FREE_CELLS)?;
                    free.insert(slot as SlotId, open);
                    size("the number of slots with free cells", free.len() as u64, MAX_FREE_SLOTS)?;
                }
            }
        }
        Ok(free)
    }
}

/// Whether a gate over one lane is `a b = 0` with roots that the range table holds.
fn has_small_roots(gate: &Gate, bits: u32) -> bool {
    let root_is_small = |form: &RowForm| {
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

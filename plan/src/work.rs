//! What a file may cost its reader.
//!
//! Counts, strides and rows are numbers, so a short file can ask for much. Before it does something, a reader adds up
//! what that takes, in units of about ten nanoseconds and as many bytes, and refuses a file that asks for more than a
//! file of its length may.

use crate::{Plan, Public};
use std::{collections::BTreeSet, ops::Range};

/// Units for every file.
const BASE: u64 = 1 << 28;

/// Units for every byte of a file.
const PER_BYTE: u64 = 1 << 11;

/// Units that one thing may take of those at work side by side, unless it is alone.
const AT_A_TIME: u64 = 1 << 26;

/// Units of an equation's term, or of a slot, for the checks of a plan.
const CHECKED_TERM: u64 = 16;

/// Units of a row of a table's column, and of a value that is computed for it.
const TABLE_CELL: u64 = 2;
const TABLE_VALUE: u64 = 16;

/// Units of an equation's term, of a slot, or of a run of a fixed column, for the verifier of a proof.
const VERIFIED_TERM: u64 = 4;

/// Units of a row of the circuit, and of a row of a slot for each entry of a functional that names it, for the verifier of a
/// proof.
const VERIFIED_ROW: u64 = 8;

/// Units of an entry of a functional, and of each of the values of a fixed column, for the verifier of a proof.
const VERIFIED_ENTRY: u64 = 1024;

/// A file asks for too much.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} would take {units} units of work, and {left} are left of the {limit} of a file of this length")]
pub struct TooMuchWork {
    /// What asks for it.
    pub what: &'static str,
    /// Its units.
    pub units: u64,
    /// Units that the file has left.
    pub left: u64,
    /// Units of the file.
    pub limit: u64,
}

/// The work that a file may still ask for.
#[derive(Clone, Debug)]
pub struct Work {
    left: u64,
    limit: u64,
}

impl Work {
    /// For a file of this length.
    pub fn of_file(bytes: usize) -> Self {
        let limit = BASE.saturating_add(PER_BYTE.saturating_mul(bytes as u64));
        Work { left: limit, limit }
    }

    /// Takes units for `what`.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn charge(&mut self, what: &'static str, units: u64) -> Result<(), TooMuchWork> {
        let Work { left, limit } = *self;
        self.left = left.checked_sub(units).ok_or(TooMuchWork { what, units, left, limit })?;
        Ok(())
    }
}

/// Cuts a list of things that take `units` each into parts that may be worked on side by side.
pub fn side_by_side(units: impl IntoIterator<Item = u64>) -> Vec<Range<usize>> {
    let (mut parts, mut taken) = (Vec::<Range<usize>>::new(), 0);
    for (i, units) in units.into_iter().enumerate() {
        taken += units;
        match parts.last_mut() {
            Some(part) if taken <= AT_A_TIME => part.end = i + 1,
            _ => {
                parts.push(i..i + 1);
                taken = units;
            }
        }
    }
    parts
}

impl Plan {
    /// Columns of cells, and gates and lookups, which go through all rows as columns do.
    pub(crate) fn columns(&self) -> u64 {
        let counts = [self.lanes.len(), self.fixed.len(), self.gates.len(), self.lookups.len(), self.functionals.len()];
        counts.into_iter().map(|count| count as u64).sum()
    }

    /// Lanes that the forms of all gates name.
    pub(crate) fn form_terms(&self) -> u64 {
        let forms = self.gates.iter().flat_map(|g| [&g.a, &g.b, &g.c]);
        forms.map(|form| form.terms.len() as u64).sum()
    }

    /// Slots of publics, and terms of all repetitions of equations.
    fn terms(&self) -> u64 {
        let publics = self.publics.iter().map(|public| match public {
            Public::OneHot { count, .. } => u64::from(*count) + u64::from(self.geometry.tokens),
            public => u64::from(self.public_len(public)),
        });
        publics.sum::<u64>().saturating_add(self.repeated_terms())
    }

    fn lane_slots_wide(&self) -> u64 {
        self.lanes.len() as u64 * u64::from(self.geometry.groups)
    }

    /// Slots, and terms of all repetitions of equations.
    pub fn size(&self) -> u64 {
        self.terms().saturating_add(self.lane_slots_wide())
    }

    /// Work of checking the plan and of reading the key of its circuit.
    pub fn reading_work(&self) -> u64 {
        let rows = 1u64.checked_shl(self.geometry.k).unwrap_or(u64::MAX);
        let cells = self.columns().saturating_mul(rows) / 4;
        // Halo2 looks for every query among those before.
        let queries = (self.columns() + self.form_terms() + u64::from(self.tables)).saturating_pow(2) / 4;
        let terms = self.size().saturating_mul(CHECKED_TERM);
        cells.saturating_add(queries).saturating_add(terms)
    }

    /// Work of comparing a table's commitment with its values.
    pub fn table_work(&self) -> u64 {
        let power = |bits: u32| 1u64.checked_shl(bits).unwrap_or(u64::MAX);
        let cells = TABLE_CELL.saturating_mul(power(self.geometry.k));
        cells.saturating_add(TABLE_VALUE.saturating_mul(power(self.geometry.limb_bits)))
    }

    /// Work of evaluating fixed columns, and the weights of the slots that functionals read.
    fn evaluation_work(&self) -> u64 {
        let runs: usize = self.fixed.iter().map(|column| column.runs.len()).sum();
        let values = |runs: &[(u32, u32, i64)]| runs.iter().map(|run| run.2).collect::<BTreeSet<i64>>().len();
        let values: usize = self.fixed.iter().map(|column| values(&column.runs)).sum();
        let entries: usize = self.functionals.iter().map(|functional| functional.entries.len()).sum();
        let rows = VERIFIED_ROW.saturating_mul(self.geometry.tokens.into()).saturating_mul(entries as u64);
        let runs = (runs as u64).saturating_mul(VERIFIED_TERM);
        VERIFIED_ENTRY.saturating_mul((values + entries) as u64).saturating_add(rows).saturating_add(runs)
    }

    /// Work of verifying a proof.
    pub fn verifying_work(&self) -> u64 {
        let rows = 1u64.checked_shl(self.geometry.k).unwrap_or(u64::MAX);
        let columns = self.columns() + self.form_terms() + u64::from(self.tables);
        let terms = self.size().saturating_mul(VERIFIED_TERM).saturating_add(self.evaluation_work());
        terms.saturating_add(rows.saturating_mul(VERIFIED_ROW)).saturating_add(columns.saturating_mul(1 << 6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FixedColumn, Functional, FunctionalEntry, Geometry, TokenWeight};

    /// A verifier takes the runs of each value of a fixed column together, and each entry of a functional by itself.
    #[test]
    fn every_value_and_entry_is_charged() {
        let work = |plan: &dyn Fn(&mut Plan)| {
            let runs = [(0, 1, 1), (1, 1, 2), (2, 1, 1)].into();
            let fixed = vec![FixedColumn { name: String::new(), runs }];
            let entry = FunctionalEntry { slot: 0, row: 0, rho: 0 };
            let functionals = vec![Functional { kind: TokenWeight::Row, entries: vec![entry] }];
            let geometry = Geometry::new(6, 2, 5).expect("fits");
            let mut changed = Plan { geometry, fixed, functionals, ..Plan::default() };
            plan(&mut changed);
            changed.verifying_work()
        };
        let least = work(&|_| {});
        assert_eq!(work(&|plan| plan.fixed[0].runs[2].2 = 3), least + VERIFIED_ENTRY);
        assert_eq!(work(&|plan| plan.fixed[0].runs[1].2 = 1), least - VERIFIED_ENTRY);
        assert_eq!(work(&|plan| plan.fixed[0].runs.push((3, 1, 1))), least + VERIFIED_TERM);
        let twice = |plan: &mut Plan| plan.functionals[0].entries = vec![plan.functionals[0].entries[0]; 2];
        assert_eq!(work(&twice), least + VERIFIED_ENTRY + 5 * VERIFIED_ROW);
        assert_eq!(work(&|plan| plan.geometry.k = 7), least + (VERIFIED_ROW << 6));
    }

    #[test]
    fn charges_add_up_to_the_limit() {
        let mut work = Work::of_file(10);
        let limit = BASE + 10 * PER_BYTE;
        assert_eq!(work.charge("a", limit - 1), Ok(()));
        let error = TooMuchWork { what: "b", units: 2, left: 1, limit };
        assert_eq!(work.charge("b", 2), Err(error));
        assert_eq!(work.charge("c", 1), Ok(()));
    }

    #[test]
    fn parts_hold_every_item_once() {
        let units = [1, AT_A_TIME, 2, 3, AT_A_TIME - 5, 1, 4 * AT_A_TIME, 0];
        assert_eq!(side_by_side(units), [0..1, 1..2, 2..5, 5..6, 6..7, 7..8]);
        assert_eq!(side_by_side([]), []);
    }
}

//! Static checks of a plan: nothing that a proof relies on may be chosen freely by the prover.

use crate::boundaries::{boundaries, outputs};
pub use crate::defect::{CheckError, MAX_CELLS, MAX_ITEMS, MAX_K};
use crate::defect::{MAX_COLUMNS, MAX_FORM_TERMS, MAX_TERMS_PER_SLOT, size};
use crate::pinned::{self, Pinned, Reads};
use crate::products;
use crate::{Boundary, FixedColumn, Geometry, Monomial, Operand, Plan, Port, Public, RowForm, SlotId, Tag, Term};
use std::collections::{BTreeMap, BTreeSet};

/// What the checker found out about an accepted plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Cells that the prover may choose, as slots with tokens; each is read by one equation only, which it absorbs.
    pub free: BTreeMap<SlotId, Vec<u32>>,
    /// Slots of which the checker proves only that they are bounded: the quotients, roots, clamped results and maxima
    /// whose uniqueness rests on inequalities between several equations.
    pub argued: BTreeSet<SlotId>,
}

impl Report {
    /// Whether the prover may choose the cell.
    pub fn is_free(&self, slot: SlotId, token: u32) -> bool {
        self.free.get(&slot).is_some_and(|tokens| tokens.contains(&token))
    }

    /// Number of free cells.
    pub fn free_cells(&self) -> usize {
        self.free.values().map(Vec::len).sum()
    }
}

/// Checks the plan.
///
/// # Errors
/// The first defect: an index or size out of bounds, monomials or rows that collide, an output that no equation reads, a
/// slot that is read but not determined, or a free cell read by more than its absorbing equation.
pub fn check(plan: &Plan) -> Result<Report, CheckError> {
    sizes(plan)?;
    columns(plan)?;
    boundaries(plan)?;
    linear(plan)?;
    products::monomials(plan)?;
    products::rows(plan)?;
    let reads = pinned::reads(plan);
    pinned_slots(plan, &reads, pinned::analyse(plan, &reads)?)
}

/// Checks that a plan is small enough to be checked.
///
/// # Errors
/// What of it is too large.
pub fn sizes(plan: &Plan) -> Result<(), CheckError> {
    let geometry = &plan.geometry;
    size("k", geometry.k as u64, MAX_K as u64)?;
    size("the width of the range table", geometry.limb_bits as u64, geometry.k as u64)?;
    let room = Geometry::room(geometry.k) as u64;
    let rows = geometry.groups as u64 * geometry.tokens as u64;
    size("the number of tokens", geometry.tokens as u64, room)?;
    size("the number of data rows", rows, room)?;
    size("the number of rows of a table", 1 << geometry.limb_bits, rows)?;
    let columns = [
        ("the number of lanes", plan.lanes.len()),
        ("the number of fixed columns", plan.fixed.len()),
        ("the number of gates", plan.gates.len()),
        ("the number of lookups", plan.lookups.len()),
        ("the number of functionals", plan.functionals.len()),
    ];
    columns.iter().try_for_each(|&(what, count)| size(what, count as u64, MAX_COLUMNS))?;
    size("the number of cells", plan.columns() << geometry.k, MAX_CELLS)?;
    size("the number of terms of gates", plan.form_terms(), MAX_FORM_TERMS)?;
    size("the number of tables", plan.tables as u64, MAX_COLUMNS)?;
    size("the number of parameters", plan.params as u64, 1 << 20)?;
    size("the number of weight columns", plan.weight_columns as u64, 1 << 16)?;
    let publics: u64 = plan.publics.iter().map(|p| plan.public_len(p) as u64).sum();
    let slots = plan.lanes.len() as u64 * geometry.groups as u64 + publics;
    size("the number of slots", slots, MAX_ITEMS)?;
    size("the number of terms", publics + plan.repeated_terms(), MAX_ITEMS.min(MAX_TERMS_PER_SLOT * slots))
}

fn index(place: impl Fn() -> String, what: &'static str, index: i64, len: i64) -> Result<(), CheckError> {
    if (0..len).contains(&index) { Ok(()) } else { Err(CheckError::Index { place: place(), what, index }) }
}

fn columns(plan: &Plan) -> Result<(), CheckError> {
    let (lanes, fixed, rows) = (plan.lanes.len() as i64, plan.fixed.len() as i64, plan.geometry.rows() as u64);
    for (i, column) in plan.fixed.iter().enumerate() {
        let fail = |reason| Err(CheckError::Fixed { column: i as u32, reason });
        let mut end = 0u64;
        for &(start, len, _) in &column.runs {
            if (start as u64) < end || len == 0 {
                return fail("its runs are empty, overlap or are not ascending");
            }
            end = start as u64 + len as u64;
        }
        if end > rows {
            return fail("a run leaves the data rows");
        }
    }
    let values =
        |column: &FixedColumn| column.runs.iter().map(|run| run.2).fold((0, 0), |(lo, hi), v| (v.min(lo), v.max(hi)));
    let values: Vec<(i64, i64)> = plan.fixed.iter().map(values).collect();
    let bits = |column: u32| {
        let ok = matches!(values[column as usize], (0, 0 | 1));
        if ok { Ok(()) } else { Err(CheckError::Fixed { column, reason: "a selector is not 0 or 1" }) }
    };
    for gate in &plan.gates {
        let place = || format!("gate '{}'", gate.name);
        for RowForm { terms, .. } in [&gate.a, &gate.b, &gate.c] {
            terms.iter().try_for_each(|t| index(place, "lane", t.0 as i64, lanes))?;
        }
        if let Some(selector) = gate.selector {
            index(place, "fixed column", selector as i64, fixed)?;
            bits(selector)?;
        }
    }
    for (i, lookup) in plan.lookups.iter().enumerate() {
        let place = || format!("lookup {i}");
        std::iter::once(lookup.a).chain(lookup.b).try_for_each(|l| index(place, "lane", l as i64, lanes))?;
        if let Some(mask) = lookup.mask {
            index(place, "fixed column", mask as i64, fixed)?;
            bits(mask)?;
        }
        match lookup.tag {
            Tag::Table(tag) => index(place, "table tag", tag as i64, plan.tables as i64 + 1)?,
            Tag::Fixed(column) => {
                index(place, "fixed column", column as i64, fixed)?;
                let (lo, hi) = values[column as usize];
                [lo, hi].into_iter().try_for_each(|tag| index(place, "table tag", tag, plan.tables as i64 + 1))?;
            }
        }
    }
    for boundary in &plan.boundaries {
        let place = || format!("boundary {:?}", boundary.port);
        boundary.lanes.iter().try_for_each(|&l| index(place, "lane", l as i64, lanes))?;
        let room = boundary.lanes.len() as u64 * plan.geometry.groups as u64;
        if !boundary.lanes.is_empty() {
            size("the number of features of a boundary", boundary.features as u64, room)?;
        }
    }
    publics(plan)
}

/// The sizes of public slots; each reading of a public tensor stands there once, for it costs as much as the tensor.
fn publics(plan: &Plan) -> Result<(), CheckError> {
    let public = |b: &&Boundary| b.lanes.is_empty();
    let known: BTreeMap<Port, u32> = plan.boundaries.iter().filter(public).map(|b| (b.port, b.features)).collect();
    let mut read = BTreeSet::new();
    for public in &plan.publics {
        match public {
            Public::Param { first, count } => {
                let end = *first as i64 + *count as i64;
                index(|| "a public slot".into(), "parameter", end - 1, plan.params as i64)?;
            }
            Public::Const { rows, features, data } => {
                let wanted = *rows as u64 * *features as u64;
                if (*rows != 1 && *rows != plan.geometry.tokens) || data.len() as u64 != wanted {
                    return Err(CheckError::Size { what: "constant data", found: data.len() as u64, limit: wanted });
                }
            }
            &Public::OneHot { port, .. } | &Public::Tensor { port, .. } => {
                let place = || format!("public {port:?}");
                index(place, "public boundary", known.contains_key(&port) as i64 - 1, 1)?;
                let feature = match public {
                    Public::OneHot { feature, .. } => Some(*feature),
                    _ => None,
                };
                feature.map_or(Ok(()), |f| index(place, "feature", f.into(), known[&port].into()))?;
                if !read.insert((port, feature)) {
                    return Err(CheckError::Boundary { port, reason: "is read twice in the same way" });
                }
            }
            Public::One | Public::Position => {}
        }
    }
    Ok(())
}

/// What adds to rows of A or of B.
fn operands(plan: &Plan) -> impl Iterator<Item = &Operand> {
    plan.operands.iter().chain(&plan.right_operands)
}

/// The bounds of all slots and exponents of strided blocks.
fn linear(plan: &Plan) -> Result<(), CheckError> {
    let slots = plan.slots() as i64;
    let terms = |place: &dyn Fn() -> String, count: u32, terms: &[Term]| {
        for term in terms {
            let last = term.slot as i64 + (count.max(1) as i64 - 1) * term.stride as i64;
            index(place, "slot", term.slot as i64, slots)?;
            index(place, "slot", last, slots)?;
        }
        Ok(())
    };
    let exponents = |place: &dyn Fn() -> String, count: u32, monomial: &Monomial| {
        for (first, step) in [monomial.rho, monomial.eta] {
            let last = first as i64 + (count.max(1) as i64 - 1) * step as i64;
            index(place, "exponent", first as i64, MAX_ITEMS as i64)?;
            index(place, "exponent", last, MAX_ITEMS as i64)?;
        }
        Ok(())
    };
    for (i, relation) in plan.relations.iter().enumerate() {
        terms(&|| format!("relation {i}"), relation.count, &relation.terms)?;
        if relation.terms.is_empty() {
            return Err(CheckError::Empty { index: i });
        }
    }
    for (i, claim) in plan.claims.iter().enumerate() {
        terms(&|| format!("claim {i}"), claim.count, &claim.terms)?;
        exponents(&|| format!("claim {i}"), claim.count, &claim.monomial)?;
    }
    for (i, tile) in plan.tiles.iter().enumerate() {
        let end = tile.end(plan.weight_columns);
        index(|| format!("matrix {i}"), "product row", end.max(1) as i64 - 1, plan.geometry.rows() as i64)?;
    }
    for (i, operand) in operands(plan).enumerate() {
        let place = || format!("operand {i}");
        terms(&place, operand.count, &operand.terms)?;
        exponents(&place, operand.count, &operand.monomial)?;
        let last = operand.row as i64 + (operand.count.max(1) as i64 - 1) * operand.row_stride as i64;
        index(place, "product row", last, plan.geometry.rows() as i64)?;
    }
    Ok(())
}

/// Every slot that something reads is determined; slots with free rows are read by one equation.
fn pinned_slots(plan: &Plan, reads: &Reads, pinned: Pinned) -> Result<Report, CheckError> {
    outputs(plan, reads, &pinned.determined)?;
    let lane_name = |slot: SlotId| plan.lanes[(slot / plan.geometry.groups) as usize].name.clone();
    let mut report = Report { argued: pinned.argued, ..Default::default() };
    for (slot, tokens) in pinned.free {
        match reads[slot as usize] {
            (1, 0) => {
                report.free.insert(slot, tokens);
            }
            (equations, others) => {
                return Err(CheckError::FreeRead { slot, lane: lane_name(slot), reads: equations + others });
            }
        }
    }
    let open = |slot: &usize| reads[*slot] != (0, 0) && !pinned.determined[*slot];
    if let Some(slot) = (0..plan.lane_slots() as usize).find(open).map(|slot| slot as SlotId) {
        return Err(CheckError::Unpinned { slot, lane: lane_name(slot), group: slot % plan.geometry.groups });
    }
    Ok(report)
}

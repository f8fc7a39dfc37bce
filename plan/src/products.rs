//! Static checks of the bilinear identity: no output, and no row of A or B, can make up for another.

use crate::defect::{CheckError, MAX_ITEMS, size};
use crate::slots::SlotKind;
use crate::{Operand, Plan, SlotId, TokenWeight, WeightTile};
use std::collections::BTreeSet;

/// All claims have distinct monomials.
///
/// # Errors
/// Two that have the same.
pub fn monomials(plan: &Plan) -> Result<(), CheckError> {
    let mut all: Vec<(u32, u32)> =
        plan.claims.iter().flat_map(|claim| (0..claim.count).map(|i| claim.monomial.at(i))).collect();
    all.sort_unstable();
    match all.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(CheckError::Monomial { rho: pair[0].0, eta: pair[0].1 }),
        None => Ok(()),
    }
}

/// What A holds in each row: `((rho, eta), slot, factor)`, sorted within a row.
struct RowTerms {
    terms: Vec<RowTerm>,
    /// Where the terms of each row end.
    ends: Vec<u32>,
}

type RowTerm = ((u32, u32), SlotId, i64);

impl RowTerms {
    fn new(plan: &Plan) -> Self {
        let mut ends = vec![0; plan.operand_rows() as usize];
        for operand in &plan.operands {
            (0..operand.count).for_each(|i| ends[product_row(operand, i)] += operand.terms.len() as u32);
        }
        let mut total = 0;
        for end in &mut ends {
            total += *end;
            *end = total - *end;
        }
        let mut terms = vec![((0, 0), 0, 0); total as usize];
        for operand in &plan.operands {
            for i in 0..operand.count {
                let end = &mut ends[product_row(operand, i)];
                for term in &operand.terms {
                    terms[*end as usize] = (operand.monomial.at(i), term.at(i), term.coef);
                    *end += 1;
                }
            }
        }
        let mut this = RowTerms { terms, ends };
        for row in 0..this.ends.len() {
            let range = this.range(row);
            this.terms[range].sort_unstable();
        }
        this
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[row] as usize
    }

    /// The terms of a row; none beyond the last operand.
    fn of(&self, row: usize) -> &[RowTerm] {
        if row < self.ends.len() { &self.terms[self.range(row)] } else { &[] }
    }
}

/// Row of A of repetition `i`.
fn product_row(operand: &Operand, i: u32) -> usize {
    (operand.row + i * operand.row_stride) as usize
}

/// Rows of B belong to one matrix entry, one functional entry or right operands; A carries each input of a matrix with the exponents
/// that its columns need; every row of A meets a row of B.
///
/// # Errors
/// The first row that does not.
pub fn rows(plan: &Plan) -> Result<(), CheckError> {
    let a = RowTerms::new(plan);
    let mut used = vec![false; a.ends.len()];
    let mut claim = |row: u32, reason: &'static str| match used.get_mut(row as usize) {
        Some(used) if !*used => {
            *used = true;
            Ok(())
        }
        _ => Err(CheckError::Row { row, reason }),
    };
    let claimed: BTreeSet<u32> = plan.claims.iter().flat_map(|c| (0..c.count).map(|i| c.monomial.at(i).0)).collect();
    for tile in &plan.tiles {
        let columns = plan.weight_columns;
        size("the number of outputs of a matrix", tile.outputs.into(), MAX_ITEMS)?;
        if columns == 0 || tile.inputs == 0 || tile.outputs == 0 {
            return Err(CheckError::Row { row: tile.row, reason: "a matrix without columns or entries" });
        }
        let parts = tile.outputs.div_ceil(columns);
        spare_columns(&a, tile, columns, &claimed)?;
        for i in 0..tile.inputs {
            for part in 0..parts {
                let row = tile.row as u64 + i as u64 * parts as u64 + part as u64;
                let row = u32::try_from(row).unwrap_or(u32::MAX);
                claim(row, "a matrix overlaps another or has no operand there")?;
                let first = a.of((row - part) as usize).iter();
                let shifted = first.map(|&((rho, eta), slot, coef)| ((rho + part * columns, eta), slot, coef));
                if !shifted.eq(a.of(row as usize).iter().copied()) {
                    return Err(CheckError::Row { row, reason: "the operand does not continue its input" });
                }
            }
        }
    }
    let tokens = plan.geometry.tokens;
    // Rows that a functional shares among its entries.
    let mut shared = vec![false; a.ends.len()];
    for functional in &plan.functionals {
        for entry in &functional.entries {
            size("an exponent of a functional", entry.rho.into(), MAX_ITEMS)?;
            if !matches!(plan.slot_kind(entry.slot), Some(SlotKind::Lane(..))) {
                return Err(CheckError::Row { row: entry.row, reason: "a functional reads a slot of no lane" });
            }
            match functional.kind {
                TokenWeight::Eta => claim(entry.row, "a functional overlaps another product")?,
                TokenWeight::Row => {
                    for row in (0..tokens).map(|t| entry.row.saturating_add(t)) {
                        if shared.get(row as usize) != Some(&true) {
                            claim(row, "a functional overlaps another product")?;
                            shared[row as usize] = true;
                        }
                    }
                }
            }
        }
    }
    if !plan.right_operands.is_empty() && plan.geometry.compressed() {
        return Err(CheckError::Row { row: 0, reason: "products of two compressed slots are no products of cells" });
    }
    let rights = plan.right_operands.iter().flat_map(|o| (0..o.count).map(|i| product_row(o, i)));
    for row in rights.collect::<BTreeSet<usize>>() {
        claim(row as u32, "a right operand overlaps another product")?;
    }
    distinct_values(plan)?;
    match (0..used.len()).find(|&row| !used[row] && !a.of(row).is_empty()) {
        Some(row) => {
            Err(CheckError::Row { row: row as u32, reason: "an operand meets neither matrix nor right operand" })
        }
        None => Ok(()),
    }
}

/// A matrix has operands, and no claim has an exponent that only spare weight columns reach: what stands in them cannot
/// add to an output. Where a matrix serves several positions, each has an exponent for its first output. A matrix of one
/// column may be a diagonal, whose outputs have exponents next to each other: beside it stand zeros (protocol.md, section 3).
fn spare_columns(a: &RowTerms, tile: &WeightTile, columns: u32, claimed: &BTreeSet<u32>) -> Result<(), CheckError> {
    let parts = tile.outputs.div_ceil(columns);
    let mut empty = true;
    for row in (tile.row as usize..a.ends.len()).step_by(parts as usize).take(tile.inputs as usize) {
        for &((first, _), ..) in a.of(row) {
            empty = false;
            if tile.outputs > 1 && claimed.range(first + tile.outputs..first + parts * columns).next().is_some() {
                let reason = "a claim has the exponent of a spare weight column";
                return Err(CheckError::Row { row: row as u32, reason });
            }
        }
    }
    if empty { Err(CheckError::Row { row: tile.row, reason: "a matrix has no operand" }) } else { Ok(()) }
}

/// Entries of [`TokenWeight::Row`] that share rows have different exponents of rho and the same first row.
fn distinct_values(plan: &Plan) -> Result<(), CheckError> {
    let functionals = plan.functionals.iter().filter(|f| f.kind == TokenWeight::Row);
    let mut entries: Vec<(u32, u32)> = functionals.flat_map(|f| &f.entries).map(|e| (e.row, e.rho)).collect();
    entries.sort_unstable();
    for pair in entries.windows(2) {
        let ((row, rho), next) = (pair[0], pair[1]);
        if (row, rho) == next {
            return Err(CheckError::Row { row, reason: "two features of a functional share an exponent" });
        }
        if row != next.0 && next.0 - row < plan.geometry.tokens {
            return Err(CheckError::Row { row: next.0, reason: "blocks of a functional overlap" });
        }
    }
    Ok(())
}

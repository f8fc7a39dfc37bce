//! The prover's reading of lanes under challenges: compressed slots, B, folds.

use crate::{
    cell::Cell,
    challenges::Challenges,
    field::{Fr, powers},
    witness::LaneColumn,
};
use ff::Field;
use nanozk_plan::{Plan, TokenWeight};
use rayon::prelude::*;

/// V for all lane slots: `sum_t theta^(T-1-t) cell(s, t)`.
pub fn compressed_slots<C: Cell>(plan: &Plan, lanes: &[LaneColumn<C>], ch: &Challenges) -> Vec<Fr> {
    let tokens = plan.geometry.tokens as usize;
    let mut weights = powers(ch.theta, tokens);
    weights.reverse();
    let dot = |cells: &[C]| -> Fr {
        cells.iter().zip(&weights).filter(|(c, _)| !c.is(0)).map(|(c, w)| c.to_field() * w).sum()
    };
    lanes.par_iter().flat_map_iter(|lane| lane.data.chunks(tokens).map(dot)).collect()
}

/// B by its definition from the cells of the functionals' slots.
pub fn functional_values<C: Cell>(plan: &Plan, lanes: &[LaneColumn<C>], ch: &Challenges) -> Vec<Fr> {
    let g = &plan.geometry;
    let mut out = vec![Fr::ZERO; plan.operand_rows() as usize];
    let mut eta = powers(ch.eta, g.tokens as usize);
    eta.reverse();
    for functional in &plan.functionals {
        for entry in &functional.entries {
            let cells = &lanes[(entry.slot / g.groups) as usize].data[g.row(entry.slot, 0)..][..g.tokens as usize];
            let rho = ch.monomial(entry.rho as i64, 0);
            for (t, cell) in cells.iter().enumerate() {
                match functional.kind {
                    TokenWeight::Eta => out[entry.row as usize] += cell.to_field() * eta[t],
                    TokenWeight::Row => out[entry.row as usize + t] += cell.to_field() * rho,
                }
            }
        }
    }
    out
}

/// `sum_l factors[l] lanes[l]` over the usable rows.
pub fn fold_lanes<C: Cell>(plan: &Plan, lanes: &[LaneColumn<C>], factors: &[Fr]) -> Vec<Fr> {
    let mut out = vec![Fr::ZERO; plan.geometry.usable()];
    let rows = plan.geometry.rows();
    out[..rows].par_chunks_mut(512).enumerate().for_each(|(chunk, cells)| {
        for (i, cell) in cells.iter_mut().enumerate() {
            let row = chunk * 512 + i;
            *cell = lanes
                .iter()
                .zip(factors)
                .filter(|(lane, _)| !lane.data[row].is(0))
                .map(|(lane, f)| lane.data[row].to_field() * f)
                .sum();
        }
    });
    for (i, cell) in out[plan.geometry.mask_rows()].iter_mut().enumerate() {
        *cell = lanes.iter().zip(factors).map(|(lane, f)| lane.mask[i] * f).sum();
    }
    out
}

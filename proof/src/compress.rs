//! The prover's reading of lanes under challenges: compressed slots, B, folds, accumulators.

use crate::{
    cell::Cell,
    challenges::{Challenges, Lambda},
    field::{Fr, powers},
    layer::{self, Multiplier},
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

/// The multiplier columns over the data rows.
pub fn multipliers(plan: &Plan, ch: &Challenges, lambda: &Lambda) -> Vec<Vec<Fr>> {
    let column = |m: &Multiplier| {
        let mut out = vec![Fr::ZERO; plan.geometry.rows()];
        for (exponents, runs) in &m.classes {
            let factor = lambda.multiplier(ch, *exponents, m.compression);
            runs.iter().for_each(|run| out[run.start as usize..run.end as usize].fill(factor));
        }
        out
    };
    layer::multipliers(plan).iter().map(column).collect()
}

/// The accumulator columns over rows `0..=rows`: `z[r+1] = M[r] (z[r] + source[r])`.
pub fn accumulators<C: Cell>(
    plan: &Plan,
    lanes: &[LaneColumn<C>],
    fold: Option<&[Fr]>,
    multipliers: &[Vec<Fr>],
) -> Vec<Vec<Fr>> {
    let g = &plan.geometry;
    let rows = g.rows();
    let compressed = usize::from(g.compressed());
    let column = |(i, multiplier): (usize, &Vec<Fr>)| {
        let source: Vec<Fr> = match (fold, i.checked_sub(compressed)) {
            (Some(fold), None) => fold[..rows].to_vec(),
            (_, functional) => {
                let mut source = vec![Fr::ZERO; rows];
                for entry in functional.iter().flat_map(|f| &plan.functionals[*f].entries) {
                    let start = g.row(entry.slot, 0);
                    let cells = &lanes[(entry.slot / g.groups) as usize].data[start..][..g.tokens as usize];
                    source[start..].iter_mut().zip(cells).for_each(|(s, c)| *s = c.to_field());
                }
                source
            }
        };
        let mut z = vec![Fr::ZERO; rows + 1];
        for row in 0..rows {
            z[row + 1] = multiplier[row] * (z[row] + source[row]);
        }
        z
    };
    multipliers.par_iter().enumerate().map(column).collect()
}

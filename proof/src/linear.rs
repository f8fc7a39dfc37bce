//! All linear equations of a layer as one inner product.
//!
//! With every equation `E_e` weighted by its own power of lambda, the sum over all equations is
//! `sum_s omega_v[s] V[s] + sum_r omega_a[r] A[r] + sum_r omega_b[r] B[r] + sum_r A[r] (W[r] + B[r]) + accumulators`,
//! and the omegas depend on the plan and the challenges only. Exponents:
//!
//! | exponent | equation |
//! |---|---|
//! | 0 | the bilinear identity: `sum A (W + B) - sum claims = 0` |
//! | 1 + s | `compress(cells of s) - V[s] = 0` (only when slots are compressed) |
//! | base_b + r | `functionals(cells) - B[r] = 0` |
//! | base_a + r | `A[r] - operands = 0`, on every data row: where no operand stands, A is 0 |
//! | base_r + i | relation equation i |

use crate::{
    challenges::{Challenges, Lambda},
    field::{Fr, int, powers},
};
use ff::Field;
use nanozk_plan::{Plan, Term};

/// Exponents of lambda at which the kinds of equations start.
#[derive(Clone, Copy, Debug)]
pub struct Bases {
    /// First compression equation.
    pub v: i64,
    /// First functional equation.
    pub b: i64,
    /// First operand equation.
    pub a: i64,
    /// First relation equation.
    pub relations: i64,
    /// One past the last exponent.
    pub end: i64,
}

impl Bases {
    /// The exponent layout of a plan.
    pub fn new(plan: &Plan) -> Self {
        let v = 1;
        let b = v + if plan.geometry.compressed() { plan.lane_slots() as i64 } else { 0 };
        let a = b + plan.operand_rows() as i64;
        // A is pinned on all data rows: with A free beyond the operands, A B there would make up for any wrong product.
        let relations = a + plan.geometry.rows() as i64;
        Bases { v, b, a, relations, end: relations + plan.equations() as i64 }
    }
}

/// Coefficients of the inner product.
#[derive(Clone, Debug)]
pub struct Omega {
    /// Per lane slot.
    pub v: Vec<Fr>,
    /// Per data row of A.
    pub a: Vec<Fr>,
    /// Per row of B.
    pub b: Vec<Fr>,
    /// What the public slots contribute.
    pub constant: Fr,
}

/// Adds `weights[i] * coef` at the slots of each term's repetitions. `None` if a slot is out of range.
fn scatter(terms: &[Term], weights: &[Fr], out: &mut [Fr]) -> Option<()> {
    for term in terms {
        let coef = int(term.coef);
        let mut slot = term.slot as i64;
        for w in weights {
            let cell = out.get_mut(usize::try_from(slot).ok()?)?;
            match term.coef {
                1 => *cell += w,
                -1 => *cell -= w,
                _ => *cell += coef * w,
            }
            slot += term.stride as i64;
        }
    }
    Some(())
}

/// The coefficients for given challenges; `publics` are the public slots' values. `None` for a plan whose indices do
/// not fit (never for a checked plan).
pub fn omega(plan: &Plan, ch: &Challenges, lambda: &Lambda, publics: &[Fr]) -> Option<Omega> {
    let bases = Bases::new(plan);
    let lane_slots = plan.lane_slots() as usize;
    let rows = plan.operand_rows() as usize;
    let lambdas = powers(lambda.value, bases.end as usize);
    let mut all = vec![Fr::ZERO; lane_slots + publics.len()];
    if plan.geometry.compressed() {
        for (cell, l) in all[..lane_slots].iter_mut().zip(&lambdas[bases.v as usize..]) {
            *cell -= l;
        }
    }
    for claim in &plan.claims {
        let weights: Vec<Fr> = ch.monomials(&claim.monomial, claim.count).iter().map(|w| -*w).collect();
        scatter(&claim.terms, &weights, &mut all)?;
    }
    for operand in &plan.operands {
        let mut weights = ch.monomials(&operand.monomial, operand.count);
        for (i, w) in weights.iter_mut().enumerate() {
            let row = operand.row as usize + i * operand.row_stride as usize;
            *w *= -*lambdas.get(bases.a as usize + row)?;
        }
        scatter(&operand.terms, &weights, &mut all)?;
    }
    let mut next = bases.relations as usize;
    for relation in &plan.relations {
        let end = next.checked_add(relation.count as usize)?;
        scatter(&relation.terms, lambdas.get(next..end)?, &mut all)?;
        next = end;
    }
    let constant = all[lane_slots..].iter().zip(publics).map(|(w, p)| *w * p).sum();
    all.truncate(lane_slots);
    let a = lambdas[bases.a as usize..][..plan.geometry.rows()].to_vec();
    let b = lambdas[bases.b as usize..][..rows].iter().map(|l| -*l).collect();
    Some(Omega { v: all, a, b, constant })
}

/// The column A for compressed slots `v` (lane slots, then public slots).
pub fn operand_values(plan: &Plan, ch: &Challenges, v: &[Fr]) -> Vec<Fr> {
    let mut out = vec![Fr::ZERO; plan.operand_rows() as usize];
    for operand in &plan.operands {
        for (i, w) in ch.monomials(&operand.monomial, operand.count).iter().enumerate() {
            let sum: Fr = operand.terms.iter().map(|t| int(t.coef) * v[at(t, i)]).sum();
            out[operand.row as usize + i * operand.row_stride as usize] += *w * sum;
        }
    }
    out
}

/// Slot of repetition `i`.
fn at(term: &Term, i: usize) -> usize {
    (term.slot as i64 + i as i64 * term.stride as i64) as usize
}

//! All linear equations of a layer as one inner product.
//!
//! With every equation `E_e` weighted by its own power of lambda, the sum over all equations is
//! `sum_s omega_v[s] V[s] + sum_r omega_c[r] fold[r] + sum_lr omega_f[l][r] lane_l[r] + sum_r omega_a[r] A[r] + sum_r omega_b[r] B[r]`
//! and `sum_r A[r] (W[r] + B[r])` and a constant, where the omegas depend on the plan and the challenges only. Omega_C
//! compresses the fold of all lanes, Omega_F are what functionals read of a lane. Exponents:
//!
//! | exponent | equation |
//! |---|---|
//! | 0 | the bilinear identity: `sum A (W + B) - sum claims = 0` |
//! | 1 + s | `compress(cells of s) - V[s] = 0` (only when slots are compressed) |
//! | base_b + r | `functionals(cells) + right operands - B[r] = 0` |
//! | base_a + r | `A[r] - operands = 0`, on every data row: where no operand stands, A is 0 |
//! | base_r + i | relation equation i |

use crate::{
    challenges::{Challenges, Lambda},
    field::{Fr, int, powers, series},
};
use ff::Field;
use nanozk_plan::functional::{Exponents, SlotWeights, compression_weights, functional_weights};
use nanozk_plan::{Claim, Operand, Plan, Term};
use std::collections::{HashMap, hash_map::Entry};
use std::ops::Range;

/// Exponents of lambda at which the kinds of equations start.
#[derive(Clone, Copy, Debug)]
pub struct Bases {
    /// First compression equation.
    pub v: i64,
    /// First equation of B.
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
    /// Per data row of the fold of all lanes, where slots are compressed.
    pub compression: Option<Series>,
    /// Per data row of each lane that functionals read: the sum of these, by lane, ascending.
    pub functionals: Vec<Vec<Series>>,
    /// Per data row of A.
    pub a: Series,
    /// Per row of B.
    pub b: Series,
    /// What the public slots contribute.
    pub constant: Fr,
}

/// A column that holds powers of challenges on some rows, slot by slot, and 0 elsewhere.
#[derive(Clone, Debug)]
pub struct Series {
    /// Rows that are not 0.
    pub rows: Range<usize>,
    /// Value of the first of them.
    pub first: Fr,
    /// Quotient of neighbours in a slot.
    pub step: Fr,
    /// Quotient of the first row of a slot and the last of the one before.
    pub jump: Fr,
    /// Rows of a slot.
    pub slot: usize,
}

impl Series {
    /// `first, first ratio, first ratio^2, ...` on these rows.
    pub fn geometric(rows: Range<usize>, first: Fr, ratio: Fr) -> Self {
        Series { rows, first, step: ratio, jump: ratio, slot: 1 }
    }

    /// The weights of slots.
    fn of_slots(plan: &Plan, weights: &SlotWeights, value: impl Fn(Exponents) -> Fr) -> Self {
        let (slot, start) = (plan.geometry.tokens as usize, plan.geometry.row(weights.group, 0));
        let rows = start..start + slot * weights.slots as usize;
        Series { rows, first: value(weights.first), step: value(weights.step), jump: value(weights.jump), slot }
    }

    /// Its values on some of its rows.
    pub fn values(&self, rows: Range<usize>) -> Vec<Fr> {
        let before = rows.start - self.rows.start;
        let slots = before / self.slot;
        let powers = [(self.step, before - slots), (self.jump, slots)];
        let mut value = powers.iter().fold(self.first, |value, (base, n)| value * base.pow_vartime([*n as u64]));
        let mut out = Vec::with_capacity(rows.len());
        for next in rows.map(|row| row + 1 - self.rows.start) {
            out.push(value);
            value *= if next.is_multiple_of(self.slot) { self.jump } else { self.step };
        }
        out
    }

    /// By what its value changes in `n` rows, for each row of a slot.
    pub fn strides(&self, n: usize) -> Vec<Fr> {
        let (steps, jumps) = (powers(self.step, n + 1), powers(self.jump, n + 1));
        (0..self.slot).map(|row| (row + n) / self.slot).map(|jumped| steps[n - jumped] * jumps[jumped]).collect()
    }

    /// The column that is the sum of several, up to its last row that is not 0.
    pub fn column(parts: &[Series]) -> Vec<Fr> {
        let rows = parts.iter().map(|part| part.rows.end).max().unwrap_or(0);
        let mut out = vec![Fr::ZERO; rows];
        for part in parts {
            out[part.rows.clone()].iter_mut().zip(part.values(part.rows.clone())).for_each(|(cell, v)| *cell += v);
        }
        out
    }
}

/// Factors of a block for which the scaled weights are kept; others are scaled anew for each term.
const MOST_SCALED: usize = 16;

/// Adds `first * ratio^i * coef` at the slots of each term's `count` repetitions. `None` if a slot is out of range.
fn scatter(terms: &[Term], first: Fr, ratio: Fr, count: u32, out: &mut [Fr]) -> Option<()> {
    let weights = |factor: u64| (factor, series(first * Fr::from(factor), ratio, count as usize));
    let mut scaled: Vec<(u64, Vec<Fr>)> = Vec::new();
    for term in terms {
        let factor = term.coef.unsigned_abs();
        let known = scaled.iter().position(|known| known.0 == factor).unwrap_or_else(|| {
            scaled.truncate(MOST_SCALED - 1);
            scaled.push(weights(factor));
            scaled.len() - 1
        });
        let weights = &scaled[known].1;
        let mut slot = term.slot as i64;
        for w in weights {
            let cell = out.get_mut(usize::try_from(slot).ok()?)?;
            if term.coef < 0 {
                *cell -= w
            } else {
                *cell += w
            }
            slot += term.stride as i64;
        }
    }
    Some(())
}

/// Subtracts the claims by slot. `None` if a slot is out of range.
pub(crate) fn subtract_claims(claims: &[Claim], ch: &Challenges, out: &mut [Fr]) -> Option<()> {
    claims.iter().try_for_each(|claim| {
        let ratio = ch.monomial(claim.monomial.rho.1.into(), claim.monomial.eta.1.into());
        let (rho, eta) = claim.monomial.at(0);
        scatter(&claim.terms, -ch.monomial(rho.into(), eta.into()), ratio, claim.count, out)
    })
}

/// Operands that differ in their first rows and exponents only, as the parts of a matrix do: their weights are series of
/// one ratio, so that the series of the sums serves all.
struct MergedOperand<'p> {
    operand: &'p Operand,
    first: Fr,
}

/// The operands of a column whose equations start at exponent `base`, with `lambda^(base + row) * monomial` of their first
/// repetition.
fn merged<'p>(operands: &'p [Operand], base: i64, ch: &Challenges, lambda: &Lambda) -> Vec<MergedOperand<'p>> {
    let key = |o: &'p Operand| (o.count, o.row_stride, o.monomial.rho.1, o.monomial.eta.1, &o.terms);
    let mut index: HashMap<_, usize> = HashMap::new();
    let mut out: Vec<MergedOperand> = Vec::new();
    for operand in operands {
        let (rho, eta) = operand.monomial.at(0);
        let first = lambda.pow(base + operand.row as i64) * ch.monomial(rho.into(), eta.into());
        match index.entry(key(operand)) {
            Entry::Occupied(at) => out[*at.get()].first += first,
            Entry::Vacant(at) => {
                at.insert(out.len());
                out.push(MergedOperand { operand, first });
            }
        }
    }
    out
}

/// The coefficients for given challenges; `publics` are the public slots' values. `None` for a plan whose indices do
/// not fit (never for a checked plan).
pub fn omega(plan: &Plan, ch: &Challenges, lambda: &Lambda, publics: &[Fr]) -> Option<Omega> {
    let bases = Bases::new(plan);
    let lane_slots = plan.lane_slots() as usize;
    let mut all = vec![Fr::ZERO; lane_slots + publics.len()];
    if plan.geometry.compressed() {
        for (cell, l) in all.iter_mut().zip(series(-lambda.pow(bases.v), lambda.value, lane_slots)) {
            *cell = l;
        }
    }
    subtract_claims(&plan.claims, ch, &mut all)?;
    // An equation of A is `A - operands`, one of B `right operands - B`.
    let left = merged(&plan.operands, bases.a, ch, lambda).into_iter().map(|m| MergedOperand { first: -m.first, ..m });
    for MergedOperand { operand, first } in left.chain(merged(&plan.right_operands, bases.b, ch, lambda)) {
        let step = ch.monomial(operand.monomial.rho.1.into(), operand.monomial.eta.1.into());
        let ratio = step * lambda.pow(operand.row_stride.into());
        scatter(&operand.terms, first, ratio, operand.count, &mut all)?;
    }
    let mut exponent = bases.relations;
    for relation in &plan.relations {
        scatter(&relation.terms, lambda.pow(exponent), lambda.value, relation.count, &mut all)?;
        exponent += i64::from(relation.count);
    }
    let constant = all[lane_slots..].iter().zip(publics).map(|(w, p)| *w * p).sum();
    all.truncate(lane_slots);
    let column = |first: Fr, rows: usize| Series::geometric(0..rows, first, lambda.value);
    let a = column(lambda.pow(bases.a), plan.geometry.rows());
    let b = column(-lambda.pow(bases.b), plan.operand_rows() as usize);
    let compression = plan.geometry.compressed().then(|| {
        let weights = compression_weights(&plan.geometry, bases.v);
        Series::of_slots(plan, &weights, |exponents| lambda.weight(ch, exponents, true))
    });
    let cells = |weights: &SlotWeights| Series::of_slots(plan, weights, |e| lambda.weight(ch, e, false));
    let lanes = functional_weights(plan, bases.b);
    let functionals = lanes.values().map(|weights| weights.iter().map(cells).collect()).collect();
    Some(Omega { v: all, compression, functionals, a, b, constant })
}

/// The column A for compressed slots `v` (lane slots, then public slots).
pub fn operand_values(plan: &Plan, ch: &Challenges, v: &[Fr]) -> Vec<Fr> {
    column(plan, &plan.operands, ch, v)
}

/// What the right operands give to the column B.
pub fn right_operand_values(plan: &Plan, ch: &Challenges, v: &[Fr]) -> Vec<Fr> {
    column(plan, &plan.right_operands, ch, v)
}

/// The sum of operands in each row.
fn column(plan: &Plan, operands: &[Operand], ch: &Challenges, v: &[Fr]) -> Vec<Fr> {
    let mut out = vec![Fr::ZERO; plan.operand_rows() as usize];
    for operand in operands {
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

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_plan::{Geometry, Lane, Monomial, Public, Relation};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn term(coef: i64, slot: u32, stride: i32) -> Term {
        Term { coef, slot, stride }
    }

    fn monomial(rho: (u32, i32), eta: (u32, i32)) -> Monomial {
        Monomial { rho, eta }
    }

    /// Two lanes of slots of four tokens and one public slot; the first two operands are parts of one matrix.
    fn plan() -> Plan {
        let geometry = Geometry::new(9, 4, 4).expect("fits");
        let operand = |row, row_stride, count, rho, terms| {
            let monomial = monomial((rho, 0), (3, 1));
            nanozk_plan::Operand { row, row_stride, count, monomial, terms }
        };
        let one = 2 * geometry.groups;
        Plan {
            geometry,
            lanes: (0..2).map(|i| Lane { name: i.to_string(), boundary: None }).collect(),
            publics: vec![Public::One],
            relations: vec![
                Relation { count: 50, terms: vec![term(1, 0, 1), term(-1 << 15, 199, -2), term(9, one, 0)] },
                Relation { count: 2, terms: vec![term(-1, 7, 0), term(3, 8, 1)] },
            ],
            claims: vec![
                Claim { count: 40, monomial: monomial((2, 3), (50, -1)), terms: vec![term(-5, 60, 1), term(1, 3, 0)] },
                Claim { count: 1, monomial: monomial((0, 0), (0, 0)), terms: vec![term(7, 5, 0)] },
            ],
            operands: vec![
                operand(0, 2, 45, 1, vec![term(1, 100, 1), term(2, one, 0)]),
                operand(1, 2, 45, 5, vec![term(1, 100, 1), term(2, one, 0)]),
                operand(1, 2, 45, 9, vec![term(1, 101, 1), term(2, one, 0)]),
                operand(200, 1, 3, 0, vec![term(-4, 20, 2)]),
            ],
            right_operands: vec![
                operand(2, 3, 30, 4, vec![term(3, 40, 1), term(-1, one, 0)]),
                operand(200, 0, 3, 2, vec![term(1, 0, 5)]),
            ],
            ..Plan::default()
        }
    }

    /// Each equation by itself, with its own power of lambda.
    #[test]
    fn omega_is_the_sum_of_the_weighted_equations() {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let mut draw = || Fr::random(&mut rng);
        let plan = plan();
        let ch = Challenges::new(draw(), draw(), draw()).expect("not 0");
        let lambda = Lambda::new(draw()).expect("not 0");
        let public = draw();
        let omega = omega(&plan, &ch, &lambda, &[public]).expect("indices fit");

        let power = |exponent: u32| lambda.value.pow_vartime([u64::from(exponent)]);
        let factor = |m: &Monomial, i: u32| {
            let (rho, eta) = m.at(i);
            ch.rho.pow_vartime([u64::from(rho)]) * ch.eta.pow_vartime([u64::from(eta)])
        };
        let (slots, operand_rows, rows) = (plan.lane_slots(), plan.operand_rows(), plan.geometry.rows() as u32);
        let mut expected: Vec<Fr> = (0..slots).map(|s| -power(1 + s)).collect();
        expected.push(Fr::ZERO);
        let mut add = |terms: &[Term], i: u32, weight: Fr| {
            terms.iter().for_each(|t| expected[t.at(i) as usize] += int(t.coef) * weight);
        };
        for claim in &plan.claims {
            (0..claim.count).for_each(|i| add(&claim.terms, i, -factor(&claim.monomial, i)));
        }
        let (base_b, base_a) = (1 + slots, 1 + slots + operand_rows);
        for (operands, base, sign) in [(&plan.operands, base_a, -Fr::ONE), (&plan.right_operands, base_b, Fr::ONE)] {
            for operand in operands {
                for i in 0..operand.count {
                    let weight = power(base + operand.row + i * operand.row_stride);
                    add(&operand.terms, i, sign * weight * factor(&operand.monomial, i));
                }
            }
        }
        let mut exponent = base_a + rows;
        for relation in &plan.relations {
            for i in 0..relation.count {
                add(&relation.terms, i, power(exponent));
                exponent += 1;
            }
        }
        assert_eq!(omega.constant, expected.pop().expect("the public slot") * public);
        assert!(omega.v == expected, "Omega_V");
        assert!(Series::column(&[omega.a]) == (0..rows).map(|r| power(base_a + r)).collect::<Vec<Fr>>(), "Omega_A");
        assert!(
            Series::column(&[omega.b]) == (0..operand_rows).map(|r| -power(base_b + r)).collect::<Vec<Fr>>(),
            "Omega_B"
        );
        assert_eq!(Bases::new(&plan).end, i64::from(exponent));
    }
}

//! Joining single equations into strided blocks.

use nanozk_plan::{Claim, Monomial, Operand, Relation, SlotId, Term};

/// One summand of a placed equation.
pub type Placed = (SlotId, i64);

/// A growing strided block: repetition i of every field moves by a constant step.
struct Run {
    count: u32,
    coefs: Vec<i64>,
    first: Vec<i64>,
    step: Vec<i64>,
}

/// Joins consecutive items of equal factors whose slots and keys (exponents, rows) advance by constant steps; a key
/// marked `ascending` never steps back.
fn runs<const K: usize>(items: impl Iterator<Item = ([i64; K], Vec<Placed>)>, ascending: [bool; K]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for (keys, terms) in items {
        let coefs: Vec<i64> = terms.iter().map(|t| t.1).collect();
        let place: Vec<i64> = keys.iter().copied().chain(terms.iter().map(|t| t.0 as i64)).collect();
        if let Some(run) = out.last_mut().filter(|run| run.coefs == coefs) {
            let step: Vec<i64> = (0..place.len())
                .map(|i| place[i] - run.first[i] - if run.count > 1 { run.step[i] * (run.count as i64 - 1) } else { 0 })
                .collect();
            let allowed = (0..K).all(|i| !ascending[i] || step[i] >= 0);
            if allowed && (run.count == 1 || step == run.step) {
                run.step = step;
                run.count += 1;
                continue;
            }
        }
        out.push(Run { count: 1, coefs, step: vec![0; place.len()], first: place });
    }
    out
}

impl Run {
    fn terms(&self, keys: usize) -> Vec<Term> {
        (0..self.coefs.len())
            .map(|i| Term {
                coef: self.coefs[i],
                slot: self.first[keys + i] as SlotId,
                stride: self.step[keys + i] as i32,
            })
            .collect()
    }

    fn monomial(&self, at: usize) -> Monomial {
        Monomial {
            rho: (self.first[at] as u32, self.step[at] as i32),
            eta: (self.first[at + 1] as u32, self.step[at + 1] as i32),
        }
    }
}

/// Relations of single equations, in order.
pub fn relations(items: impl Iterator<Item = Vec<Placed>>) -> Vec<Relation> {
    runs(items.map(|terms| ([], terms)), [])
        .into_iter()
        .map(|run| Relation { count: run.count, terms: run.terms(0) })
        .collect()
}

/// Claims of `(rho, eta, terms)`.
pub fn claims(items: impl Iterator<Item = (u32, u32, Vec<Placed>)>) -> Vec<Claim> {
    runs(items.map(|(rho, eta, terms)| ([rho as i64, eta as i64], terms)), [false, false])
        .into_iter()
        .map(|run| Claim { count: run.count, monomial: run.monomial(0), terms: run.terms(2) })
        .collect()
}

/// Operands of `(row, (rho, eta), terms)`.
pub fn operands(items: impl Iterator<Item = (u32, (u32, u32), Vec<Placed>)>) -> Vec<Operand> {
    let keys = |row: u32, (rho, eta): (u32, u32)| [row as i64, rho as i64, eta as i64];
    runs(items.map(|(row, monomial, terms)| (keys(row, monomial), terms)), [true, false, false])
        .into_iter()
        .map(|run| Operand {
            row: run.first[0] as u32,
            row_stride: run.step[0] as u32,
            count: run.count,
            monomial: run.monomial(1),
            terms: run.terms(3),
        })
        .collect()
}

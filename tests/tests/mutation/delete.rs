//! Plans with one part less.

use crate::cells::Constraint;
use nanozk_plan::{Claim, Monomial, Operand, Plan, Relation, Term};

/// What is left out of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deletion {
    /// A gate.
    Gate(usize),
    /// A lookup.
    Lookup(usize),
    /// A block of linear equations.
    Relation(usize),
    /// One repetition of a relation.
    Equation(usize, u32),
    /// One repetition of a claim.
    Claim(usize, u32),
    /// One repetition of an operand.
    Operand(usize, u32),
    /// One repetition of a right operand.
    RightOperand(usize, u32),
    /// All weights of one matrix.
    Tile(usize),
    /// All entries of one functional.
    Functional(usize),
    /// One row of a functional.
    Entry(usize, usize),
}

impl Deletion {
    /// Everything that can be left out.
    pub fn all(plan: &Plan) -> Vec<Deletion> {
        let mut all: Vec<Deletion> = (0..plan.gates.len()).map(Deletion::Gate).collect();
        all.extend((0..plan.lookups.len()).map(Deletion::Lookup));
        all.extend((0..plan.relations.len()).map(Deletion::Relation));
        let many = plan.relations.iter().enumerate().filter(|(_, r)| r.count > 1);
        all.extend(many.flat_map(|(i, r)| (0..r.count).map(move |n| Deletion::Equation(i, n))));
        all.extend(plan.claims.iter().enumerate().flat_map(|(i, c)| (0..c.count).map(move |n| Deletion::Claim(i, n))));
        let operands = plan.operands.iter().enumerate();
        all.extend(operands.flat_map(|(i, o)| (0..o.count).map(move |n| Deletion::Operand(i, n))));
        let rights = plan.right_operands.iter().enumerate();
        all.extend(rights.flat_map(|(i, o)| (0..o.count).map(move |n| Deletion::RightOperand(i, n))));
        all.extend((0..plan.tiles.len()).map(Deletion::Tile));
        all.extend((0..plan.functionals.len()).map(Deletion::Functional));
        let functionals = plan.functionals.iter().enumerate();
        all.extend(functionals.flat_map(|(i, f)| (0..f.entries.len()).map(move |n| Deletion::Entry(i, n))));
        all
    }

    /// The part that holds a constraint; a monomial belongs to several.
    pub fn of(constraint: Constraint) -> Option<Deletion> {
        match constraint {
            Constraint::Gate(i) => Some(Deletion::Gate(i)),
            Constraint::Lookup(i) => Some(Deletion::Lookup(i)),
            Constraint::Relation(i, _) => Some(Deletion::Relation(i)),
            Constraint::Monomial(..) => None,
        }
    }

    /// Its sort, for counts.
    pub fn kind(self) -> &'static str {
        match self {
            Deletion::Gate(_) => "gates",
            Deletion::Lookup(_) => "lookups",
            Deletion::Relation(_) => "relations",
            Deletion::Equation(..) => "equations",
            Deletion::Claim(..) => "claims",
            Deletion::Operand(..) => "operands",
            Deletion::RightOperand(..) => "right operands",
            Deletion::Tile(_) => "tiles",
            Deletion::Functional(_) => "functionals",
            Deletion::Entry(..) => "functional rows",
        }
    }

    /// Whether it is one repetition, of which a plan has thousands.
    pub fn is_one_of_many(self) -> bool {
        !matches!(
            self,
            Deletion::Gate(_)
                | Deletion::Lookup(_)
                | Deletion::Relation(_)
                | Deletion::Tile(_)
                | Deletion::Functional(_)
        )
    }

    /// Whether it is a part of the bilinear identity.
    pub fn is_of_identity(self) -> bool {
        !matches!(self, Deletion::Gate(_) | Deletion::Lookup(_) | Deletion::Relation(_) | Deletion::Equation(..))
    }

    /// Whether the constraint is among what is left out.
    pub fn covers(self, constraint: Constraint) -> bool {
        match (self, constraint) {
            (Deletion::Gate(i), Constraint::Gate(j)) | (Deletion::Lookup(i), Constraint::Lookup(j)) => i == j,
            (Deletion::Relation(i), Constraint::Relation(j, _)) => i == j,
            (Deletion::Equation(i, n), Constraint::Relation(j, m)) => (i, n) == (j, m),
            _ => false,
        }
    }

    /// The plan without it.
    pub fn apply(self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        match self {
            Deletion::Gate(i) => drop(plan.gates.remove(i)),
            Deletion::Lookup(i) => drop(plan.lookups.remove(i)),
            Deletion::Relation(i) => drop(plan.relations.remove(i)),
            Deletion::Equation(i, n) => {
                let whole = plan.relations[i].clone();
                let part = |first, count| Relation { count, terms: terms(&whole.terms, first) };
                plan.relations.splice(i..=i, rest(n, whole.count).map(|(first, count)| part(first, count)));
            }
            Deletion::Claim(i, n) => {
                let whole = plan.claims[i].clone();
                let part = |first, count| {
                    let monomial = monomial(&whole.monomial, first);
                    Claim { count, monomial, terms: terms(&whole.terms, first) }
                };
                plan.claims.splice(i..=i, rest(n, whole.count).map(|(first, count)| part(first, count)));
            }
            Deletion::Operand(i, n) => without_repetition(&mut plan.operands, i, n),
            Deletion::RightOperand(i, n) => without_repetition(&mut plan.right_operands, i, n),
            Deletion::Tile(i) => drop(plan.tiles.remove(i)),
            Deletion::Functional(i) => drop(plan.functionals.remove(i)),
            Deletion::Entry(i, n) => drop(plan.functionals[i].entries.remove(n)),
        }
        plan
    }
}

/// Takes one repetition out of an operand.
fn without_repetition(operands: &mut Vec<Operand>, i: usize, n: u32) {
    let whole = operands[i].clone();
    let part = |(first, count)| Operand {
        row: whole.row + first * whole.row_stride,
        row_stride: whole.row_stride,
        count,
        monomial: monomial(&whole.monomial, first),
        terms: terms(&whole.terms, first),
    };
    operands.splice(i..=i, rest(n, whole.count).map(part));
}

/// The repetitions before and after the n-th, as first and count.
fn rest(n: u32, count: u32) -> impl Iterator<Item = (u32, u32)> {
    [(0, n), (n + 1, count - n - 1)].into_iter().filter(|part| part.1 > 0)
}

fn terms(terms: &[Term], first: u32) -> Vec<Term> {
    terms.iter().map(|t| Term { slot: t.at(first), ..*t }).collect()
}

fn monomial(whole: &Monomial, first: u32) -> Monomial {
    let (rho, eta) = whole.at(first);
    Monomial { rho: (rho, whole.rho.1), eta: (eta, whole.eta.1) }
}

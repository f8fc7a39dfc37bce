//! Sparse linear expressions over cells.

/// Index of a [`super::space::Space`].
pub type SpaceId = u32;

/// What an expression is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// Slot `index` of a space.
    Cell(SpaceId, u32),
    /// Slot `index` of a run of public slots.
    Public(u32, u32),
    /// Output `index` of a hidden product that has no cell of its own.
    Raw(u32, u32),
}

/// `sum coef * atom`, atoms ascending, no zero factor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expr {
    terms: Vec<(Atom, i128)>,
    /// Whether a factor has left 128 bits: the terms are not what the expression stands for, and no plan may hold them.
    overflow: bool,
}

impl Expr {
    /// One atom.
    pub fn atom(atom: Atom) -> Self {
        Expr::term(atom, 1)
    }

    /// `coef * atom`.
    pub fn term(atom: Atom, coef: i128) -> Self {
        Expr { terms: if coef == 0 { Vec::new() } else { vec![(atom, coef)] }, overflow: false }
    }

    /// `sum coef * atom`.
    pub fn atoms(terms: impl IntoIterator<Item = (Atom, i128)>) -> Self {
        let terms: Vec<Expr> = terms.into_iter().map(|(atom, coef)| Expr::term(atom, coef)).collect();
        Expr::sum(terms.iter().map(|term| (term, 1)))
    }

    /// `sum coef * part`.
    pub fn sum<'e>(parts: impl IntoIterator<Item = (&'e Expr, i128)>) -> Self {
        let parts = parts.into_iter();
        let mut out = Expr { terms: Vec::with_capacity(parts.size_hint().0), overflow: false };
        for (part, coef) in parts {
            out.overflow |= part.overflow;
            for &(atom, factor) in &part.terms {
                let (factor, overflow) = factor.overflowing_mul(coef);
                out.overflow |= overflow;
                out.terms.push((atom, factor));
            }
        }
        if !out.terms.is_sorted_by(|a, b| a.0 < b.0) {
            out.terms.sort_by_key(|term| term.0);
            let overflow = &mut out.overflow;
            out.terms.dedup_by(|next, sum| {
                let same = next.0 == sum.0;
                if same {
                    let (factor, wrapped) = sum.1.overflowing_add(next.1);
                    *overflow |= wrapped;
                    sum.1 = factor;
                }
                same
            });
        }
        out.terms.retain(|term| term.1 != 0);
        out
    }

    /// The summands.
    pub fn terms(&self) -> &[(Atom, i128)] {
        &self.terms
    }

    /// Number of summands.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether the terms are not what the expression stands for, for a factor of 128 bits does not hold it.
    pub fn overflows(&self) -> bool {
        self.overflow
    }

    /// `self + coef * other`.
    pub fn plus(&self, other: &Expr, coef: i128) -> Expr {
        Expr::sum([(self, 1), (other, coef)])
    }

    /// The summands whose atoms fulfil `keep`.
    pub fn only(&self, keep: impl Fn(Atom) -> bool) -> Expr {
        let terms = self.terms.iter().copied().filter(|term| keep(term.0)).collect();
        Expr { terms, overflow: self.overflow }
    }

    /// `coef * self`.
    pub fn scaled(&self, coef: i128) -> Expr {
        Expr::sum([(self, coef)])
    }

    /// The value of a sum of `coef * one` only: a constant. `None` when other atoms occur.
    pub fn constant(&self, one: Atom) -> Option<i128> {
        match self.terms.as_slice() {
            _ if self.overflow => None,
            [] => Some(0),
            [(atom, coef)] if *atom == one => Some(*coef),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Atom = Atom::Cell(0, 0);
    const Y: Atom = Atom::Cell(0, 1);

    #[test]
    fn sums_join_atoms() {
        let (x, y) = (Expr::atom(X), Expr::atom(Y));
        let sum = Expr::sum([(&y, 2), (&x, 3), (&y, -1), (&x, -3)]);
        assert_eq!(sum, y);
        assert_eq!(x.plus(&y, -4).terms(), [(X, 1), (Y, -4)]);
        assert_eq!(Expr::sum([]), Expr::default());
    }

    #[test]
    fn a_factor_that_overflowed_is_never_forgotten() {
        let great = Expr::term(X, i128::MAX);
        for wide in [great.plus(&great, 1), great.scaled(2), Expr::atom(X).scaled(i128::MIN).scaled(-1)] {
            assert!(wide.overflows());
            let cancelled = wide.plus(&great, -1).plus(&great, -1);
            assert!(cancelled.overflows() && cancelled.scaled(0).overflows() && cancelled.constant(X).is_none());
        }
        assert!(!great.plus(&great, -1).overflows());
    }
}

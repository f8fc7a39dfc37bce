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

/// `sum coef * atom`, atoms ascending, no zero factor. Factors saturate; the plan refuses what exceeds 64 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expr(Vec<(Atom, i128)>);

impl Expr {
    /// One atom.
    pub fn atom(atom: Atom) -> Self {
        Expr(vec![(atom, 1)])
    }

    /// `coef * atom`.
    pub fn term(atom: Atom, coef: i128) -> Self {
        Expr(if coef == 0 { Vec::new() } else { vec![(atom, coef)] })
    }

    /// The summands.
    pub fn terms(&self) -> &[(Atom, i128)] {
        &self.0
    }

    /// Number of summands.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// `self + coef * other`.
    pub fn plus(&self, other: &Expr, coef: i128) -> Expr {
        let mut out = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let next = match (a.peek(), b.peek()) {
                (None, None) => break,
                (Some(&&x), None) => {
                    a.next();
                    x
                }
                (None, Some(&&(atom, c))) => {
                    b.next();
                    (atom, c.saturating_mul(coef))
                }
                (Some(&&x), Some(&&y)) => match x.0.cmp(&y.0) {
                    std::cmp::Ordering::Less => {
                        a.next();
                        x
                    }
                    std::cmp::Ordering::Greater => {
                        b.next();
                        (y.0, y.1.saturating_mul(coef))
                    }
                    std::cmp::Ordering::Equal => {
                        a.next();
                        b.next();
                        (x.0, x.1.saturating_add(y.1.saturating_mul(coef)))
                    }
                },
            };
            if next.1 != 0 {
                out.push(next);
            }
        }
        Expr(out)
    }

    /// `coef * self`.
    pub fn scaled(&self, coef: i128) -> Expr {
        Expr::default().plus(self, coef)
    }

    /// The value of a sum of `coef * one` only: a constant. `None` when other atoms occur.
    pub fn constant(&self, one: Atom) -> Option<i128> {
        match self.0.as_slice() {
            [] => Some(0),
            [(atom, coef)] if *atom == one => Some(*coef),
            _ => None,
        }
    }
}

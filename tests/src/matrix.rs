//! Rank of sparse rows over the field.

use ff::Field;
use nanozk_proof::field::Fr;
use std::collections::{BTreeMap, HashMap};

/// A random cell that the prover draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Random {
    /// Row of a lane of a boundary tensor.
    Tensor(u32, u32, usize),
    /// Row of a private lane, by proof and lane.
    Lane(usize, u32, usize),
    /// Row of a weight column of a layer.
    Weight(u32, usize, usize),
    /// Row of V, A or B, by proof and column.
    Dense(usize, usize, usize),
    /// Row of an advice column, by proof and column.
    Advice(usize, usize, usize),
    /// Offset of the weight fold and the nonce of its proof, by proof and mask row.
    Delta(usize, usize),
    /// See `Delta`.
    Kappa(usize, usize),
    /// Coefficient of Halo2's random polynomial, by proof.
    Polynomial(usize, usize),
    /// What Halo2 moves between neighbouring pieces of the quotient, by proof.
    Piece(usize, usize),
}

/// A linear function of random cells.
pub type Functional = Vec<(Random, Fr)>;

/// `factor * f`.
pub fn scaled(f: Functional, factor: Fr) -> Functional {
    f.into_iter().map(|(cell, x)| (cell, x * factor)).collect()
}

/// Independent rows in echelon form.
#[derive(Default)]
pub struct Matrix {
    cells: HashMap<Random, usize>,
    /// By their first cell.
    rows: BTreeMap<usize, BTreeMap<usize, Fr>>,
}

impl Matrix {
    /// Adds a row; whether it is independent of the earlier ones.
    pub fn add(&mut self, row: Functional) -> bool {
        let mut rest: BTreeMap<usize, Fr> = BTreeMap::new();
        for (cell, x) in row {
            let next = self.cells.len();
            *rest.entry(*self.cells.entry(cell).or_insert(next)).or_insert(Fr::ZERO) += x;
        }
        while let Some((first, x)) = rest.pop_first() {
            if bool::from(x.is_zero()) {
                continue;
            }
            let Some(pivot) = self.rows.get(&first) else {
                let inverse = x.invert().unwrap();
                rest.values_mut().for_each(|y| *y *= inverse);
                rest.insert(first, Fr::ONE);
                self.rows.insert(first, rest);
                return true;
            };
            for (cell, y) in pivot.range(first + 1..) {
                *rest.entry(*cell).or_insert(Fr::ZERO) -= x * y;
            }
        }
        false
    }
}

//! What stands in a cell of a lane.

use crate::{
    field::{Fr, G1, Mask, int},
    msm::to_signed,
    pcs::ProverBases,
};

/// The value of a cell. Honest cells are small integers; a cheating prover may put any field element there.
pub trait Cell: Copy + Send + Sync {
    /// The value in the field.
    fn to_field(self) -> Fr;

    /// Whether it is this integer.
    fn is(self, value: i64) -> bool;

    /// The value as the key of a table.
    fn key(self) -> Option<usize>;

    /// Commits to a column of leading data rows, with masks in the rows from `masked` on.
    fn commit(bases: &ProverBases, data: &[Self], masked: usize, mask: &Mask) -> G1;
}

impl Cell for i64 {
    fn to_field(self) -> Fr {
        int(self)
    }

    fn is(self, value: i64) -> bool {
        self == value
    }

    fn key(self) -> Option<usize> {
        usize::try_from(self).ok()
    }

    fn commit(bases: &ProverBases, data: &[Self], masked: usize, mask: &Mask) -> G1 {
        bases.commit_masked(data, masked, mask)
    }
}

impl Cell for Fr {
    fn to_field(self) -> Fr {
        self
    }

    fn is(self, value: i64) -> bool {
        self == int(value)
    }

    fn key(self) -> Option<usize> {
        to_signed(&self)?.key()
    }

    fn commit(bases: &ProverBases, data: &[Self], masked: usize, mask: &Mask) -> G1 {
        let mut column = data.to_vec();
        column.resize(masked, Fr::from(0));
        column.extend(mask);
        bases.commit(&column)
    }
}

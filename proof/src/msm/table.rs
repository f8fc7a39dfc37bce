//! Products with bases that are used many times.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use group::Group;
use rayon::prelude::*;

use super::digits::{Scalars, longest, window_for_table};
use super::{buckets, to_affine};
use crate::field::{Fr, G1, G1Affine};

/// Full-size products before a table is made: about when it has paid for its making.
const PAYS_AFTER: usize = 8;
/// Largest table, in bytes.
const MAX_BYTES: usize = 1 << 28;

/// Bases for many products. After a few full-size products a table of their multiples by powers of `2^window` is made,
/// so that all digits of a scalar share one set of buckets.
#[derive(Debug)]
pub struct FixedBases {
    points: Arc<[G1Affine]>,
    products: AtomicUsize,
    table: OnceLock<Table>,
}

/// Row `r` of `multiples`, as long as there are bases, holds the bases times `2^(window r)`.
#[derive(Debug)]
struct Table {
    window: usize,
    multiples: Vec<G1Affine>,
}

impl FixedBases {
    /// Bases without a table.
    pub fn new(points: Arc<[G1Affine]>) -> Self {
        FixedBases { points, products: AtomicUsize::new(0), table: OnceLock::new() }
    }

    /// The bases.
    pub fn points(&self) -> &[G1Affine] {
        &self.points
    }

    /// [`super::dense`] with these bases.
    pub fn dense(&self, scalars: &[Fr]) -> G1 {
        self.product(Scalars::Full(&scalars[..scalars.len().min(self.points.len())]))
    }

    /// [`super::small`] with these bases.
    pub fn small(&self, values: &[i64]) -> G1 {
        self.product(Scalars::Small(&values[..values.len().min(self.points.len())]))
    }

    fn product(&self, scalars: Scalars) -> G1 {
        let histogram = scalars.histogram();
        let used: usize = histogram[1..].iter().sum();
        if used * 4 < self.points.len() {
            return super::product(&self.points, scalars);
        }
        if let Scalars::Full(_) = scalars
            && self.products.fetch_add(1, Ordering::Relaxed) == PAYS_AFTER
        {
            // Made outside of `OnceLock::get_or_init`: a waiting rayon worker could run a task that asks for the table.
            if let Some(table) = Table::new(&self.points) {
                let _ = self.table.set(table);
            }
        }
        match self.table.get() {
            Some(table) => {
                let digits = scalars.digits(table.window, self.points.len(), longest(&histogram));
                buckets::product(&table.multiples, &digits.digits)
            }
            None => super::product(&self.points, scalars),
        }
    }
}

impl Table {
    /// The table for `points`, unless it is above the size limit.
    fn new(points: &[G1Affine]) -> Option<Self> {
        let (window, rows) = window_for_table(points.len());
        if rows * size_of_val(points) > MAX_BYTES {
            return None;
        }
        let mut multiples = Vec::with_capacity(rows * points.len());
        multiples.extend_from_slice(points);
        let mut row: Vec<G1> = points.iter().map(G1::from).collect();
        for _ in 1..rows {
            row.par_iter_mut().for_each(|point| (0..window).for_each(|_| *point = point.double()));
            multiples.extend(to_affine(&row));
        }
        Some(Table { window, multiples })
    }
}

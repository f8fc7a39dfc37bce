//! Values of public columns at a point outside the rows.

use std::{iter::successors, ops::Range};

use ff::Field;
use rayon::prelude::*;

use crate::block::{self, Block, LANES};
use crate::field::{Fr, batch_invert, series};
use crate::srs::root_of_unity;

/// Blocks that one task sums.
const TASK_BLOCKS: usize = 512;
/// Least `k`.
const MIN_K: u32 = 4;

/// `l_r(x) / l_0(x)` for all rows r, where l_r is the Lagrange polynomial of row r: the weights with which the rows of a
/// column add up to its value at x, in multiples of `l_0(x)`.
#[derive(Debug)]
pub(crate) struct LagrangeRatios {
    blocks: Vec<Block>,
}

impl LagrangeRatios {
    /// For the domain of `2^k` rows. `None` when x is a row, or for fewer rows than a circuit has.
    ///
    /// With `w = omega^r`, the ratio is `w (x - 1) / (x - w)`, and rows r and `r + n/2` share an inverse:
    /// `1 / (x - w) = (x + w) / (x^2 - w^2)`, whose denominators are those of half the domain at x^2. So all but
    /// eight inverses are products, and none depends on its neighbour.
    pub(crate) fn new(k: u32, x: Fr) -> Option<Self> {
        let levels = k.checked_sub(LANES.ilog2()).filter(|_| k >= MIN_K)? as usize;
        let points: Vec<(Fr, Fr)> =
            successors(Some((x, root_of_unity(k))), |(x, w)| Some((x.square(), w.square()))).take(levels + 1).collect();
        let (top, root) = points[levels];
        let mut inverses: Vec<Fr> = series(Fr::ONE, root, LANES).iter().map(|w| top - w).collect();
        if inverses.iter().any(Fr::is_zero_vartime) {
            return None;
        }
        batch_invert(&mut inverses);
        let mut blocks = block::enter(&inverses);
        for (x, w) in points[1..levels].iter().rev() {
            blocks = split(&blocks, [(Fr::ONE, *w), (*x, Fr::ONE)]);
        }
        let (scale, w) = (x - Fr::ONE, points[0].1);
        Some(LagrangeRatios { blocks: split(&blocks, [(scale * x, w), (scale, w.square())]) })
    }

    /// The value of a column given by its leading rows, 0 on the others.
    pub(crate) fn column(&self, values: &[Fr]) -> Fr {
        let tasks = values.par_chunks(TASK_BLOCKS * LANES).zip(self.blocks.par_chunks(TASK_BLOCKS));
        tasks.map(|(values, weights)| block::dot(&block::enter(values), weights)).sum()
    }

    /// The value of the column that holds `first, first ratio, first ratio^2, ...` on `rows` and 0 elsewhere.
    pub(crate) fn series(&self, first: Fr, ratio: Fr, rows: Range<usize>) -> Fr {
        let from = rows.start.next_multiple_of(LANES).min(rows.end);
        let to = from.max(rows.end / LANES * LANES);
        let at = |row: usize| first * ratio.pow_vartime([(row - rows.start) as u64]);
        let edge = |part: Range<usize>| {
            let mut lanes = vec![Fr::ZERO; part.start % LANES];
            lanes.extend(series(at(part.start), ratio, part.len()));
            block::dot(&block::enter(&lanes), &self.blocks[part.start / LANES..])
        };
        let task = |(i, weights): (usize, &[Block])| {
            let first = at(from + i * TASK_BLOCKS * LANES);
            let (lanes, step) = block::lanes(first, ratio);
            block::dot_progression(&lanes, &step, weights)
        };
        let inner: Fr = self.blocks[from / LANES..to / LANES].par_chunks(TASK_BLOCKS).enumerate().map(task).sum();
        edge(rows.start..from) + inner + edge(to..rows.end)
    }
}

/// [`block::split`] of two series, each given by its first element and its ratio.
fn split(halves: &[Block], parts: [(Fr, Fr); 2]) -> Vec<Block> {
    let [odd, even] = parts.map(|(first, ratio)| block::lanes(first, ratio));
    block::split(halves, &odd.0, &odd.1, &even.0, &even.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn ratios_are_those_of_the_definition() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        for k in [MIN_K, 5, 9, 13] {
            let (n, x) = (1usize << k, Fr::random(&mut rng));
            let ratios = LagrangeRatios::new(k, x).expect("x is no row");
            let roots = series(Fr::ONE, root_of_unity(k), n);
            let ratio = |w: &Fr| *w * (x - Fr::ONE) * (x - w).invert().expect("x is no row");
            let expected: Vec<Fr> = roots.iter().map(ratio).collect();
            assert_eq!(block::leave(&ratios.blocks), expected, "k = {k}");
            let sum = |values: &[Fr], rows: Range<usize>| -> Fr {
                values.iter().zip(&expected[rows]).map(|(v, l)| *v * l).sum()
            };
            let column: Vec<Fr> = (0..n - 3).map(|_| Fr::random(&mut rng)).collect();
            assert_eq!(ratios.column(&column), sum(&column, 0..n), "k = {k}");
            let (first, ratio) = (Fr::random(&mut rng), Fr::random(&mut rng));
            for rows in [0..n, 0..0, 3..5, 3..n - 2, 8..n, 5..8, n - 1..n] {
                let values = series(first, ratio, rows.len());
                assert_eq!(ratios.series(first, ratio, rows.clone()), sum(&values, rows.clone()), "k = {k}, {rows:?}");
            }
        }
    }

    #[test]
    fn rows_have_no_ratios() {
        for row in [0, 1, 17, 511] {
            assert!(LagrangeRatios::new(9, root_of_unity(9).pow_vartime([row])).is_none(), "row {row}");
        }
    }
}

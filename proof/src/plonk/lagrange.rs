//! Values of public columns at a point outside the rows.

use std::{iter::successors, ops::Range};

use ff::Field;
use rayon::prelude::*;

use crate::block::{self, Block, LANES};
use crate::field::{Fr, batch_invert, series};
use crate::linear::Series;
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
    prefixes: Vec<Block>,
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
        let blocks = split(&blocks, [(scale * x, w), (scale, w.square())]);
        Some(LagrangeRatios { prefixes: block::prefixes(&blocks), blocks })
    }

    /// The value of a column given by its leading rows, 0 on the others.
    pub(crate) fn column(&self, values: &[Fr]) -> Fr {
        let tasks = values.par_chunks(TASK_BLOCKS * LANES).zip(self.blocks.par_chunks(TASK_BLOCKS));
        tasks.map(|(values, weights)| block::dot(&block::enter(values), weights)).sum()
    }

    /// The value of the column of a series.
    pub(crate) fn series(&self, series: &Series) -> Fr {
        let Range { start, end } = series.rows;
        let from = start.next_multiple_of(LANES).min(end);
        let to = from.max(end / LANES * LANES);
        let edge = |part: Range<usize>| {
            let mut lanes = vec![Fr::ZERO; part.start % LANES];
            lanes.extend(series.values(part.clone()));
            block::dot(&block::enter(&lanes), &self.blocks[part.start / LANES..])
        };
        let strides = series.strides(LANES);
        let task = |(i, weights): (usize, &[Block])| {
            let row = from + i * TASK_BLOCKS * LANES;
            let mut first = [Fr::ZERO; LANES];
            first.copy_from_slice(&series.values(row..row + LANES));
            // The steps of all lanes come round where slots and blocks end together.
            let common = 1 << strides.len().trailing_zeros().min(LANES.ilog2());
            let period = (strides.len() * LANES / common).min(weights.len() * LANES);
            let steps: Vec<Fr> = (row..row + period).map(|row| strides[(row - start) % strides.len()]).collect();
            block::dot_cycle(&first, &block::enter(&steps), weights)
        };
        let inner: Fr = self.blocks[from / LANES..to / LANES].par_chunks(TASK_BLOCKS).enumerate().map(task).sum();
        edge(start..from) + inner + edge(to..end)
    }

    /// The value of the column that holds 1 on these runs of rows, and 0 elsewhere.
    pub(crate) fn runs(&self, runs: impl IntoIterator<Item = Range<u32>>) -> Fr {
        let (starts, ends): (Vec<u32>, Vec<u32>) = runs.into_iter().map(|run| (run.start, run.end)).unzip();
        let before = |rows: &[u32]| block::sum_before(&self.blocks, &self.prefixes, rows);
        before(&ends) - before(&starts)
    }

    /// The value of the column that holds r in row r of the leading `rows`, and 0 elsewhere.
    pub(crate) fn index(&self, rows: usize) -> Fr {
        let whole = rows / LANES;
        let cut = self.blocks.get(whole).map(|block| block::leave(std::slice::from_ref(block))).unwrap_or_default();
        let rest: Fr = (whole * LANES..rows).zip(cut).map(|(row, ratio)| Fr::from(row as u64) * ratio).sum();
        block::by_place(&self.blocks[..whole]) + rest
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
            let [first, step, jump] = [(); 3].map(|()| Fr::random(&mut rng));
            for rows in [0..n, 0..0, 3..5, 3..n - 2, 8..n, 5..8, n - 1..n] {
                for slot in [1, 2, 3, 8, 12, 16, 1000] {
                    let series = Series { rows: rows.clone(), first, step, jump, slot };
                    let mut values = vec![first; rows.len()];
                    for i in 1..rows.len() {
                        values[i] = values[i - 1] * if i % slot == 0 { jump } else { step };
                    }
                    assert_eq!(series.values(rows.clone()), values, "{rows:?}, slots of {slot}");
                    assert_eq!(
                        ratios.series(&series),
                        sum(&values, rows.clone()),
                        "k = {k}, {rows:?}, slots of {slot}"
                    );
                }
                let run = rows.start as u32..rows.end as u32;
                assert_eq!(ratios.runs([run]), sum(&vec![Fr::ONE; n], rows.clone()), "k = {k}, {rows:?}");
                let count: Vec<Fr> = (0..rows.end as u64).map(Fr::from).collect();
                assert_eq!(ratios.index(rows.end), sum(&count, 0..n), "k = {k}, {rows:?}");
            }
            // More runs than are summed without a reduction, in all lanes.
            for (step, len) in [(7, 1), (3, 2), (8, 8), (11, 9)] {
                let starts = (0..n as u32).step_by(step).filter(|start| start + len <= n as u32);
                let runs: Vec<Range<u32>> = starts.map(|start| start..start + len).collect();
                let rows = runs.iter().map(|run| sum(&vec![Fr::ONE; n], run.start as usize..run.end as usize));
                assert_eq!(ratios.runs(runs.clone()), rows.sum::<Fr>(), "k = {k}, runs of {len}");
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

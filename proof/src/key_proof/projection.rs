//! Bounds on all weights from random projections of them.
//!
//! Put the weight columns of all circuits of one size beside each other: a matrix `w` with a row for each data row that a
//! product can read. For every column and for every row, [`PROJECTIONS`] bits are drawn that depend on all commitments. A
//! projection adds up the weights at the columns whose bit j is set and the rows whose bit j' is set:
//! `p[j, j'] = sum_c R[j, c] sum_r Q[j', r] w_c[r]`. The proof shows that all of them lie in `-B <= p < B`, for
//! `2 B = 2^(m b)`, by exact limbs. Then all weights are below `4 B` in magnitude: see [`ERROR_BITS`].
//!
//! The technique is that of Gentry, Halevi and Lyubashevsky (Eurocrypt 2022) and of LaBRADOR (Beullens and Seiler, Crypto
//! 2023), with bits for -1, 0 and 1, and twice, since rows and columns are projected apart.

use super::{
    identity::{Fold, Forged, Identity, Values, Weights, circuit, limb_lanes},
    zeros::{self, Zeros},
};
use crate::{
    cell::Cell,
    challenges::Challenges,
    field::{Fr, int, powers},
    keys::VerifierKey,
    misfit::RangesMisfit,
    msm::to_signed,
    transcript::Absorber,
};
use ff::{Field, PrimeField};
use nanozk_plan::{Claim, Geometry, Monomial, Plan, Term};
use rayon::prelude::*;
use std::{ops::Range, sync::Arc};

/// Bits drawn for each column and for each row.
pub const PROJECTIONS: usize = 8 * BYTES;

/// The same in bytes.
const BYTES: usize = 17;

/// `-log2` of the probability that a matrix with a weight of at least 4 B has projections in range only.
///
/// Let `|w_c[r]| >= 4 B`, as the residue of least magnitude, for some c and r. *Columns:* fix j and all bits j but that of
/// column c. `sum_c R[j, c] w_c[r]` is then s or s + w_c[r] with probability 1/2 each. These differ by w_c[r], which is
/// no difference of two residues of `-2 B < u < 2 B`, so one at most is among them. So with probability `1 - 2^-J`, for
/// some j the sum u_j[r] is not. *Rows:* take such a j. For any j', `sum_r Q[j', r] u_j[r]` is s or s + u_j[r] with
/// probability 1/2 each, which differ by a number that is no difference of two residues of `-B <= p < B`. So all
/// projections are in range with probability `2^-J + 2^-J`, J the number of bits. (`4 B < p / 2` as `m b <= 64`.)
pub const ERROR_BITS: u32 = PROJECTIONS as u32 - 1;

/// Widest projection, in bits: they are computed in 64 of them.
const MOST_BITS: u32 = 64;

/// Rows that are added up at a time.
const BLOCK: usize = 32;

/// Numbers of one row, or of one column, one for each bit.
type Sums = [i64; PROJECTIONS];

/// The projections of all weight columns of circuits of one size.
#[derive(Clone, Debug)]
pub struct Projections {
    /// Rows of the circuit that proves them.
    pub geometry: Geometry,
    /// Limbs of each.
    pub limbs: u32,
    /// Layers with their number of columns.
    pub columns: Vec<(usize, usize)>,
    /// Data rows of the columns.
    pub rows: usize,
    /// Where the columns must be 0.
    pub zeros: Vec<Zeros>,
    /// Number of weights.
    pub weights: u64,
}

/// The bits of all columns and rows.
#[derive(Clone, Debug)]
pub struct Draw {
    columns: Vec<[u8; BYTES]>,
    rows: Vec<[u8; BYTES]>,
}

impl Draw {
    /// The bits that follow from the hash of all that is proven.
    pub fn new(statement: &[u8; 32], columns: usize, rows: usize) -> Self {
        let mut absorber = Absorber::new("nanozk projections");
        absorber.bytes("statement", statement);
        let draw = |label: &str, count: usize| {
            let of = |index: u32| {
                let mut absorber = absorber.clone();
                absorber.bytes(label, &index.to_le_bytes());
                let digest = absorber.digest();
                std::array::from_fn(|byte| digest[byte])
            };
            (0..count as u32).into_par_iter().map(of).collect()
        };
        Draw { columns: draw("column", columns), rows: draw("row", rows) }
    }
}

/// The indices of the bits that are set.
fn set(bits: &[u8; BYTES]) -> impl Iterator<Item = usize> {
    (0..PROJECTIONS).filter(|j| bits[j / 8] >> (j % 8) & 1 == 1)
}

/// For each of `bits` the sum of the powers of x at the bits that are set.
fn selected_powers(x: Fr, bits: &[[u8; BYTES]]) -> Vec<Fr> {
    let tables: Vec<Vec<Fr>> = powers(x, PROJECTIONS).chunks(8).map(subset_sums).collect();
    let sum = |bits: &[u8; BYTES]| bits.iter().zip(&tables).map(|(byte, table)| table[*byte as usize]).sum();
    bits.par_iter().map(sum).collect()
}

/// The sums of all subsets of `values`, by their bits.
fn subset_sums(values: &[Fr]) -> Vec<Fr> {
    let mut out = vec![Fr::ZERO];
    for value in values {
        let with: Vec<Fr> = out.iter().map(|sum| *sum + value).collect();
        out.extend(with);
    }
    out
}

/// Most lanes of limbs. Circuits of so few rows have few weights, whose exact ranges take less.
const MOST_LANES: u32 = 1 << 12;

/// Width of each of `limbs` limbs in circuits of `2^k` rows: the widest that fits the circuit, or what [`MOST_BITS`] leave for
/// each. `None` where these limbs hold no more than one limb less does.
pub fn projection_bits(k: u32, limbs: u32) -> Option<u32> {
    let widest = super::chunks::limb_bits(k);
    let bits = widest.min(MOST_BITS.checked_div(limbs)?);
    (limbs.saturating_mul(bits) > (limbs - 1).saturating_mul(widest)).then_some(bits)
}

/// Limbs, in circuits of `2^k` rows, of a projection of weights whose magnitudes add up to at most `total`.
fn limbs_for(k: u32, total: u128) -> Option<u32> {
    let width = u128::BITS - total.leading_zeros() + 1;
    (1..=MOST_BITS)
        .map_while(|limbs| Some((limbs, projection_bits(k, limbs)?)))
        .find(|(m, b)| m * b >= width)
        .map(|(m, _)| m)
}

/// Limbs of all projections of `limbs` each.
fn cell_count(limbs: u32) -> u64 {
    (PROJECTIONS * PROJECTIONS) as u64 * u64::from(limbs)
}

/// The bound 4 B on weights whose projections have this many limbs of `bits` bits.
pub fn weight_bound(bits: u32, limbs: u32) -> f64 {
    2f64.powi((bits * limbs + 1) as i32)
}

impl Projections {
    /// Those of a model's columns in circuits of `2^k` rows, in `limbs` limbs.
    ///
    /// # Errors
    /// What does not fit.
    pub fn new(key: &VerifierKey, k: u32, limbs: u32) -> Result<Self, RangesMisfit> {
        let bits = projection_bits(k, limbs).ok_or(RangesMisfit::Width)?;
        let geometry = Geometry::new(k, bits, 1).ok_or(RangesMisfit::Table)?;
        if limb_lanes(&geometry, cell_count(limbs)) > MOST_LANES {
            return Err(RangesMisfit::Lanes);
        }
        let plan = |layer: usize| &key.shapes[key.layers[layer].shape as usize].plan;
        let layers = (0..key.layers.len()).filter(|&l| plan(l).geometry.k == k && plan(l).weight_columns > 0);
        let layers: Vec<usize> = layers.collect();
        let rows = |&layer: &usize| plan(layer).operand_rows() as usize;
        if let Some(&layer) = layers.iter().find(|layer| rows(layer) > geometry.rows()) {
            return Err(RangesMisfit::Rows { layer });
        }
        let tiles = layers.iter().flat_map(|&l| &plan(l).tiles);
        Ok(Projections {
            geometry,
            limbs,
            columns: layers.iter().map(|&l| (l, plan(l).weight_columns as usize)).collect(),
            rows: layers.iter().map(rows).max().unwrap_or(0),
            zeros: zeros::zeros(key, k)?,
            weights: tiles.map(|t| u64::from(t.inputs) * u64::from(t.outputs)).sum(),
        })
    }

    /// Limbs that hold every projection of weights of the stated widths, whatever is drawn: `widths` are limbs by layer and
    /// matrix.
    ///
    /// # Errors
    /// Projections that are too wide.
    pub fn limbs(key: &VerifierKey, k: u32, widths: &[Vec<u32>]) -> Result<u32, RangesMisfit> {
        let bits = super::chunks::limb_bits(k);
        let mut total = 0u128;
        for (layer, widths) in key.layers.iter().zip(widths) {
            let plan = &key.shapes[layer.shape as usize].plan;
            for (tile, width) in plan.tiles.iter().zip(widths).filter(|_| plan.geometry.k == k) {
                let count = u128::from(tile.inputs) * u128::from(tile.outputs);
                let sum = count.checked_mul(1 << (bits * width - 1)).and_then(|most| total.checked_add(most));
                total = sum.ok_or(RangesMisfit::Sums)?;
            }
        }
        limbs_for(k, total).ok_or(RangesMisfit::Sums)
    }

    /// The circuit: one fold for the projections, and one for each kind of columns that must be 0 somewhere.
    pub fn plan(&self) -> Plan {
        circuit(self.geometry, cell_count(self.limbs), 1 + self.zeros.len())
    }

    /// What is to be shown, for the bits that follow from `statement`.
    pub fn identity(&self, statement: &[u8; 32]) -> Identity {
        let Geometry { limb_bits: bits, .. } = self.geometry;
        let plan = self.plan();
        let one = plan.lookups.len() as u32 * self.geometry.groups;
        let (count, limbs) = (PROJECTIONS as u32, self.limbs);
        let claim = |j: u32| {
            let limb = |l: u32| Term { coef: 1 << (l * bits), slot: (j * limbs + l) * count, stride: 1 };
            let offset = Term { coef: i64::MIN >> (MOST_BITS - limbs * bits), slot: one, stride: 0 };
            let terms = (0..limbs).map(limb).chain([offset]).collect();
            Claim { count, monomial: Monomial { rho: (j, 0), eta: (0, 1) }, terms }
        };
        let draw = Arc::new(self.draw(statement));
        let (columns, rows) = (draw.clone(), draw);
        let factors: Values = Arc::new(move |ch: &Challenges| selected_powers(ch.rho, &columns.columns));
        let rows: Values = Arc::new(move |ch: &Challenges| selected_powers(ch.eta, &rows.rows));
        let all = self.columns.iter().map(|(layer, count)| (*layer, 0..*count)).collect();
        let projected = Fold { columns: all, factors, rows };
        Identity {
            plan: Arc::new(plan),
            claims: (0..count).map(claim).collect(),
            folds: std::iter::once(projected).chain(self.zeros.iter().map(Zeros::fold)).collect(),
        }
    }

    fn draw(&self, statement: &[u8; 32]) -> Draw {
        Draw::new(statement, self.columns.iter().map(|(_, count)| count).sum(), self.rows)
    }

    /// The projections, those with bit j of the columns together. `None` if weights are missing or do not fit.
    fn project(&self, draw: &Draw, weights: &Weights) -> Option<Vec<Sums>> {
        let mut sums: Vec<Sums> = vec![[0; PROJECTIONS]; self.rows];
        let mut next = 0;
        for &(layer, count) in &self.columns {
            let layer = weights(layer)?;
            let bits = &draw.columns[next..next + count];
            next += count;
            let fits = layer.columns.len() == count && layer.columns.iter().all(|column| column.len() <= self.rows);
            add_columns(fits.then_some(&layer.columns)?, bits, &mut sums);
        }
        let add = |mut out: Vec<Sums>, (row, bits): (&Sums, &[u8; BYTES])| {
            for j in set(bits) {
                out[j].iter_mut().zip(row).for_each(|(sum, value)| *sum = sum.wrapping_add(*value));
            }
            out
        };
        let merge = |mut a: Vec<Sums>, b: Vec<Sums>| {
            let cells = a.iter_mut().flatten().zip(b.iter().flatten());
            cells.for_each(|(a, b)| *a = a.wrapping_add(*b));
            a
        };
        let zero = || vec![[0; PROJECTIONS]; PROJECTIONS];
        let by_row = sums.par_iter().zip(&draw.rows).with_min_len(1024).fold(zero, add).reduce(zero, merge);
        Some((0..PROJECTIONS).map(|j| std::array::from_fn(|row| by_row[row][j])).collect())
    }

    /// What field elements in single cells add to projection (j, j').
    fn forged(&self, draw: &Draw, forged: &[Forged], [j, row]: [usize; 2]) -> Fr {
        let is_set = |bits: &[u8; BYTES], j: usize| bits[j / 8] >> (j % 8) & 1 == 1;
        let of = |cell: &&Forged| {
            let before = self.columns.iter().take_while(|(layer, _)| *layer != cell.layer).map(|(_, count)| count);
            is_set(&draw.columns[before.sum::<usize>() + cell.column], j) && is_set(&draw.rows[cell.row], row)
        };
        forged.iter().filter(of).map(|cell| cell.value).sum()
    }

    /// The limb lanes for weights, to whose cells `forged` are added. `None` if weights are missing or do not fit.
    pub fn lanes_of<C: Limb>(&self, statement: &[u8; 32], weights: &Weights, forged: &[Forged]) -> Option<Vec<Vec<C>>> {
        let draw = self.draw(statement);
        let projections = self.project(&draw, weights)?;
        let geometry = &self.geometry;
        let mut cells = Vec::with_capacity(cell_count(self.limbs) as usize);
        for (j, projections) in projections.iter().enumerate() {
            let value = |row: usize| (projections[row], self.forged(&draw, forged, [j, row]));
            for limb in 0..self.limbs {
                let last = limb + 1 == self.limbs;
                let bits = limb * geometry.limb_bits..(limb + 1) * geometry.limb_bits;
                cells.extend((0..PROJECTIONS).map(|row| C::limb(value(row), bits.clone(), last)));
            }
        }
        let rows = geometry.rows();
        cells.resize(limb_lanes(geometry, cell_count(self.limbs)) as usize * rows, C::of(0));
        Some(cells.chunks(rows).map(<[C]>::to_vec).collect())
    }
}

/// Adds the projections of columns, by their bits, to those of each row.
fn add_columns(columns: &[Vec<i32>], bits: &[[u8; BYTES]], sums: &mut [Sums]) {
    let greatest = columns.par_iter().map(|c| c.iter().map(|w| w.unsigned_abs()).max().unwrap_or(0)).max().unwrap_or(0);
    // As many columns at a time as add up in 32 bits.
    let most = (i32::MAX as u32 / greatest.max(1)).max(1) as usize;
    let mut chosen: Vec<Vec<usize>> = vec![Vec::new(); PROJECTIONS];
    bits.iter().enumerate().for_each(|(c, bits)| set(bits).for_each(|j| chosen[j].push(c)));
    sums.par_chunks_mut(BLOCK).enumerate().for_each(|(block, sums)| {
        let cells = |column: &Vec<i32>| -> [i32; BLOCK] {
            let cell = |i: usize| column.get(block * BLOCK + i).copied().unwrap_or(0);
            std::array::from_fn(cell)
        };
        let cells: Vec<[i32; BLOCK]> = columns.iter().map(cells).collect();
        for (j, chosen) in chosen.iter().enumerate() {
            for chosen in chosen.chunks(most) {
                let mut block = [0i32; BLOCK];
                for c in chosen {
                    block.iter_mut().zip(&cells[*c]).for_each(|(sum, w)| *sum = sum.wrapping_add(*w));
                }
                sums.iter_mut().zip(block).for_each(|(row, sum)| row[j] = row[j].wrapping_add(i64::from(sum)));
            }
        }
    });
}

/// A cell that holds a limb of a projection.
pub trait Limb: Cell {
    /// An integer.
    fn of(value: i64) -> Self;

    /// These bits of `2^(bits of all limbs - 1)` more than a projection, an integer and what is forged of it. The last limb
    /// takes what is left.
    fn limb(projection: (i64, Fr), bits: Range<u32>, last: bool) -> Self;
}

impl Limb for i64 {
    fn of(value: i64) -> Self {
        value
    }

    fn limb((integer, _): (i64, Fr), bits: Range<u32>, last: bool) -> Self {
        let rest = integer >> bits.start;
        // The sign of an honest projection is that of its last limb.
        if last { rest + (1 << (bits.len() - 1)) } else { rest & ((1 << bits.len()) - 1) }
    }
}

impl Limb for Fr {
    fn of(value: i64) -> Self {
        int(value)
    }

    fn limb((integer, forged): (i64, Fr), bits: Range<u32>, last: bool) -> Self {
        let value = int(integer) + forged;
        if let Some(integer) = to_signed(&value) {
            return int(i64::limb((integer, forged), bits, last));
        }
        let bytes = value.to_repr();
        let low = u64::from_le_bytes(std::array::from_fn(|i| bytes.as_ref()[i]));
        let below = |bit: u32| low % (1 << bit);
        if !last {
            return Fr::from(below(bits.end) >> bits.start);
        }
        let rest = (value - Fr::from(below(bits.start))) * Fr::from(1 << bits.start).invert().unwrap_or(Fr::ZERO);
        rest + Fr::from(1 << (bits.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{field::Mask, weights::WeightColumns};
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    const BITS: u32 = 8;

    /// Two layers, of 3 and of 40 columns, and 100 rows.
    fn projections(limbs: u32) -> Projections {
        Projections {
            geometry: Geometry::new(9, BITS, 1).expect("fits"),
            limbs,
            columns: vec![(0, 3), (2, 40)],
            rows: 100,
            zeros: Vec::new(),
            weights: 4300,
        }
    }

    /// Columns of random integers of `bits` bits, those of the first layer shorter.
    fn weights(bits: u32, seed: u64) -> impl Fn(usize) -> Option<WeightColumns> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut column = |rows: usize| (0..rows).map(|_| (rng.next_u32() as i32) >> (32 - bits)).collect();
        let columns: Vec<Vec<Vec<i32>>> =
            [(3, 70), (0, 0), (40, 100)].map(|(count, rows)| (0..count).map(|_| column(rows)).collect()).into();
        move |layer| {
            let columns = columns.get(layer)?.clone();
            let masks: Vec<Mask> = vec![[Fr::ZERO; nanozk_plan::MASK_ROWS]; columns.len()];
            Some(WeightColumns { columns, masks })
        }
    }

    /// By the definition, also for weights of which not even two add up in 32 bits.
    #[test]
    fn projections_are_sums_of_chosen_rows_and_columns() {
        for bits in [5, 16, 32] {
            let (projections, weights) = (projections(8), weights(bits, bits.into()));
            let draw = projections.draw(&[7; 32]);
            let found = projections.project(&draw, &weights).expect("fits");
            let has = |bits: &[u8; BYTES], j: usize| i64::from(bits[j / 8] >> (j % 8) & 1);
            for (j, row) in [(0, 0), (0, 135), (135, 0), (71, 8), (8, 71)] {
                let columns = [0, 2].into_iter().flat_map(|layer| weights(layer).expect("is there").columns);
                let sum = |(column, bits): (Vec<i32>, &[u8; BYTES])| -> i64 {
                    let rows = column.iter().zip(&draw.rows);
                    has(bits, j) * rows.map(|(w, bits)| has(bits, row) * i64::from(*w)).sum::<i64>()
                };
                let expected: i64 = columns.zip(&draw.columns).map(sum).sum();
                assert_eq!(found[j][row], expected, "{bits} bits, ({j}, {row})");
            }
        }
    }

    #[test]
    fn bits_are_even_and_depend_on_all() {
        let ones = |draw: &Draw| draw.columns.iter().chain(&draw.rows).flat_map(set).count();
        let draw = Draw::new(&[1; 32], 500, 500);
        let (expected, deviation) = (500.0 * PROJECTIONS as f64, (250.0 * PROJECTIONS as f64).sqrt());
        assert!((ones(&draw) as f64 - expected).abs() < 6.0 * deviation);
        let all: std::collections::HashSet<_> = draw.columns.iter().chain(&draw.rows).collect();
        assert_eq!(all.len(), 1000, "all are drawn apart");
        let other = Draw::new(&[2; 32], 500, 500);
        assert!(draw.columns.iter().zip(&other.columns).all(|(a, b)| a != b));
        assert!(draw.rows.iter().zip(&other.rows).all(|(a, b)| a != b));
        // Each bit by itself is set about as often.
        for j in 0..PROJECTIONS {
            let count = draw.rows.iter().filter(|bits| set(bits).any(|set| set == j)).count();
            assert!((150..350).contains(&count), "bit {j} is set {count} times of 500");
        }
    }

    #[test]
    fn powers_are_those_of_the_bits() {
        let draw = Draw::new(&[3; 32], 0, 20);
        let x = Fr::from(1 << 40) + Fr::from(3);
        for (sum, bits) in selected_powers(x, &draw.rows).iter().zip(&draw.rows) {
            assert_eq!(*sum, set(bits).map(|j| x.pow_vartime([j as u64])).sum::<Fr>());
        }
    }

    /// Whatever the bits, honest projections fit, and no more limbs than needed are stated.
    #[test]
    fn limbs_hold_every_sum() {
        for (total, expected) in [(0, 1), (127, 1), (128, 2), (32767, 2), (32768, 3), (u128::from(u64::MAX >> 1), 8)] {
            let limbs = limbs_for(BITS + 1, total);
            assert_eq!(limbs, Some(expected), "{total}");
        }
        assert_eq!(limbs_for(BITS + 1, 1 << 63), None);
        assert_eq!(weight_bound(8, 2), 4.0 * 32768.0);
    }

    /// Widths that 64 is no multiple of leave no bits unused that a large model needs.
    #[test]
    fn the_last_number_of_limbs_has_narrower_ones() {
        // 162 million weights of two limbs of 17 bits: GPT-2 of 124 million at 2^18 rows.
        let gpt2 = 162_238_464u128 << 33;
        assert_eq!(limbs_for(18, gpt2), Some(4));
        assert_eq!([3, 4, 5].map(|limbs| projection_bits(18, limbs)), [Some(17), Some(16), None]);
        assert_eq!(limbs_for(11, (1 << 62) - 1), Some(7), "7 limbs of 9 bits, which 10 would exceed");
        assert_eq!(limbs_for(11, 1 << 62), None);
        for k in 2..=28 {
            let widest = super::super::chunks::limb_bits(k);
            let widths: Vec<u32> = (1..=65).map_while(|limbs| projection_bits(k, limbs)).collect();
            let last = widths.len() - 1;
            assert!(widths[..last].iter().all(|bits| *bits == widest), "2^{k} rows");
            let all: Vec<u32> = widths.iter().zip(1..).map(|(bits, limbs)| bits * limbs).collect();
            assert!(all.is_sorted_by(|a, b| a < b), "more limbs hold no more: {all:?}");
            assert!((MOST_BITS - widest + 1..=MOST_BITS).contains(&all[last]), "2^{k} rows: {all:?}");
        }
        for (k, limbs) in [(18, 0), (18, u32::MAX), (0, 1), (1, 1)] {
            assert_eq!(projection_bits(k, limbs), None, "{limbs} at 2^{k} rows");
        }
    }

    /// Limbs of integers, and the same of field elements, add up to them; the last is in range for integers that fit only.
    #[test]
    fn limbs_add_up() {
        for limbs in 1..=8u32 {
            let half = Fr::from(1 << (BITS * limbs - 1));
            let most = i64::MAX >> (64 - BITS * limbs);
            let of = |value: i64, forged: Fr| -> Vec<Fr> {
                let limb = |l: u32| Fr::limb((value, forged), l * BITS..(l + 1) * BITS, l + 1 == limbs);
                (0..limbs).map(limb).collect()
            };
            let sum = |cells: &[Fr]| -> Fr {
                cells.iter().rev().fold(Fr::ZERO, |sum, limb| sum * Fr::from(1 << BITS) + limb) - half
            };
            let in_range =
                |cells: &[Fr]| cells.iter().all(|limb| to_signed(limb).is_some_and(|v| (0..256).contains(&v)));
            for value in [0, 1, -1, most, -most, most / 3, -most / 3] {
                let cells = of(value, Fr::ZERO);
                assert!(in_range(&cells) && sum(&cells) == int(value), "{value} in {limbs} limbs");
                let honest = (0..limbs).map(|l| i64::limb((value, Fr::ZERO), l * BITS..(l + 1) * BITS, l + 1 == limbs));
                assert!(honest.map(int).eq(cells));
            }
            for forged in [Fr::from(2).invert().unwrap(), Fr::from(3).invert().unwrap(), half + half, -half - Fr::ONE] {
                let cells = of(0, forged);
                assert!(!in_range(&cells) && sum(&cells) == forged, "{forged:?} in {limbs} limbs");
            }
        }
    }

    /// What the argument needs: with one weight of at least `4 B`, whatever the others are, some projection leaves
    /// `-B .. B`.
    #[test]
    fn a_great_weight_shows() {
        let (projections, weights) = (projections(3), weights(12, 1));
        let statement = [9; 32];
        let bound = Fr::from(1 << (BITS * 3 + 1));
        let inverse = |n: u64| Fr::from(n).invert().unwrap();
        for value in [bound, -bound, inverse(2), -inverse(2), inverse(3), Fr::from(1 << 50) * Fr::from(1 << 50)] {
            for (layer, column, row) in [(0, 0, 0), (0, 2, 69), (2, 39, 99)] {
                let forged = [Forged { layer, column, row, value }];
                let lanes: Vec<Vec<Fr>> = projections.lanes_of(&statement, &weights, &forged).expect("fits");
                let outside = lanes.iter().flatten().filter(|v| !to_signed(v).is_some_and(|v| (0..256).contains(&v)));
                assert!(outside.count() > PROJECTIONS, "{value:?} at {row} of column {column} of layer {layer}");
            }
        }
        let lanes: Vec<Vec<i64>> = projections.lanes_of(&statement, &weights, &[]).expect("fits");
        assert!(lanes.iter().flatten().all(|v| (0..256).contains(v)));
    }
}

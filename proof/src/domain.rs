//! Transforms between the values of a polynomial on a coset of the rows' roots of unity and its coefficients.
//!
//! With `n = 8 m` and index `i = 8 j + lane`, a transform is eight transforms of size m, one in each lane of m blocks;
//! a multiplication by roots of unity; and one transform of size 8 across the lanes for each of m indices, eight of
//! which stand in a block after a transposition. The result is in natural order again.

use ff::{Field, PrimeField};

use crate::block::{self, Block, Constant, LANES, Ops, kernels};
use crate::field::{Fr, batch_invert, powers};

/// Least `k` of the fast transforms.
const MIN_K: u32 = 6;
/// Greatest `k`: each level adds up to twice the modulus to the values, and all levels must stay within bounds.
const MAX_FAST_K: u32 = 16;

/// Bound of the values that transforms return, in multiples of `p`.
pub(crate) const VALUE_BOUND: f64 = 8.0;

/// The `2^k` rows as roots of unity.
#[derive(Debug)]
pub struct Domain {
    k: u32,
    forward: Roots,
    inverse: Roots,
    /// `1 / n`.
    divisor: Constant,
}

/// Powers of a primitive n-th root w, as transforms use them.
#[derive(Debug)]
struct Roots {
    omega: Fr,
    /// `w^(8 i)` for `i < m / 2`.
    within: Vec<Constant>,
    /// `w^(lane j)` in block j.
    between: Vec<Block>,
    /// `w^(m i)` for `i < 4`.
    across: [Constant; 4],
}

impl Roots {
    fn new(omega: Fr, n: usize) -> Self {
        let m = n / LANES;
        let eighth = omega.pow_vartime([LANES as u64]);
        let within = powers(eighth, m / 2).iter().map(block::constant).collect();
        let mut between = Vec::with_capacity(m);
        for w in powers(omega, m) {
            between.extend(block::enter(&powers(w, LANES)));
        }
        let primitive = powers(omega.pow_vartime([m as u64]), 4);
        Roots { omega, within, between, across: std::array::from_fn(|i| block::constant(&primitive[i])) }
    }
}

impl Domain {
    /// The domain of `2^k` rows.
    pub fn new(k: u32) -> Self {
        let n = 1usize << k;
        let omega = Fr::ROOT_OF_UNITY.pow_vartime([1u64 << (Fr::S - k)]);
        let mut inverses = [omega, Fr::from(n as u64)];
        batch_invert(&mut inverses);
        Domain {
            k,
            forward: Roots::new(omega, n),
            inverse: Roots::new(inverses[0], n),
            divisor: block::constant(&inverses[1]),
        }
    }

    /// Rows are `2^k`.
    pub(crate) fn k(&self) -> u32 {
        self.k
    }

    /// Rows.
    pub(crate) fn n(&self) -> usize {
        1 << self.k
    }

    /// The root of unity of row 1.
    pub(crate) fn omega(&self) -> Fr {
        self.forward.omega
    }

    /// Coefficients of the polynomial with the given values in the leading rows and 0 in the others.
    pub fn coefficients(&self, values: &[Fr]) -> Vec<Fr> {
        let mut out = block::leave(&self.interpolate(values));
        out.truncate(self.n());
        out
    }

    /// [`Domain::coefficients`] in blocks.
    pub(crate) fn interpolate(&self, values: &[Fr]) -> Vec<Block> {
        let mut blocks = block::enter(values);
        blocks.resize(self.n().div_ceil(LANES), block::enter(&[Fr::ZERO; LANES])[0]);
        let mut out = self.transform(&self.inverse, blocks);
        block::scale(&mut out, &self.divisor);
        out
    }

    /// Values on a coset, of a polynomial whose coefficients may be more than rows.
    pub(crate) fn evaluate(&self, coefficients: &[Block], coset: &Coset) -> Vec<Block> {
        self.transform(&self.forward, block::fold(coefficients, &coset.folds, &coset.shifts))
    }

    /// `n` times the coefficients of the polynomial in `g X` that has the given values on the coset of factor g.
    pub(crate) fn interpolate_coset(&self, values: Vec<Block>) -> Vec<Block> {
        self.transform(&self.inverse, values)
    }

    fn transform(&self, roots: &Roots, mut blocks: Vec<Block>) -> Vec<Block> {
        if self.k < MIN_K {
            return naive(roots, &blocks, self.n());
        }
        reverse_bits(&mut blocks);
        let mut levels = self.k - LANES.ilog2();
        let mut first = 1;
        while levels > 0 {
            // Larger domains reduce between groups of levels.
            let group = levels.min(MAX_FAST_K - LANES.ilog2());
            within_lanes(&mut blocks, &roots.within, first, group);
            first <<= group;
            levels -= group;
        }
        let mut out = vec![Block::BLANK; blocks.len()];
        across_lanes(&blocks, &roots.between, &roots.across, &mut out);
        out
    }
}

/// A coset of the rows' roots of unity, as polynomials are brought to it.
pub(crate) struct Coset {
    /// Powers of its factor g.
    shifts: Vec<Block>,
    /// `g^(n i)`: what coefficients are worth that stand i times n behind others.
    folds: Vec<Constant>,
}

impl Coset {
    /// The coset of factor g, for polynomials of `blocks` blocks of coefficients.
    pub(crate) fn new(domain: &Domain, g: Fr, blocks: usize) -> Self {
        let shifts = shifts(domain, g);
        let folds = powers(g.pow_vartime([domain.n() as u64]), blocks.div_ceil(shifts.len()));
        Coset { folds: folds.iter().map(block::constant).collect(), shifts }
    }
}

/// The powers of g.
pub(crate) fn shifts(domain: &Domain, g: Fr) -> Vec<Block> {
    let (first, step) = block::lanes(Fr::ONE, g);
    block::progression(&first, &step, domain.n().div_ceil(LANES))
}

/// The transform by its definition.
fn naive(roots: &Roots, blocks: &[Block], n: usize) -> Vec<Block> {
    let values = block::leave(blocks);
    let value = |w: Fr| values[..n].iter().rev().fold(Fr::ZERO, |sum, v| sum * w + v);
    block::enter(&powers(roots.omega, n).into_iter().map(value).collect::<Vec<Fr>>())
}

fn reverse_bits(blocks: &mut [Block]) {
    let bits = blocks.len().ilog2();
    for i in 0..blocks.len() {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            blocks.swap(i, j);
        }
    }
}

kernels! {
    fn within_lanes(blocks: &mut [Block], roots: &[Constant], first: usize, levels: u32) = butterflies;
    fn across_lanes(blocks: &[Block], between: &[Block], roots: &[Constant; 4], out: &mut [Block]) = transpose_and_finish;
}

/// `levels` levels of butterflies on blocks in bit-reversed order, the first between blocks at distance `first`.
#[inline(always)]
fn butterflies<O: Ops>(o: O, blocks: &mut [Block], roots: &[Constant], first: usize, levels: u32) {
    let one = o.broadcast(&o.constant(&Fr::ONE));
    if first > 1 {
        for block in blocks.iter_mut() {
            *block = o.store(o.mul(o.tight(o.load(block)), one));
        }
    }
    for level in 0..levels {
        let half = first << level;
        let stride = blocks.len() / (2 * half);
        for run in blocks.chunks_exact_mut(2 * half) {
            let (low, high) = run.split_at_mut(half);
            for (i, (low, high)) in low.iter_mut().zip(high).enumerate() {
                let root = o.broadcast(&roots[i * stride]);
                let (a, b) = (o.load(low), o.mul(o.tight(o.load(high)), root));
                *low = o.store(o.add(a, b));
                *high = o.store(o.sub(a, b, 2));
            }
        }
    }
}

/// The multiplication by roots of unity and the transforms across lanes; the result is tight.
#[inline(always)]
fn transpose_and_finish<O: Ops>(o: O, blocks: &[Block], between: &[Block], roots: &[Constant; 4], out: &mut [Block]) {
    const REVERSED: [usize; LANES] = [0, 4, 2, 6, 1, 5, 3, 7];
    let stride = blocks.len() / LANES;
    for (index, (group, between)) in blocks.chunks_exact(LANES).zip(between.chunks_exact(LANES)).enumerate() {
        let mut values = [o.load(&group[0]); LANES];
        for (value, (block, root)) in values.iter_mut().zip(group.iter().zip(between)) {
            *value = o.tight(o.mul(o.tight(o.load(block)), o.load(root)));
        }
        o.transpose(&mut values);
        let mut work = values;
        for (work, from) in work.iter_mut().zip(REVERSED) {
            *work = values[from];
        }
        for half in [1, 2, 4] {
            for run in (0..LANES).step_by(2 * half) {
                for i in 0..half {
                    let (a, b) = (work[run + i], work[run + i + half]);
                    // Products with roots other than 1; what is not multiplied is below 2 p on the first level only.
                    let b = if half == 1 { b } else { o.mul(o.tight(b), o.broadcast(&roots[i * 4 / half])) };
                    work[run + i] = o.add(a, b);
                    work[run + i + half] = o.sub(a, b, 2);
                }
            }
        }
        for (i, value) in work.into_iter().enumerate() {
            out[index + stride * i] = o.store(o.tight(value));
        }
    }
}

//! Scalar field arithmetic on eight elements at a time.

#[cfg(target_arch = "x86_64")]
mod ifma;

use ff::Field;

use halo2curves::Fq as Fr;

/// Elements of a [`Block`].
pub(crate) const LANES: usize = 8;
/// Blocks between two of [`prefixes`].
pub(crate) const STRIDE: usize = 16;
/// Sums and differences of values below this multiple of the modulus may be formed before a reduction.
pub(crate) const MAX_BOUND: f64 = 30.0;
/// A product of values below `a p` and `b p` is below `(1 + PRODUCT_BOUND a b) p`.
pub(crate) const PRODUCT_BOUND: f64 = 0.0284;

/// Eight elements in the form in which this machine computes fastest; only [`Ops`] of one and the same kind make and
/// read them.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Block(pub(crate) [[u64; LANES]; 5]);

impl Block {
    /// Memory to write to; not a value in every form.
    pub(crate) const BLANK: Block = Block([[0; LANES]; 5]);
}

/// An element as an operand for all lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constant(pub(crate) [u64; 5]);

/// Arithmetic on blocks. Values are only known modulo `p`: callers see to it that sums and differences stay below
/// [`MAX_BOUND`] times `p`, and that operands of products are *tight*.
///
/// Every method is inlined into the kernel that uses it, which is compiled for the instructions that it needs.
pub(crate) trait Ops: Copy {
    /// A block in registers.
    type Value: Copy;

    fn load(self, block: &Block) -> Self::Value;
    fn store(self, value: Self::Value) -> Block;
    /// Field elements as a tight value below `2 p`.
    fn enter(self, elements: &[Fr; LANES]) -> Self::Value;
    /// The field elements of a value.
    fn leave(self, value: Self::Value) -> [Fr; LANES];
    fn constant(self, element: &Fr) -> Constant;
    fn broadcast(self, constant: &Constant) -> Self::Value;
    /// Product of tight values; not tight.
    fn mul(self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// Sum; not tight.
    fn add(self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a - b + multiple p`, which must not be negative; not tight.
    fn sub(self, a: Self::Value, b: Self::Value, multiple: u64) -> Self::Value;
    /// The same value, tight.
    fn tight(self, value: Self::Value) -> Self::Value;
    /// The same value, below `2 p`; not tight.
    fn reduce(self, value: Self::Value) -> Self::Value;
    /// Swaps lanes and positions.
    fn transpose(self, values: &mut [Self::Value; LANES]);
}

/// Arithmetic with the field library's elements.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Ops for Portable {
    type Value = [Fr; LANES];

    #[inline(always)]
    fn load(self, block: &Block) -> Self::Value {
        std::array::from_fn(|lane| {
            let l: [u64; 4] = std::array::from_fn(|limb| block.0[limb][lane]);
            blst::blst_fr { l }.into()
        })
    }

    #[inline(always)]
    fn store(self, value: Self::Value) -> Block {
        let mut block = Block::BLANK;
        for (lane, element) in value.into_iter().enumerate() {
            let limbs = blst::blst_fr::from(element).l;
            limbs.into_iter().zip(&mut block.0).for_each(|(limb, row)| row[lane] = limb);
        }
        block
    }

    #[inline(always)]
    fn enter(self, elements: &[Fr; LANES]) -> Self::Value {
        *elements
    }

    #[inline(always)]
    fn leave(self, value: Self::Value) -> [Fr; LANES] {
        value
    }

    #[inline(always)]
    fn constant(self, element: &Fr) -> Constant {
        let [a, b, c, d] = blst::blst_fr::from(*element).l;
        Constant([a, b, c, d, 0])
    }

    #[inline(always)]
    fn broadcast(self, constant: &Constant) -> Self::Value {
        let [a, b, c, d, _] = constant.0;
        [blst::blst_fr { l: [a, b, c, d] }.into(); LANES]
    }

    #[inline(always)]
    fn mul(self, a: Self::Value, b: Self::Value) -> Self::Value {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn add(self, a: Self::Value, b: Self::Value) -> Self::Value {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn sub(self, a: Self::Value, b: Self::Value, _: u64) -> Self::Value {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn tight(self, value: Self::Value) -> Self::Value {
        value
    }

    #[inline(always)]
    fn reduce(self, value: Self::Value) -> Self::Value {
        value
    }

    #[inline(always)]
    fn transpose(self, values: &mut [Self::Value; LANES]) {
        let rows = *values;
        for (i, value) in values.iter_mut().enumerate() {
            *value = std::array::from_fn(|lane| rows[lane][i]);
        }
    }
}

/// Compiles each generic function for [`Portable`] and for vector instructions, and calls the one that this machine runs
/// fastest.
macro_rules! kernels {
    ($($(#[$doc:meta])* $visibility:vis fn $name:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)? = $generic:ident;)*) => {$(
        $(#[$doc])*
        $visibility fn $name($($arg: $kind),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            if let Some(ifma) = $crate::cpu::Ifma::detect() {
                #[target_feature(enable = "avx512f,avx512ifma")]
                fn vector(ifma: $crate::cpu::Ifma, $($arg: $kind),*) $(-> $result)? {
                    $generic(ifma, $($arg),*)
                }
                #[allow(unsafe_code, reason = "the function is compiled for more than the basic instructions")]
                // SAFETY: `ifma` says that this machine has them.
                return unsafe { vector(ifma, $($arg),*) };
            }
            $generic($crate::block::Portable, $($arg),*)
        }
    )*};
}
pub(crate) use kernels;

kernels! {
    /// Blocks of `elements`; a last block that is not full is filled with zeros.
    pub(crate) fn enter(elements: &[Fr]) -> Vec<Block> = enter_blocks;
    /// The elements of `blocks`.
    pub(crate) fn leave(blocks: &[Block]) -> Vec<Fr> = leave_blocks;
    /// The operand form of an element.
    pub(crate) fn constant(element: &Fr) -> Constant = make_constant;
    /// `first[lane] step^j` in lane and block j.
    pub(crate) fn progression(first: &[Fr; LANES], step: &Fr, blocks: usize) -> Vec<Block> = make_progression;
    /// Fills `out` with the elements of a [`progression`].
    fn write_progression(first: &[Fr; LANES], step: &Fr, out: &mut [Fr]) = fill_progression;
    /// The inner product of a column with the one that starts with `first`, and of which each block is the one before times
    /// the next of `steps`, which come round again.
    pub(crate) fn dot_cycle(first: &[Fr; LANES], steps: &[Block], column: &[Block]) -> Fr = dot_cycle_blocks;
    /// Multiplies elementwise; the result is tight and below `2 p` for factors below `p`.
    pub(crate) fn multiply(target: &mut [Block], factors: &[Block]) = multiply_blocks;
    /// `shifts[i] sum_q factors[q] column[q m + i]` for the m shifts, of which the column has as many parts as there are
    /// factors, the first of them 1; the result is tight and below `2 p` for values below `2 p` and at most eight parts.
    pub(crate) fn fold(column: &[Block], factors: &[Constant], shifts: &[Block]) -> Vec<Block> = fold_blocks;
    /// Multiplies by one element.
    pub(crate) fn scale(target: &mut [Block], factor: &Constant) = scale_blocks;
    /// `sum_i factors[i] columns[i]` over equally long columns.
    pub(crate) fn combine(columns: &[&[Block]], factors: &[Constant]) -> Vec<Block> = combine_blocks;
    /// `(even + odd) halves` in the first half, `(even - odd) halves` in the second, for the progressions `odd` and
    /// `even`; the result is tight and below `2 p`, as `halves` must be.
    pub(crate) fn split(halves: &[Block], odd: &[Fr; LANES], odd_step: &Fr, even: &[Fr; LANES], even_step: &Fr)
        -> Vec<Block> = split_blocks;
    /// The inner product of two columns.
    pub(crate) fn dot(a: &[Block], b: &[Block]) -> Fr = dot_blocks;
    /// The sum of all elements, each times its place in the column.
    pub(crate) fn by_place(column: &[Block]) -> Fr = sum_by_place;
    /// Before each [`STRIDE`] blocks, and at the end of the last if all are full, the sums by lane of the blocks before; tight
    /// and below `2 p`, as the column must be.
    pub(crate) fn prefixes(column: &[Block]) -> Vec<Block> = prefix_blocks;
    /// For each of `rows`, which may repeat and reach the end of the column, the sum of all elements before it, summed
    /// over `rows`. `prefixes` are those of the column.
    pub(crate) fn sum_before(column: &[Block], prefixes: &[Block], rows: &[u32]) -> Fr = sum_blocks_before;
}

/// The first block of `first, first ratio, first ratio^2, ...`, and the ratio of neighbouring blocks.
pub(crate) fn lanes(first: Fr, ratio: Fr) -> ([Fr; LANES], Fr) {
    let mut lanes = [first; LANES];
    for i in 1..LANES {
        lanes[i] = lanes[i - 1] * ratio;
    }
    (lanes, ratio.square().square().square())
}

/// `first, first ratio, first ratio^2, ...`, `len` of them.
pub(crate) fn series(first: Fr, ratio: Fr, len: usize) -> Vec<Fr> {
    let (lanes, step) = lanes(first, ratio);
    let mut out = vec![Fr::ZERO; len];
    write_progression(&lanes, &step, &mut out);
    out
}

#[inline(always)]
fn enter_blocks<O: Ops>(o: O, elements: &[Fr]) -> Vec<Block> {
    let mut out = Vec::with_capacity(elements.len().div_ceil(LANES));
    let chunks = elements.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        let mut lanes = [Fr::ZERO; LANES];
        lanes.copy_from_slice(chunk);
        out.push(o.store(o.enter(&lanes)));
    }
    if !rest.is_empty() {
        let mut lanes = [Fr::ZERO; LANES];
        lanes[..rest.len()].copy_from_slice(rest);
        out.push(o.store(o.enter(&lanes)));
    }
    out
}

#[inline(always)]
fn leave_blocks<O: Ops>(o: O, blocks: &[Block]) -> Vec<Fr> {
    let mut out = Vec::with_capacity(blocks.len() * LANES);
    for block in blocks {
        out.extend_from_slice(&o.leave(o.load(block)));
    }
    out
}

#[inline(always)]
fn make_constant<O: Ops>(o: O, element: &Fr) -> Constant {
    o.constant(element)
}

#[inline(always)]
fn make_progression<O: Ops>(o: O, first: &[Fr; LANES], step: &Fr, blocks: usize) -> Vec<Block> {
    let step = o.broadcast(&o.constant(step));
    let mut value = o.enter(first);
    let mut out = Vec::with_capacity(blocks);
    for _ in 0..blocks {
        out.push(o.store(value));
        value = o.tight(o.mul(value, step));
    }
    out
}

#[inline(always)]
fn fill_progression<O: Ops>(o: O, first: &[Fr; LANES], step: &Fr, out: &mut [Fr]) {
    let step = o.broadcast(&o.constant(step));
    let mut value = o.enter(first);
    for chunk in out.chunks_mut(LANES) {
        chunk.copy_from_slice(&o.leave(value)[..chunk.len()]);
        value = o.tight(o.mul(value, step));
    }
}

#[inline(always)]
fn dot_cycle_blocks<O: Ops>(o: O, first: &[Fr; LANES], steps: &[Block], column: &[Block]) -> Fr {
    let (mut value, mut sum) = (o.enter(first), o.enter(&[Fr::ZERO; LANES]));
    for (i, (block, step)) in column.iter().zip(steps.iter().cycle()).enumerate() {
        if i % LANES == 0 {
            sum = o.reduce(sum);
        }
        sum = o.add(sum, o.mul(value, o.tight(o.load(block))));
        value = o.tight(o.mul(value, o.load(step)));
    }
    o.leave(sum).iter().sum()
}

#[inline(always)]
fn multiply_blocks<O: Ops>(o: O, target: &mut [Block], factors: &[Block]) {
    for (block, factor) in target.iter_mut().zip(factors) {
        *block = o.store(o.tight(o.mul(o.tight(o.load(block)), o.load(factor))));
    }
}

#[inline(always)]
fn fold_blocks<O: Ops>(o: O, column: &[Block], factors: &[Constant], shifts: &[Block]) -> Vec<Block> {
    let (first, rest) = column.split_at(shifts.len());
    let mut out = Vec::with_capacity(shifts.len());
    for (i, (block, shift)) in first.iter().zip(shifts).enumerate() {
        let mut sum = o.load(block);
        for (part, factor) in rest.chunks_exact(shifts.len()).zip(&factors[1..]) {
            sum = o.add(sum, o.mul(o.tight(o.load(&part[i])), o.broadcast(factor)));
        }
        out.push(o.store(o.tight(o.mul(o.tight(sum), o.load(shift)))));
    }
    out
}

#[inline(always)]
fn scale_blocks<O: Ops>(o: O, target: &mut [Block], factor: &Constant) {
    let factor = o.broadcast(factor);
    for block in target {
        *block = o.store(o.tight(o.mul(o.tight(o.load(block)), factor)));
    }
}

#[inline(always)]
fn combine_blocks<O: Ops>(o: O, columns: &[&[Block]], factors: &[Constant]) -> Vec<Block> {
    let blocks = columns.first().map_or(0, |column| column.len());
    let zero = o.store(o.enter(&[Fr::ZERO; LANES]));
    let mut out = vec![zero; blocks];
    // Few sums at a time stay in the nearest cache; they are reduced before they could overflow.
    for start in (0..blocks).step_by(LANES) {
        let end = blocks.min(start + LANES);
        for (i, (column, factor)) in columns.iter().zip(factors).enumerate() {
            let factor = o.broadcast(factor);
            for (sum, block) in out[start..end].iter_mut().zip(&column[start..end]) {
                let mut total = o.load(sum);
                if i % LANES == 0 {
                    total = o.reduce(total);
                }
                *sum = o.store(o.add(total, o.mul(o.tight(o.load(block)), factor)));
            }
        }
        out[start..end].iter_mut().for_each(|sum| *sum = o.store(o.tight(o.reduce(o.load(sum)))));
    }
    out
}

#[inline(always)]
fn split_blocks<O: Ops>(
    o: O,
    halves: &[Block],
    odd: &[Fr; LANES],
    odd_step: &Fr,
    even: &[Fr; LANES],
    even_step: &Fr,
) -> Vec<Block> {
    let mut out = vec![Block::BLANK; 2 * halves.len()];
    let (first, second) = out.split_at_mut(halves.len());
    let (mut odd, mut even) = (o.enter(odd), o.enter(even));
    let (odd_step, even_step) = (o.broadcast(&o.constant(odd_step)), o.broadcast(&o.constant(even_step)));
    for (half, (first, second)) in halves.iter().zip(first.iter_mut().zip(second)) {
        let half = o.load(half);
        *first = o.store(o.tight(o.mul(o.tight(o.add(even, odd)), half)));
        *second = o.store(o.tight(o.mul(o.tight(o.sub(even, odd, 2)), half)));
        odd = o.tight(o.mul(odd, odd_step));
        even = o.tight(o.mul(even, even_step));
    }
    out
}

#[inline(always)]
fn dot_blocks<O: Ops>(o: O, a: &[Block], b: &[Block]) -> Fr {
    let mut sum = o.enter(&[Fr::ZERO; LANES]);
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        if i % LANES == 0 {
            sum = o.reduce(sum);
        }
        sum = o.add(sum, o.mul(o.tight(o.load(a)), o.tight(o.load(b))));
    }
    o.leave(sum).iter().sum()
}

/// A sum of values below `2 p`, reduced before it could overflow.
#[derive(Clone, Copy)]
struct Sum<O: Ops> {
    value: O::Value,
    added: usize,
}

impl<O: Ops> Sum<O> {
    #[inline(always)]
    fn zero(o: O) -> Self {
        Sum { value: o.enter(&[Fr::ZERO; LANES]), added: 0 }
    }

    #[inline(always)]
    fn add(&mut self, o: O, value: O::Value) {
        self.added += 1;
        if self.added.is_multiple_of(LANES) {
            self.value = o.reduce(self.value);
        }
        self.value = o.add(self.value, value);
    }
}

#[inline(always)]
fn sum_by_place<O: Ops>(o: O, column: &[Block]) -> Fr {
    let (mut sum, mut sums) = (o.enter(&[Fr::ZERO; LANES]), Sum::zero(o));
    for block in column {
        sum = o.reduce(o.add(sum, o.load(block)));
        sums.add(o, sum);
    }
    let (sum, sums) = (o.leave(sum), o.leave(sums.value));
    let number = |n: usize| Fr::from(n as u64);
    // A block with b before it is in all sums but b.
    let blocks = sum.iter().sum::<Fr>() * number(column.len()) - sums.iter().sum::<Fr>();
    let lanes: Fr = sum.iter().enumerate().map(|(lane, sum)| number(lane) * sum).sum();
    number(LANES) * blocks + lanes
}

#[inline(always)]
fn prefix_blocks<O: Ops>(o: O, column: &[Block]) -> Vec<Block> {
    let mut sum = Sum::zero(o);
    let mut out = Vec::with_capacity(column.len() / STRIDE + 1);
    for part in column.chunks(STRIDE) {
        out.push(o.store(o.tight(o.reduce(sum.value))));
        for block in part {
            sum.add(o, o.load(block));
        }
    }
    if column.len().is_multiple_of(STRIDE) {
        out.push(o.store(o.tight(o.reduce(sum.value))));
    }
    out
}

#[inline(always)]
fn sum_blocks_before<O: Ops>(o: O, column: &[Block], prefixes: &[Block], rows: &[u32]) -> Fr {
    let mut whole = Sum::zero(o);
    // The blocks that rows cut, by the lanes that stand before the row.
    let mut cut = [Sum::zero(o); LANES];
    for row in rows {
        let (block, lanes) = (*row as usize / LANES, *row as usize % LANES);
        whole.add(o, o.load(&prefixes[block / STRIDE]));
        for block in &column[block / STRIDE * STRIDE..block] {
            whole.add(o, o.load(block));
        }
        if lanes > 0 {
            cut[lanes].add(o, o.load(&column[block]));
        }
    }
    let before = cut.iter().enumerate().skip(1).filter(|(_, sum)| sum.added > 0);
    let cut: Fr = before.flat_map(|(lanes, sum)| o.leave(sum.value).into_iter().take(lanes)).sum();
    o.leave(whole.value).iter().sum::<Fr>() + cut
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

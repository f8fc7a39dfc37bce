//! Sums, greatest ones and the like of equal or consecutive groups of elements.

use super::graph::{BIT, Graph, Op, Whole};
use super::tensor::{Code, View, axes, offsets};
use nanozk_ir::float::Binary;

/// The elements with those of one reduction side by side, and the number of reductions.
pub(super) fn grouped(x: &View, over: &[usize]) -> (usize, Vec<Code>) {
    let kept: Vec<usize> = (0..x.shape.len()).filter(|a| !over.contains(a)).collect();
    let order = kept.iter().copied().chain((0..x.shape.len()).filter(|a| over.contains(a)));
    let groups = kept.iter().map(|&a| x.shape[a]).product();
    (groups, offsets(&axes(&x.shape, order)).into_iter().map(|i| x.codes[i]).collect())
}

/// Sums over consecutive stretches; constants are added up at once.
pub(super) fn sum(g: &mut Graph, x: Vec<Code>, sizes: &[u32]) -> Vec<Code> {
    let mut constants = Vec::with_capacity(sizes.len());
    let (mut rest, mut rest_sizes) = (Vec::with_capacity(x.len()), Vec::with_capacity(sizes.len()));
    let mut from = 0;
    for &size in sizes {
        let stretch = &x[from..from + size as usize];
        from += size as usize;
        constants.push(stretch.iter().filter_map(|&c| g.pool.value(c)).sum::<f64>());
        let before = rest.len();
        rest.extend(stretch.iter().copied().filter(|c| !c.is_constant()));
        rest_sizes.push((rest.len() - before) as u32);
    }
    let summed: Vec<usize> = (0..sizes.len()).filter(|&i| rest_sizes[i] > 1).collect();
    let mut out = vec![super::tensor::ZERO; sizes.len()];
    let mut at = 0;
    let mut terms = Vec::with_capacity(rest.len());
    for (i, &size) in rest_sizes.iter().enumerate() {
        match size {
            0 => (),
            1 => out[i] = rest[at],
            _ => terms.extend_from_slice(&rest[at..at + size as usize]),
        }
        at += size as usize;
    }
    if !summed.is_empty() {
        let sizes: Vec<u32> = summed.iter().map(|&i| rest_sizes[i]).collect();
        let most = sizes.iter().copied().max().unwrap_or(1);
        let whole = g.whole_of(&terms).map(|w| times(w, f64::from(most)));
        let count = sizes.len();
        let sums = g.add(Op::Sum { sizes }, vec![terms], count, whole);
        summed.iter().zip(sums).for_each(|(&i, code)| out[i] = code);
    }
    let constants: Vec<Code> = constants.into_iter().map(|c| g.pool.code(c)).collect();
    g.binary(Binary::Add, &out, &constants)
}

/// The interval of sums of 1 to `most` numbers of an interval.
fn times((lo, hi): Whole, most: f64) -> Whole {
    (lo.min(lo * most), hi.max(hi * most))
}

/// The greatest of each of `groups` equal stretches.
pub(super) fn greatest(g: &mut Graph, x: Vec<Code>, groups: usize) -> Vec<Code> {
    if x.len() == groups {
        return x;
    }
    if x.len() == 2 * groups {
        let half = |first: usize| x.iter().skip(first).step_by(2).copied().collect::<Vec<_>>();
        return g.binary(Binary::Max, &half(0), &half(1));
    }
    let whole = g.whole_of(&x);
    g.add(Op::Max { groups }, vec![x], groups, whole)
}

/// Whether one of each stretch is not 0.
pub(super) fn any(g: &mut Graph, x: Vec<Code>, groups: usize) -> Vec<Code> {
    let size = x.len() / groups.max(1);
    let count = sum(g, x, &vec![size as u32; groups]);
    if count.iter().all(|&c| g.is_bit(c)) {
        return count;
    }
    let one = g.pool.code(1.0);
    let any = g.binary(Binary::GreaterEqual, &count, &vec![one; groups]);
    debug_assert!(g.whole_of(&any).is_none_or(|w| w.0 >= BIT.0 && w.1 <= BIT.1));
    any
}

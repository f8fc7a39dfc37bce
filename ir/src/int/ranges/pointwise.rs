//! Elementwise ops.

use super::{Range, Unbounded, narrow};
use crate::int::interp::requant::round_shift;
use std::collections::HashMap;

pub(super) fn requant(x: &Range, shift: u32, out_bits: u32, clamp: bool) -> Result<Range, Unbounded> {
    let n = x.lo.len();
    let shifted = |v: &[i64]| v.iter().map(|&a| round_shift(a, shift).0).collect::<Vec<_>>();
    let (lo, hi) = (shifted(&x.lo), shifted(&x.hi));
    let (least, most) = (-(1i64 << (out_bits - 1)), (1i64 << (out_bits - 1)) - 1);
    let norm = x.norm / f64::from(shift).exp2() + 0.5 * (n as f64).sqrt();
    let fits = lo.iter().all(|&v| v >= least) && hi.iter().all(|&v| v <= most);
    if fits {
        let range = Range::new(lo, hi).with_norm(norm);
        return Ok(match (&x.form, x.stretches) {
            (Some(form), _) => form.shifted(shift).apply(range),
            (None, Some((len, norm))) => {
                range.with_stretches(len, norm / f64::from(shift).exp2() + 0.5 * (len as f64).sqrt())
            }
            (None, None) => range,
        });
    }
    if !clamp {
        let (lo, hi) = Range::new(lo, hi).bounds();
        return Err(Unbounded::Domain { lo, hi, what: format!("the result has {out_bits} bits") });
    }
    let limit = |v: Vec<i64>| v.into_iter().map(|a| a.clamp(least, most)).collect();
    Ok(Range::new(limit(lo), limit(hi)).with_norm(norm))
}

pub(super) fn table(x: &Range, table: &[i64]) -> Result<Range, Unbounded> {
    let half = (table.len() / 2) as i64;
    let (lo, hi) = x.bounds();
    if lo < -half || hi >= half {
        return Err(Unbounded::Domain { lo, hi, what: format!("the table covers [{}, {}]", -half, half - 1) });
    }
    // Many features have the same interval.
    let mut known = HashMap::new();
    let ends = |j: usize| {
        *known.entry((x.lo[j], x.hi[j])).or_insert_with(|| {
            let part = &table[(x.lo[j] + half) as usize..=(x.hi[j] + half) as usize];
            (part.iter().copied().min().unwrap_or(0), part.iter().copied().max().unwrap_or(0))
        })
    };
    let (out_lo, out_hi) = (0..x.lo.len()).map(ends).unzip();
    let zero = table[half as usize];
    let slope = (lo..=hi)
        .filter(|&i| i != 0)
        .map(|i| (table[(i + half) as usize] - zero).unsigned_abs() as f64 / i.unsigned_abs() as f64);
    let norm = slope.fold(0.0, f64::max) * x.norm + zero.unsigned_abs() as f64 * (x.lo.len() as f64).sqrt();
    Ok(Range::new(out_lo, out_hi).with_norm(norm))
}

pub(super) fn mul(a: &Range, b: &Range) -> Result<Range, Unbounded> {
    let n = a.lo.len();
    let (mut lo, mut hi) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for j in 0..n {
        let p = |x: i64, y: i64| i128::from(x) * i128::from(y);
        let corners = [p(a.lo[j], b.lo[j]), p(a.lo[j], b.hi[j]), p(a.hi[j], b.lo[j]), p(a.hi[j], b.hi[j])];
        let least = corners.iter().copied().min().unwrap_or(0);
        // Squares are never negative.
        let square = a.lo == b.lo && a.hi == b.hi && std::ptr::eq(a, b);
        lo.push(narrow(if square { least.max(0) } else { least })?);
        hi.push(narrow(corners.iter().copied().max().unwrap_or(0))?);
    }
    let widest = |r: &Range| (0..n).map(|j| r.peak(j)).fold(0.0, f64::max);
    let norm = (a.norm * widest(b)).min(b.norm * widest(a));
    Ok(Range::new(lo, hi).with_norm(norm))
}

/// A function that falls with its operand and is defined from 1 on.
pub(super) fn decreasing(x: &Range, f: impl Fn(i64) -> Option<i64>) -> Result<Range, Unbounded> {
    let ends = |v: &[i64]| v.iter().map(|&a| f(a)).collect::<Option<Vec<_>>>();
    match (ends(&x.hi), ends(&x.lo)) {
        (Some(lo), Some(hi)) => Ok(Range::new(lo, hi)),
        _ => {
            let (lo, hi) = x.bounds();
            Err(Unbounded::Domain { lo, hi, what: "the operand must be at least 1".into() })
        }
    }
}

pub(super) fn range(x: &Range, bits: u32) -> Result<Range, Unbounded> {
    let (least, most) = (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1);
    let lo = x.lo.iter().map(|&v| v.max(least)).collect();
    let hi = x.hi.iter().map(|&v| v.min(most)).collect();
    Ok(Range { form: x.form.clone(), ..Range::new(lo, hi).with_norm(x.norm) })
}

pub(super) fn argmax(args: &[&Range], groups: usize, bits: u32) -> Result<Range, Unbounded> {
    let features = args[0].lo.len();
    let width = features / groups;
    let sum = |end: fn(&Range) -> &[i64]| -> Result<Vec<i64>, Unbounded> {
        (0..features).map(|j| narrow(args.iter().map(|x| i128::from(end(x)[j])).sum())).collect()
    };
    let (lo, hi) = (sum(|x| &x.lo)?, sum(|x| &x.hi)?);
    for (lo, hi) in lo.chunks_exact(width).zip(hi.chunks_exact(width)) {
        let (lo, hi) = (lo.iter().copied().fold(i64::MAX, i64::min), hi.iter().copied().fold(i64::MIN, i64::max));
        if i128::from(hi) - i128::from(lo) >= 1 << bits {
            return Err(Unbounded::Domain { lo, hi, what: format!("differences have {bits} bits") });
        }
    }
    Ok(Range::uniform(groups, 0, width as i64 - 1))
}

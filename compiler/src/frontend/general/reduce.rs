//! Reductions over any axes.

use super::graph::{Graph, Op};
use super::groups::{any, greatest, grouped, sum};
use super::read::{Read, Reader, Value};
use super::softmax::unmasked;
use super::tensor::{Code, View, axes, offsets};
use nanozk_ir::float::{Binary, UnaryFn};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::CumSum;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    if let Some(op) = node.op_as::<CumSum>() {
        let x = r.view(&args[0])?;
        let codes = cumulative(r.graph, &x, op);
        return Ok(Some(vec![Value::View(View::new(&x.shape, codes))]));
    }
    let Some(op) = node.op_as::<Reduce>() else { return Ok(None) };
    let x = r.view(&args[0])?;
    let shape: Vec<usize> =
        x.shape.iter().enumerate().map(|(a, &n)| if op.axes.contains(&a) { 1 } else { n }).collect();
    let (groups, codes) = grouped(&x, &op.axes);
    let codes = reduce(r.graph, &op.reducer, groups, codes)?;
    Ok(Some(vec![Value::View(View::new(&shape, codes))]))
}

fn reduce(g: &mut Graph, reducer: &Reducer, groups: usize, x: Vec<Code>) -> Read<Vec<Code>> {
    let size = x.len() / groups.max(1);
    Ok(match reducer {
        Reducer::Sum => sum(g, x, &vec![size as u32; groups]),
        Reducer::MeanOfSquares => {
            let squares = g.unary(UnaryFn::Square, &x);
            let total = sum(g, squares, &vec![size as u32; groups]);
            g.with_constant(Binary::Mul, &total, 1.0 / size as f64)
        }
        Reducer::Max => {
            let shown = shown(g, x, groups, 0.0);
            greatest(g, shown, groups)
        }
        Reducer::Min => {
            let negated = g.unary(UnaryFn::Neg, &x);
            let most = greatest(g, negated, groups);
            g.unary(UnaryFn::Neg, &most)
        }
        Reducer::ArgMax(last) => {
            let shown = shown(g, x, groups, 1.0);
            argmax(g, shown, groups, *last)
        }
        Reducer::ArgMin(last) => {
            let negated = g.unary(UnaryFn::Neg, &x);
            argmax(g, negated, groups, *last)
        }
        Reducer::Prod => folded(g, x, groups, Binary::Mul),
        Reducer::All => folded(g, x, groups, Binary::And),
        Reducer::Any => any(g, x, groups),
    })
}

/// Elements that a mask hides by an infinite one, `below` under the least of their stretch instead: no greatest one of it as
/// long as another is visible.
fn shown(g: &mut Graph, x: Vec<Code>, groups: usize, below: f64) -> Vec<Code> {
    let Some((values, seen)) = unmasked(g, &x) else { return x };
    let size = x.len() / groups.max(1);
    let always = |stretch: &[Code]| stretch.iter().any(|&c| g.pool.value(c).is_some_and(|v| v != 0.0));
    if !seen.chunks_exact(size.max(1)).all(always) {
        let note = format!(
            "node \"{}\" takes the greatest of what a mask leaves visible; where it hides all, the file says -inf and the \
             proof the least of what is hidden: give it inputs of which something is visible",
            g.name
        );
        g.notes.extend((!g.notes.contains(&note)).then_some(note));
    }
    let negated = g.unary(UnaryFn::Neg, &values);
    let least = greatest(g, negated, groups);
    let least = g.with_constant(Binary::Add, &least, below);
    let least = g.unary(UnaryFn::Neg, &least);
    let least: Vec<Code> = least.into_iter().flat_map(|c| std::iter::repeat_n(c, size)).collect();
    g.select(&seen, &values, &least)
}

fn argmax(g: &mut Graph, x: Vec<Code>, groups: usize, last: bool) -> Vec<Code> {
    let size = x.len() / groups.max(1);
    let whole = Some((0.0, size as f64 - 1.0));
    if !last {
        return g.add(Op::ArgMax { groups }, vec![x], groups, whole);
    }
    let reversed = x.chunks_exact(size).flat_map(|s| s.iter().rev().copied()).collect();
    let from_end = g.add(Op::ArgMax { groups }, vec![reversed], groups, whole);
    let end = g.pool.code(size as f64 - 1.0);
    g.binary(Binary::Sub, &vec![end; groups], &from_end)
}

/// A function of two numbers folded over each stretch, as a balanced tree.
fn folded(g: &mut Graph, x: Vec<Code>, groups: usize, f: Binary) -> Vec<Code> {
    let mut rows: Vec<Vec<Code>> = x.chunks(x.len() / groups.max(1)).map(<[Code]>::to_vec).collect();
    while rows.first().is_some_and(|r| r.len() > 1) {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for row in &rows {
            let pairs = row.len() / 2;
            a.extend_from_slice(&row[..pairs]);
            b.extend_from_slice(&row[pairs..2 * pairs]);
        }
        let joined = g.binary(f, &a, &b);
        let pairs = rows[0].len() / 2;
        for (row, joined) in rows.iter_mut().zip(joined.chunks(pairs)) {
            let odd = row.get(2 * pairs).copied();
            *row = joined.iter().copied().chain(odd).collect();
        }
    }
    rows.concat()
}

/// Sums of growing stretches along one axis.
fn cumulative(g: &mut Graph, x: &View, op: &CumSum) -> Vec<Code> {
    let (groups, codes) = grouped(x, &[op.axis]);
    let size = codes.len() / groups.max(1);
    let (mut terms, mut sizes) = (Vec::new(), Vec::new());
    for row in codes.chunks(size.max(1)) {
        for i in 0..size {
            let part = match (op.reverse, op.exclusive) {
                (false, false) => &row[..=i],
                (false, true) => &row[..i],
                (true, false) => &row[i..],
                (true, true) => &row[i + 1..],
            };
            terms.extend_from_slice(part);
            sizes.push(part.len() as u32);
        }
    }
    let sums = sum(g, terms, &sizes);
    // Back to the order of the axes.
    let kept = (0..x.shape.len()).filter(|&a| a != op.axis).chain([op.axis]);
    let mut out = sums.clone();
    offsets(&axes(&x.shape, kept)).into_iter().zip(sums).for_each(|(place, code)| out[place] = code);
    out
}

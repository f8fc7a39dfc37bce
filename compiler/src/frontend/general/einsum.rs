//! Einstein sums: products with constants become shared linear maps, products of activations batched products.

use super::graph::{Graph, Op};
use super::read::{Read, Reader, Value, numbers};
use super::tensor::{Code, View, offsets, strides};
use crate::frontend::refusal::{Refusal, refuse};
use nanozk_ir::float::Binary;
use std::sync::Arc;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::AxesMapping;
use tract_onnx::tract_core::ops::einsum::EinSum;

/// One letter: its length and its stride in both operands and in the result (absent where it does not occur, 0 where
/// an axis of length 1 is spread).
#[derive(Clone, Copy, Debug)]
struct Letter {
    size: usize,
    a: Option<usize>,
    b: Option<usize>,
    out: Option<usize>,
}

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<EinSum>() else { return Ok(None) };
    if op.q_params.is_some() {
        return Err(refuse(
            "a product of quantised numbers",
            "export the model with QuantizeLinear and DequantizeLinear",
        ));
    }
    let fact = &node.outputs[0].fact;
    let shape = fact.shape.as_concrete().ok_or(Refusal::bare("a shape with symbols"))?;
    let one = Value::Const(tensor0(1f32).into_arc_tensor());
    let (swap, x, y) = match args {
        [x] => (false, x, &one),
        [x @ Value::Const(_), y @ Value::View(_)] => (true, y, x),
        [x, y] => (false, x, y),
        _ => return Err(refuse("a product of more than two factors", "multiply two at a time")),
    };
    let letters = letters(&op.axes, swap, x.shape(), y.shape(), shape)?;
    let x = r.view(x)?;
    let codes = match y {
        Value::Const(weight) => linear(r.graph, &letters, &x.codes, &numbers(weight)?, shape.iter().product()),
        Value::View(y) => product(r.graph, &letters, &x.codes, &y.codes, shape.iter().product()),
    };
    Ok(Some(vec![Value::View(View::new(shape, codes))]))
}

fn letters(map: &AxesMapping, swap: bool, a: &[usize], b: &[usize], out: &[usize]) -> Read<Vec<Letter>> {
    let place = |axes: Option<&TVec<usize>>, shape: &[usize]| -> Read<Option<(usize, usize)>> {
        match axes.map(|a| &a[..]) {
            None | Some([]) => Ok(None),
            Some(&[axis]) => Ok(Some((shape[axis], if shape[axis] == 1 { 0 } else { strides(shape)[axis] }))),
            Some(_) => Err(refuse("a product along a diagonal", "take the diagonal first")),
        }
    };
    map.iter_all_axes()
        .map(|axis| {
            let (ia, ib) = if swap { (1, 0) } else { (0, 1) };
            let (a, b) = (place(axis.inputs.get(ia), a)?, place(axis.inputs.get(ib), b)?);
            let out = place(axis.outputs.first(), out)?;
            let size = [a, b, out].iter().flatten().map(|p| p.0).max().unwrap_or(1);
            let stride = |p: Option<(usize, usize)>| p.filter(|p| p.0 > 1).map(|p| p.1);
            Ok(Letter { size, a: stride(a), b: stride(b), out: stride(out) })
        })
        .filter(|l| l.as_ref().map_or(true, |l: &Letter| l.size > 1))
        .collect()
}

/// Offsets into one tensor for all values of `letters`.
fn walk(letters: &[Letter], stride: fn(&Letter) -> Option<usize>) -> Vec<usize> {
    offsets(&letters.iter().map(|l| (l.size, stride(l).unwrap_or(0))).collect::<Vec<_>>())
}

fn pick(letters: &[Letter], which: impl Fn(&Letter) -> bool) -> Vec<Letter> {
    let mut picked: Vec<Letter> = letters.iter().copied().filter(|l| which(l)).collect();
    // The result's own order of axes.
    picked.sort_by_key(|l| std::cmp::Reverse(l.out));
    picked
}

/// `sum x[batch, m, k] w[batch, k, n]` with constant w: one shared linear map for each value of the batch letters.
fn linear(graph: &mut Graph, letters: &[Letter], x: &[Code], weight: &[f64], len: usize) -> Vec<Code> {
    let batch = pick(letters, |l| l.b.is_some() && l.a.is_some() && l.out.is_some());
    let columns = pick(letters, |l| l.b.is_some() && l.a.is_none() && l.out.is_some());
    let rows = pick(letters, |l| l.b.is_none() && l.out.is_some());
    let inner = pick(letters, |l| l.a.is_some() && l.out.is_none());
    let folded = pick(letters, |l| l.a.is_none() && l.out.is_none());
    let (xb, xm, xk) = (walk(&batch, |l| l.a), walk(&rows, |l| l.a), walk(&inner, |l| l.a));
    let (wb, wk, wn) = (walk(&batch, |l| l.b), walk(&inner, |l| l.b), walk(&columns, |l| l.b));
    let (ob, om, on) = (walk(&batch, |l| l.out), walk(&rows, |l| l.out), walk(&columns, |l| l.out));
    let wf = walk(&folded, |l| l.b);
    let entry = |at: usize| wf.iter().map(|f| weight[at + f]).sum::<f64>();
    let mut out = vec![super::tensor::ZERO; len];
    if inner.is_empty() {
        // No sum: a product element by element.
        let mut places = Vec::with_capacity(len);
        let (mut xs, mut ws) = (Vec::with_capacity(len), Vec::with_capacity(len));
        for (b, ob) in ob.iter().enumerate() {
            for (m, om) in om.iter().enumerate() {
                for (n, on) in on.iter().enumerate() {
                    places.push(ob + om + on);
                    xs.push(x[xb[b] + xm[m]]);
                    ws.push(graph.pool.code(entry(wb[b] + wn[n])));
                }
            }
        }
        let y = graph.binary(Binary::Mul, &xs, &ws);
        places.into_iter().zip(y).for_each(|(place, code)| out[place] = code);
        return out;
    }
    for (b, ob) in ob.iter().enumerate() {
        let matrix: Vec<f32> =
            wk.iter().flat_map(|k| wn.iter().map(move |n| k + n)).map(|at| entry(wb[b] + at) as f32).collect();
        let xs: Vec<Code> = xm.iter().flat_map(|m| xk.iter().map(move |k| m + k)).map(|at| x[xb[b] + at]).collect();
        let y = shared_linear(graph, xs, xm.len(), matrix);
        for (m, om) in om.iter().enumerate() {
            for (n, on) in on.iter().enumerate() {
                out[ob + om + on] = y[m * wn.len() + n];
            }
        }
    }
    out
}

/// The same linear map at each of `positions` stretches of x.
pub(super) fn shared_linear(graph: &mut Graph, x: Vec<Code>, positions: usize, weight: Vec<f32>) -> Vec<Code> {
    let inner = x.len() / positions.max(1);
    let outer = weight.len() / inner.max(1);
    let exact = weight.iter().all(|w| w.fract() == 0.0 && w.abs() < 32_768.0);
    let whole = graph.whole_of(&x).filter(|_| exact).map(|(lo, hi)| {
        let most = (0..outer)
            .map(|j| weight.iter().skip(j).step_by(outer).map(|w| f64::from(w.abs())).sum::<f64>())
            .fold(0.0, f64::max);
        let reach = most * lo.abs().max(hi.abs());
        (if lo >= 0.0 && weight.iter().all(|&w| w >= 0.0) { 0.0 } else { -reach }, reach)
    });
    let op = Op::Linear { positions, weight: Arc::new(weight), bias: None };
    graph.add(op, vec![x], positions * outer, whole)
}

/// `sum x[batch, m, k] z[batch, k, n]` of two activations.
fn product(graph: &mut Graph, letters: &[Letter], x: &[Code], z: &[Code], len: usize) -> Vec<Code> {
    let in_a = |l: &Letter| l.a.is_some();
    let in_b = |l: &Letter| l.b.is_some();
    let in_out = |l: &Letter| l.out.is_some();
    let batch = pick(letters, |l| in_out(l) && in_a(l) == in_b(l));
    let rows = pick(letters, |l| in_out(l) && in_a(l) && !in_b(l));
    let columns = pick(letters, |l| in_out(l) && in_b(l) && !in_a(l));
    let inner = pick(letters, |l| !in_out(l));
    let (xb, xm, xk) = (walk(&batch, |l| l.a), walk(&rows, |l| l.a), walk(&inner, |l| l.a));
    let (zb, zk, zn) = (walk(&batch, |l| l.b), walk(&inner, |l| l.b), walk(&columns, |l| l.b));
    let (ob, om, on) = (walk(&batch, |l| l.out), walk(&rows, |l| l.out), walk(&columns, |l| l.out));
    let mut xs = Vec::with_capacity(ob.len() * om.len() * xk.len());
    for b in &xb {
        xs.extend(xm.iter().flat_map(|m| xk.iter().map(move |k| x[b + m + k])));
    }
    let mut zs = Vec::with_capacity(ob.len() * on.len() * zk.len());
    for b in &zb {
        zs.extend(zk.iter().flat_map(|k| zn.iter().map(move |n| z[b + k + n])));
    }
    let y = matmul(graph, xs, zs, [ob.len(), om.len(), xk.len(), on.len()]);
    let mut out = vec![super::tensor::ZERO; len];
    for (b, ob) in ob.iter().enumerate() {
        for (m, om) in om.iter().enumerate() {
            for (n, on) in on.iter().enumerate() {
                out[ob + om + on] = y[(b * xm.len() + m) * zn.len() + n];
            }
        }
    }
    out
}

/// `batch` products of `[rows, inner]` and `[inner, cols]`.
pub(super) fn matmul(
    graph: &mut Graph,
    x: Vec<Code>,
    z: Vec<Code>,
    [batch, rows, inner, cols]: [usize; 4],
) -> Vec<Code> {
    if inner == 1 {
        // Outer products.
        let pairs = || (0..batch * rows).flat_map(|p| (0..cols).map(move |n| (p, p / rows * cols + n)));
        let xs: Vec<Code> = pairs().map(|(p, _)| x[p]).collect();
        let zs: Vec<Code> = pairs().map(|(_, n)| z[n]).collect();
        return graph.binary(Binary::Mul, &xs, &zs);
    }
    let whole = graph.whole_of(&x).zip(graph.whole_of(&z)).map(|((al, ah), (bl, bh))| {
        let reach = al.abs().max(ah.abs()) * bl.abs().max(bh.abs()) * inner as f64;
        (if al >= 0.0 && bl >= 0.0 { 0.0 } else { -reach }, reach)
    });
    graph.add(Op::MatMul { batch, rows, inner, cols }, vec![x, z], batch * rows * cols, whole)
}

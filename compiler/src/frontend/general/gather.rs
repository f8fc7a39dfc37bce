//! Elements read at places that are known only when the model runs.

use super::einsum::matmul;
use super::graph::{BIT, Graph, Op, Whole};
use super::read::{Read, Reader, Value, numbers};
use super::tensor::{Code, View, ZERO, axes, offsets, strides};
use crate::frontend::refusal::{Refusal, refuse};
use nanozk_ir::float::Binary;
use std::sync::Arc;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{Gather, GatherElements, GatherNd, OneHot};

/// Most rows of a table that whole numbers are compared with one by one.
const MOST_PLACES: f64 = 4096.0;

pub(super) fn read(r: &mut Reader, node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let fact = &node.outputs[0].fact;
    let shape = fact.shape.as_concrete().ok_or(Refusal::bare("a shape with symbols"))?;
    let codes = if let Some(op) = node.op_as::<Gather>() {
        let ids = r.view(&args[1])?;
        let ids = places(r.graph, &ids.codes, args[0].shape()[op.axis])?;
        match &args[0] {
            Value::Const(table) => from_table(r, table, op.axis, &ids)?,
            Value::View(data) => by_one_hot(r.graph, data, op.axis, &ids)?,
        }
    } else if let Some(op) = node.op_as::<GatherElements>() {
        let (data, ids) = (r.view(&args[0])?, r.view(&args[1])?);
        elements(r.graph, &data, &ids, op.axis)?
    } else if let Some(op) = node.op_as::<GatherNd>() {
        let (data, ids) = (r.view(&args[0])?, r.view(&args[1])?);
        tuples(r.graph, &data, &ids, op.batch_dims)?
    } else if let Some(op) = node.op_as::<OneHot>() {
        let ids = r.view(&args[0])?;
        let (off, on) = (numbers(&op.off)?[0], numbers(&op.on)?[0]);
        one_hot_axis(r.graph, &ids, op, off, on)?
    } else {
        return Ok(None);
    };
    Ok(Some(vec![Value::View(View::new(shape, codes))]))
}

/// Indices counted from the start of an axis of length `n`.
fn places(g: &mut Graph, ids: &[Code], n: usize) -> Read<Vec<Code>> {
    let (ids, (lo, _)) = inside(g, ids, n as f64)?;
    if lo >= 0.0 {
        return Ok(ids);
    }
    let length = g.pool.code(n as f64);
    let from_end = g.binary(Binary::Add, &ids, &vec![length; ids.len()]);
    let negative = g.binary(Binary::Greater, &vec![ZERO; ids.len()], &ids);
    let mut out = g.select(&negative, &from_end, &ids);
    // Every index lies within the axis, so the interval of the selection is too wide.
    out.iter_mut().for_each(|code| {
        if !code.is_constant() && g.node(*code).whole.is_some_and(|w| w.1 >= n as f64 || w.0 < 0.0) {
            g.nodes[code.node()].whole = Some((0.0, n as f64 - 1.0));
        }
    });
    Ok(out)
}

/// The interval of indices.
fn whole(g: &Graph, ids: &[Code]) -> Read<Whole> {
    g.whole_of(ids).ok_or(refuse("an index that is not a whole number", "cast it to an integer type"))
}

/// Most functions between inputs and an index.
const MOST_STEPS: usize = 32;

/// Whether an element follows element by element from inputs, so that these decide what it is.
fn given(g: &Graph, code: Code) -> bool {
    let mut open = vec![code];
    for _ in 0..MOST_STEPS {
        let Some(code) = open.pop() else { return true };
        let node = g.node(code);
        match node.op {
            Op::Input => (),
            Op::Elementwise(_) | Op::Quotient => {
                let read = node.args.iter().filter_map(|arg| arg.get(code.feature()));
                open.extend(read.filter(|c| !c.is_constant()));
            }
            _ => return false,
        }
    }
    open.is_empty()
}

/// Which indices inputs give such that they may leave `least..=most`.
fn leave(g: &Graph, ids: &[Code], (least, most): Whole) -> Vec<usize> {
    let beyond = |code: Code| g.whole(code).is_some_and(|(lo, hi)| lo < least || hi > most);
    (0..ids.len()).filter(|&i| beyond(ids[i]) && given(g, ids[i])).collect()
}

/// Indices of an axis of length `n`, and where they lie. ONNX has no answer where one that inputs give leaves the axis, and
/// there is no proof.
fn inside(g: &mut Graph, ids: &[Code], n: f64) -> Read<(Vec<Code>, Whole)> {
    let (lo, _) = whole(g, ids)?;
    let (least, most) = (if lo < 0.0 { -n } else { 0.0 }, n - 1.0);
    let mut ids = ids.to_vec();
    let outside = leave(g, &ids, (least, most));
    if !outside.is_empty() {
        let computed: Vec<Code> = outside.iter().map(|&i| ids[i]).collect();
        let op = Op::Within { least: least as i32, most: most as i32 };
        let checked = g.add(op, vec![computed], outside.len(), Some((least, most)));
        outside.iter().zip(checked).for_each(|(&i, code)| ids[i] = code);
    }
    let (lo, hi) = whole(g, &ids)?;
    if !lo.is_finite() || !hi.is_finite() {
        return Err(refuse(
            "an index of unknown range",
            "give sample data with --data, or clip it to the rows that there are where it is made of real numbers",
        ));
    }
    Ok((ids, (lo, hi)))
}

/// Rows of a constant table along `axis`.
fn from_table(r: &mut Reader, table: &Tensor, axis: usize, ids: &[Code]) -> Read<Vec<Code>> {
    let shape = table.shape().to_vec();
    let order = std::iter::once(axis).chain((0..shape.len()).filter(|&a| a != axis));
    let data = numbers(table)?;
    let rows: Vec<f64> = offsets(&axes(&shape, order)).into_iter().map(|i| data[i]).collect();
    let width = rows.len() / shape[axis].max(1);
    let y = embed(r.graph, ids, rows, width);
    // [ids][before][after] to [before][ids][after].
    let before: usize = shape[..axis].iter().product();
    let after: usize = shape[axis + 1..].iter().product();
    Ok(offsets(&[(before, after), (ids.len(), width), (after, 1)]).into_iter().map(|i| y[i]).collect())
}

/// The row of `rows` that each index names.
pub(super) fn embed(g: &mut Graph, ids: &[Code], mut rows: Vec<f64>, width: usize) -> Vec<Code> {
    let vocab = rows.len() / width.max(1);
    if let Some((_, hi)) = g.whole_of(ids) {
        rows.truncate((hi.min(vocab as f64 - 1.0) as usize + 1) * width);
    }
    let whole = rows.iter().all(|v| v.fract() == 0.0 && v.abs() < 2f64.powi(31)).then(|| {
        (rows.iter().copied().fold(f64::INFINITY, f64::min), rows.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    });
    // Constant indices are read at once, equal ones once.
    let mut distinct: Vec<Code> = ids.iter().copied().filter(|c| !c.is_constant()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let table = Arc::new(rows.iter().map(|&v| v as f32).collect::<Vec<_>>());
    let looked_up = match distinct.is_empty() {
        true => Vec::new(),
        false => g.add(Op::Embed { table }, vec![distinct.clone()], distinct.len() * width, whole),
    };
    let mut out = Vec::with_capacity(ids.len() * width);
    for &id in ids {
        match (g.pool.value(id), distinct.binary_search(&id)) {
            (Some(row), _) => {
                let row = (row as usize).min(vocab.saturating_sub(1)) * width;
                let values = rows.get(row..row + width).unwrap_or_default().to_vec();
                out.extend(values.into_iter().map(|v| g.pool.code(v)));
            }
            (None, Ok(at)) => out.extend_from_slice(&looked_up[at * width..(at + 1) * width]),
            (None, Err(_)) => out.extend(std::iter::repeat_n(ZERO, width)),
        }
    }
    out
}

/// For each index a row of `n` bits, of which the one that it names is 1.
fn one_hot(g: &mut Graph, ids: &[Code], n: usize) -> Read<Vec<Code>> {
    check_places(n)?;
    let identity = (0..n * n).map(|i| f64::from(u8::from(i / n == i % n))).collect();
    Ok(bits(g, ids, identity, n))
}

/// As [`one_hot`], negative indices counted from the end; no bit is 1 for an index beyond the axis.
fn marks(g: &mut Graph, ids: &[Code], n: usize) -> Read<Vec<Code>> {
    let (lo, _) = whole(g, ids)?;
    let size = n as f64;
    let outside = leave(g, ids, (if lo < 0.0 { -size } else { 0.0 }, size - 1.0));
    if outside.is_empty() {
        let ids = places(g, ids, n)?;
        return one_hot(g, &ids, n);
    }
    // One place at each end for what lies beyond.
    let first = if lo < 0.0 { -size - 1.0 } else { 0.0 };
    let raised = g.with_constant(Binary::Max, ids, first);
    let clipped = g.with_constant(Binary::Min, &raised, size);
    let rows = g.with_constant(Binary::Sub, &clipped, first);
    let count = (size - first) as usize + 1;
    check_places(count)?;
    let place = |row: usize| (row as f64 + first).rem_euclid(size) as usize;
    let within = |row: usize| (-size..size).contains(&(row as f64 + first));
    let table = (0..count * n).map(|i| f64::from(u8::from(within(i / n) && i % n == place(i / n))));
    Ok(bits(g, &rows, table.collect(), n))
}

/// Refuses more rows than whole numbers are compared with one by one.
fn check_places(n: usize) -> Read<()> {
    if n as f64 > MOST_PLACES {
        return Err(refuse(
            format!("an index over an axis of {n}"),
            format!("at most {MOST_PLACES} are supported: split the axis"),
        ));
    }
    Ok(())
}

/// The row of a table of bits that each index names.
fn bits(g: &mut Graph, ids: &[Code], rows: Vec<f64>, width: usize) -> Vec<Code> {
    let mut bits = embed(g, ids, rows, width);
    for code in &mut bits {
        if !code.is_constant() {
            g.nodes[code.node()].whole = Some(BIT);
        }
    }
    bits
}

/// Rows of activations along `axis`: products with one-hot rows.
fn by_one_hot(g: &mut Graph, data: &View, axis: usize, ids: &[Code]) -> Read<Vec<Code>> {
    let n = data.shape[axis];
    let before: usize = data.shape[..axis].iter().product();
    let after: usize = data.shape[axis + 1..].iter().product();
    let bits = one_hot(g, ids, n)?;
    let dims = [before, ids.len(), n, after];
    Ok(matmul(g, bits.repeat(before), data.codes.to_vec(), dims))
}

/// One element along `axis` for each element of `ids`.
fn elements(g: &mut Graph, data: &View, ids: &View, axis: usize) -> Read<Vec<Code>> {
    let n = data.shape[axis];
    let rows = places(g, &ids.codes, n)?;
    let bits = one_hot(g, &rows, n)?;
    let strides = strides(&data.shape);
    let lines = ids.shape.iter().enumerate().map(|(a, &size)| (size, if a == axis { 0 } else { strides[a] }));
    let columns: Vec<Code> = offsets(&lines.collect::<Vec<_>>())
        .into_iter()
        .flat_map(|base| (0..n).map(move |j| (base, j)))
        .map(|(base, j)| data.codes[base + j * strides[axis]])
        .collect();
    Ok(matmul(g, bits, columns, [rows.len(), 1, n, 1]))
}

/// Slices named by index tuples of which one coordinate varies.
fn tuples(g: &mut Graph, data: &View, ids: &View, batch_dims: usize) -> Read<Vec<Code>> {
    let depth = ids.shape.last().copied().unwrap_or(0);
    if batch_dims != 0 || depth == 0 || depth > data.shape.len() {
        return Err(refuse("an index with batch axes", "index one batch at a time"));
    }
    let strides = strides(&data.shape);
    let width: usize = data.shape[depth..].iter().product();
    let mut out = Vec::new();
    for tuple in ids.codes.chunks_exact(depth) {
        let varying: Vec<usize> = (0..depth).filter(|&d| !tuple[d].is_constant()).collect();
        let fixed = (0..depth).filter_map(|d| Some((g.pool.value(tuple[d])?, d)));
        let base: usize =
            fixed.map(|(v, d)| if v < 0.0 { v + data.shape[d] as f64 } else { v } as usize * strides[d]).sum();
        match varying[..] {
            [] => out.extend_from_slice(&data.codes[base..base + width]),
            [d] => {
                let n = data.shape[d];
                let row = places(g, &[tuple[d]], n)?;
                let bits = one_hot(g, &row, n)?;
                let stride = strides[d];
                let columns = (0..n).flat_map(|j| (0..width).map(move |c| j * stride + c));
                let columns = columns.map(|i| data.codes[base + i]).collect();
                out.extend(matmul(g, bits, columns, [1, 1, n, width]));
            }
            _ => return Err(refuse("an index of which two coordinates are computed", "flatten the axes first")),
        }
    }
    Ok(out)
}

/// A new axis along which the place of each index is marked; of one beyond it no place is.
fn one_hot_axis(g: &mut Graph, ids: &View, op: &OneHot, off: f64, on: f64) -> Read<Vec<Code>> {
    let bits = marks(g, &ids.codes, op.dim)?;
    let before: usize = ids.shape[..op.axis].iter().product();
    let after: usize = ids.shape[op.axis..].iter().product();
    let moved: Vec<Code> =
        offsets(&[(before, after * op.dim), (op.dim, 1), (after, op.dim)]).into_iter().map(|i| bits[i]).collect();
    let (off, on) = (g.pool.code(off), g.pool.code(on));
    Ok(g.select(&moved.clone(), &vec![on; moved.len()], &vec![off; moved.len()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::general::graph::ANY;

    /// The one table that is looked up, and the interval of its indices.
    fn table(g: &Graph, out: &[Code], width: usize) -> (Vec<Vec<f32>>, Option<Whole>) {
        let node = g.node(out[0]);
        let Op::Embed { table } = &node.op else { panic!("{:?}", node.op) };
        (table.chunks(width).map(<[f32]>::to_vec).collect(), g.whole_of(&node.args[0]))
    }

    #[test]
    fn an_index_beyond_an_axis_marks_no_place() {
        let mut g = Graph::default();
        let x = g.add(Op::Input, vec![], 2, Some((0.0, 7.0)));
        let bits = marks(&mut g, &x, 2).unwrap();
        let rows = vec![vec![1.0, 0.0], vec![0.0, 1.0], vec![0.0, 0.0]];
        assert_eq!(table(&g, &bits, 2), (rows.clone(), Some((0.0, 2.0))));
        let x = g.add(Op::Input, vec![], 2, Some(ANY));
        let bits = marks(&mut g, &x, 2).unwrap();
        // From -3 on.
        let both = [vec![vec![0.0, 0.0]], rows[..2].to_vec(), rows].concat();
        assert_eq!(table(&g, &bits, 2), (both, Some((0.0, 5.0))));
    }

    #[test]
    fn an_index_that_may_leave_an_axis_is_held_to_it() {
        let mut g = Graph::default();
        let checks = |g: &Graph| g.nodes.iter().filter(|node| matches!(node.op, Op::Within { .. })).count();
        let x = g.add(Op::Input, vec![], 3, Some((-9.0, 7.0)));
        let y = places(&mut g, &x, 4).unwrap();
        assert_eq!((g.whole_of(&y), checks(&g)), (Some((0.0, 3.0)), 1));
        assert!(g.nodes.iter().any(|node| matches!(node.op, Op::Within { least: -4, most: 3 })));
        let x = g.add(Op::Input, vec![], 3, Some((-4.0, 3.0)));
        places(&mut g, &x, 4).unwrap();
        assert_eq!(checks(&g), 1);
    }
}

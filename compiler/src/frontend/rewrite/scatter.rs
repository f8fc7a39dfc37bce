//! Elements read from and written to places that are computed: products with rows of which one element is 1.

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
    tensor,
};
use crate::frontend::refusal::{Refusal, incorrect, missing, refuse};
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

/// Most elements of the rows of one node.
pub(super) const MAX_MARKS: usize = 1 << 22;

/// How a written element meets what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduction {
    /// It takes its place.
    None,
    Add,
    Mul,
    Max,
    Min,
}

impl Reduction {
    fn of(node: &NodeProto) -> Reduction {
        match &node.text("reduction")[..] {
            "add" => Reduction::Add,
            "mul" => Reduction::Mul,
            "max" => Reduction::Max,
            "min" => Reduction::Min,
            _ => Reduction::None,
        }
    }
}

/// Rows [batch, m, width] written to rows of [batch, n, width] at the places [batch, m].
///
/// # Errors
/// When they are too many.
pub(super) fn put(
    make: &mut Builder<'_, '_>,
    [data, ids, new]: [&str; 3],
    [n, m]: [usize; 2],
    reduction: Reduction,
) -> Rewritten<String> {
    if n.saturating_mul(m) > MAX_MARKS {
        return Err(refuse(format!("it writes {m} elements to {n} computed places"), "use fewer, or fixed places"));
    }
    let marks = make.one_hot("marks", ids, n)?;
    if let Reduction::None | Reduction::Add = reduction {
        let turned = make.transpose("marks_turned", &marks, &[0, 2, 1]);
        let written = make.matmul("written", &turned, new);
        if reduction == Reduction::Add {
            return Ok(make.add("sum", data, &written));
        }
        let touched = make.total("touched", &turned)?;
        let one = make.scalar("one", 1.0)?;
        let kept = make.op("kept", "Sub", &[&one, &touched], Vec::new());
        let kept = make.unsqueeze("kept_column", &kept, &[-1])?;
        let old = make.mul("old", data, &kept);
        return Ok(make.add("all", &old, &written));
    }
    let turned = make.marks("turns", ids, n)?;
    let turned = make.transpose("turns_turned", &turned, &[0, 2, 1]);
    let mut value = data.to_owned();
    for r in 0..m as i64 {
        let here = make.slice(&format!("here{r}"), &turned, 2, r, r + 1)?;
        let row = make.slice(&format!("row{r}"), new, 1, r, r + 1)?;
        let op = match reduction {
            Reduction::Mul => "Mul",
            Reduction::Max => "Max",
            _ => "Min",
        };
        let met = make.op(&format!("met{r}"), op, &[&value, &row], Vec::new());
        value = make.op(&format!("after{r}"), "Where", &[&here, &met, &value], Vec::new());
    }
    Ok(value)
}

/// One value, which may be infinite, written to elements of [batch, n, 1] at the places [batch, m].
///
/// # Errors
/// When they are too many.
fn fill(make: &mut Builder<'_, '_>, [data, ids]: [&str; 2], [n, m]: [usize; 2], value: f32) -> Rewritten<String> {
    if n.saturating_mul(m) > MAX_MARKS {
        return Err(refuse(format!("it writes {m} elements to {n} computed places"), "use fewer, or fixed places"));
    }
    let marks = make.one_hot("marks", ids, n)?;
    let turned = make.transpose("marks_turned", &marks, &[0, 2, 1]);
    let touched = make.total("touched", &turned)?;
    let touched = make.op("written", "Cast", &[&touched], vec![node::int("to", DataType::Bool as i64)]);
    let touched = make.unsqueeze("written_column", &touched, &[-1])?;
    let value = make.scalar("value", value)?;
    Ok(make.op("filled", "Where", &[&touched, &value, data], Vec::new()))
}

/// The value that all elements of a constant of floats have.
fn uniform(make: &Builder<'_, '_>, name: Option<&str>) -> Rewritten<Option<f32>> {
    let Some(name) = name else { return Ok(None) };
    let value = make.net.constant(name)?.or_else(|| make.facts?.value(name));
    let Some(value) = value.filter(|v| v.datum_type().is_float()) else { return Ok(None) };
    let values = tensor::floats(&value)?;
    Ok(values.first().copied().filter(|first| values.iter().all(|v| v == first)))
}

/// Indices as floats counted from the start of an axis of length `n`.
fn from_start(make: &mut Builder<'_, '_>, part: &str, ids: &str, n: usize) -> Rewritten<String> {
    let ids = make.as_float(&format!("{part}_float"), ids);
    let (zero, length) =
        (make.scalar(&format!("{part}_zero"), 0.0)?, make.scalar(&format!("{part}_length"), n as f32)?);
    let negative = make.op(&format!("{part}_negative"), "Less", &[&ids, &zero], Vec::new());
    let from_end = make.add(&format!("{part}_from_end"), &ids, &length);
    Ok(make.op(&format!("{part}_place"), "Where", &[&negative, &from_end, &ids], Vec::new()))
}

/// The places of slices that index tuples [.., depth] name, as floats [..].
fn flat(make: &mut Builder<'_, '_>, ids: &str, axis: i64, lengths: &[usize]) -> Rewritten<String> {
    let mut sum: Option<String> = None;
    for (d, &n) in lengths.iter().enumerate() {
        let one = make.slice(&format!("coordinate{d}"), ids, axis, d as i64, d as i64 + 1)?;
        let one = make.squeeze(&format!("coordinate{d}_flat"), &one, &[axis])?;
        let place = from_start(make, &format!("coordinate{d}"), &one, n)?;
        let stride = lengths[d + 1..].iter().product::<usize>();
        let place = make.scale(&format!("coordinate{d}_rows"), &place, stride as f32)?;
        sum = Some(match sum {
            Some(sum) => make.add(&format!("rows{d}"), &sum, &place),
            None => place,
        });
    }
    sum.ok_or_else(|| incorrect("its indices name no axis"))
}

fn product(shape: &[usize]) -> i64 {
    shape.iter().product::<usize>() as i64
}

/// The type of `like`, under the name of an output.
fn finish(make: &mut Builder<'_, '_>, value: &str, like: &str, shape: &[usize], y: &str) -> Rewritten<Outcome> {
    let shape: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
    let shaped = make.reshape("shaped", value, &shape)?;
    make.last("CastLike", &[&shaped, like], y, Vec::new());
    Ok(Outcome::Replaced)
}

type Three<'n> = (&'n str, &'n str, &'n str, &'n str);

fn operands(node: &NodeProto) -> Rewritten<Three<'_>> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.at(2)?, node.out(0)?));
    parts().ok_or_else(missing)
}

/// `ScatterND` with computed places, or with a reduction.
pub(super) fn slices(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (data, ids, new, y) = operands(node)?;
    let reduction = Reduction::of(node);
    if make.net.is_fixed(ids) && reduction == Reduction::None {
        return super::indices::from_the_end(make, node);
    }
    let (Some(shape), Some(tuples)) = (make.shape(data), make.shape(ids)) else { return Ok(Outcome::Later) };
    let depth = tuples.last().copied().unwrap_or(0);
    if depth == 0 || depth > shape.len() {
        return Err(incorrect(format!("its indices have the shape {tuples:?}")));
    }
    let count = product(&tuples[..tuples.len() - 1]);
    let (n, width) = (product(&shape[..depth]), product(&shape[depth..]));
    let ids = make.reshape("ids", ids, &[1, count, depth as i64])?;
    let places = flat(make, &ids, 2, &shape[..depth])?;
    let float = |make: &mut Builder<'_, '_>, part: &str, x: &str, rows: i64| {
        let shaped = make.reshape(&format!("{part}_rows"), x, &[1, rows, width])?;
        Ok::<_, Refusal>(make.as_float(part, &shaped))
    };
    let (old, new) = (float(make, "data", data, n)?, float(make, "new", new, count)?);
    let out = put(make, [&old, &places, &new], [n as usize, count as usize], reduction)?;
    finish(make, &out, data, &shape, y)
}

/// `ScatterElements` with computed places, or with a reduction.
pub(super) fn elements(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (data, ids, new, y) = operands(node)?;
    let reduction = Reduction::of(node);
    if make.net.is_fixed(ids) && reduction == Reduction::None {
        return Ok(Outcome::Kept);
    }
    let (Some(shape), Some(within)) = (make.shape(data), make.shape(ids)) else { return Ok(Outcome::Later) };
    let rank = shape.len();
    let axis = node::place(node.int("axis", 0), rank).unwrap_or(rank);
    if axis == rank || within.len() != rank || (0..rank).any(|a| a != axis && within[a] > shape[a]) {
        return Err(incorrect(format!("its indices have the shape {within:?}, its data {shape:?}")));
    }
    let order: Vec<i64> = (0..rank).filter(|&a| a != axis).chain([axis]).map(|a| a as i64).collect();
    let dims = |shape: &[usize]| order.iter().map(|&a| shape[a as usize]).collect::<Vec<_>>();
    let (all, some) = (dims(&shape), dims(&within));
    let (n, m, lines) = (shape[axis], within[axis], product(&some[..rank - 1]));
    let last = |make: &mut Builder<'_, '_>, part: &str, x: &str| make.transpose(&format!("{part}_turned"), x, &order);
    let whole = last(make, "data", data);
    let whole = make.as_float("data_float", &whole);
    let mut old = whole.clone();
    for a in (0..rank - 1).filter(|&a| some[a] < all[a]) {
        old = make.slice(&format!("data_part{a}"), &old, a as i64, 0, some[a] as i64)?;
    }
    let old = make.reshape("data_lines", &old, &[lines, n as i64, 1])?;
    let (ids, new) = (last(make, "ids", ids), last(make, "new", new));
    let ids = make.reshape("ids_lines", &ids, &[lines, m as i64])?;
    let places = from_start(make, "ids", &ids, n)?;
    let mut out = match uniform(make, node.at(2))?.filter(|_| reduction == Reduction::None) {
        Some(value) => fill(make, [&old, &places], [n, m], value)?,
        None => {
            let new = make.reshape("new_lines", &new, &[lines, m as i64, 1])?;
            let new = make.as_float("new_float", &new);
            put(make, [&old, &places, &new], [n, m], reduction)?
        }
    };
    if some[..rank - 1] != all[..rank - 1] {
        // The lines that no index names.
        let (written, rest) = (make.reshape("written_flat", &out, &[-1])?, make.reshape("rest_flat", &whole, &[-1])?);
        let both = make.concat("both", &[&written, &rest], 0);
        let count = product(&all) as usize;
        let place = |flat: usize| {
            let mut index = vec![0; rank];
            let mut left = flat;
            for a in (0..rank).rev() {
                index[a] = left % all[a];
                left /= all[a];
            }
            let inside = (0..rank - 1).all(|a| index[a] < some[a]);
            let line = (0..rank - 1).fold(0, |l, a| l * some[a] + index[a]);
            Some(if inside { line * n + index[rank - 1] } else { lines as usize * n + flat })
        };
        let places: Vec<Option<usize>> = (0..count).map(place).collect();
        out = make.pick("lines", &both, &places, &all)?;
    }
    let all: Vec<i64> = all.iter().map(|&d| d as i64).collect();
    let out = make.reshape("lines_shaped", &out, &all)?;
    let out = make.transpose_back("back", &out, &order);
    finish(make, &out, data, &shape, y)
}

/// `GatherND` with computed indices: rows of the data with the indexed axes as one.
pub(super) fn gather_nd(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.out(0)?));
    let (data, ids, y) = parts().ok_or_else(missing)?;
    if make.net.is_fixed(ids) {
        return super::indices::from_the_end(make, node);
    }
    let (Some(shape), Some(tuples)) = (make.shape(data), make.shape(ids)) else { return Ok(Outcome::Later) };
    let batch = usize::try_from(node.int("batch_dims", 0)).unwrap_or(0);
    let depth = tuples.last().copied().unwrap_or(0);
    if depth == 0 || batch + depth > shape.len() || batch >= tuples.len() {
        return Err(incorrect(format!("its indices have the shape {tuples:?}")));
    }
    let (lots, count) = (product(&shape[..batch]), product(&tuples[batch..tuples.len() - 1]));
    let (rows, width) = (product(&shape[batch..batch + depth]), product(&shape[batch + depth..]));
    let ids = make.reshape("ids", ids, &[lots, count, depth as i64])?;
    let mut places = flat(make, &ids, 2, &shape[batch..batch + depth])?;
    let (least, most) = (make.scalar("least", 0.0)?, make.scalar("most", rows as f32 - 1.0)?);
    places = make.op("raised", "Max", &[&places, &least], Vec::new());
    places = make.op("inside", "Min", &[&places, &most], Vec::new());
    if lots > 1 {
        let starts: Vec<f32> = (0..lots).map(|b| (b * rows) as f32).collect();
        let starts = make.floats("starts", &starts, &[lots as usize, 1])?;
        places = make.add("rows_of_all", &places, &starts);
    }
    let places = make.op("places", "Cast", &[&places], vec![node::int("to", 7)]);
    let table = make.reshape("table", data, &[lots * rows, width])?;
    let taken = make.gather("taken", &table, &places, 0);
    let out: Vec<i64> = tuples[..tuples.len() - 1].iter().chain(&shape[batch + depth..]).map(|&d| d as i64).collect();
    let out = make.list("shape", &out)?;
    make.last("Reshape", &[&taken, &out], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `TensorScatter`: rows of a cache from a place of its own in each of the batch.
pub(super) fn cache(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.out(0)?));
    let (past, new, y) = parts().ok_or_else(missing)?;
    let (Some(shape), Some(update)) = (make.shape(past), make.shape(new)) else { return Ok(Outcome::Later) };
    let rank = shape.len();
    let axis = node::place(node.int("axis", -2), rank).unwrap_or(0);
    if axis == 0 || update.len() != rank {
        return Err(incorrect(format!("its cache has the shape {shape:?}, what is new {update:?}")));
    }
    let (n, m, batch) = (shape[axis], update[axis], shape[0]);
    let order: Vec<i64> = [0, axis].into_iter().chain((1..rank).filter(|&a| a != axis)).map(|a| a as i64).collect();
    let rows = |make: &mut Builder<'_, '_>, part: &str, x: &str, rows: usize| {
        let turned = make.transpose(&format!("{part}_turned"), x, &order);
        make.reshape(part, &turned, &[batch as i64, rows as i64, -1])
    };
    let (old, new) = (rows(make, "old_rows", past, n)?, rows(make, "new_rows", new, m)?);
    let steps: Vec<f32> = (0..batch * m).map(|i| (i % m) as f32).collect();
    let mut places = make.floats("steps", &steps, &[batch, m])?;
    if let Some(starts) = node.at(2) {
        let starts = make.as_float("starts", starts);
        let starts = make.reshape("starts_column", &starts, &[batch as i64, 1])?;
        places = make.add("places", &starts, &places);
    }
    if node.text("mode") == "circular" {
        let length = make.scalar("length", n as f32)?;
        let beyond = make.op("beyond", "GreaterOrEqual", &[&places, &length], Vec::new());
        let turned = make.op("around", "Sub", &[&places, &length], Vec::new());
        places = make.op("places_around", "Where", &[&beyond, &turned, &places], Vec::new());
    }
    let out = put(make, [&old, &places, &new], [n, m], Reduction::None)?;
    let dims: Vec<i64> = order.iter().map(|&a| shape[a as usize] as i64).collect();
    let out = make.reshape("rows_shaped", &out, &dims)?;
    let out = make.transpose_back("back", &out, &order);
    make.export(&out, Some(y));
    Ok(Outcome::Replaced)
}

/// `OneHot` whose two values are computed.
pub(super) fn one_hot(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (ids, depth, values, y) = operands(node)?;
    if make.net.is_fixed(values) {
        return Ok(Outcome::Kept);
    }
    let Some(rank) = make.rank(ids) else { return Ok(Outcome::Later) };
    let depth = make.net.constant(depth)?.ok_or(refuse("its depth is computed", "export it with a fixed one"))?;
    let depth = tensor::floats(&depth)?.first().copied().unwrap_or(0.0) as usize;
    let axis = node::place(node.int("axis", -1), rank + 1).ok_or(incorrect("its axis lies outside"))? as i64;
    let places = from_start(make, "ids", ids, depth)?;
    let marks = make.marks("marks", &places, depth)?;
    let order: Vec<i64> = (0..axis).chain([rank as i64]).chain(axis..rank as i64).collect();
    let marks = make.transpose("marks_turned", &marks, &order);
    let (off, on) = (make.slice("off", values, 0, 0, 1)?, make.slice("on", values, 0, 1, 2)?);
    make.last("Where", &[&marks, &on, &off], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `ReverseSequence`: the first elements of each sequence the other way round.
pub(super) fn reverse(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.out(0)?));
    let (x, lengths, y) = parts().ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let (time, batch) = (node.int("time_axis", 0), node.int("batch_axis", 1));
    if shape.len() < 2 || (time, batch) != (0, 1) && (time, batch) != (1, 0) {
        return Err(incorrect("its axes are not the first two"));
    }
    let (steps, lots) = (shape[time as usize], shape[batch as usize]);
    if steps.saturating_mul(steps).saturating_mul(lots) > MAX_MARKS {
        return Err(refuse(format!("it turns sequences of {steps} steps"), "use shorter ones"));
    }
    let order: Vec<i64> = [batch, time].into_iter().chain(2..shape.len() as i64).collect();
    let turned = make.transpose("turned", x, &order);
    let rows = make.reshape("rows", &turned, &[lots as i64, steps as i64, -1])?;
    let lengths = make.as_float("lengths", lengths);
    let lengths = make.reshape("lengths_column", &lengths, &[lots as i64, 1])?;
    let places: Vec<f32> = (0..steps).map(|t| t as f32).collect();
    let places = make.floats("places", &places, &[1, steps])?;
    let next: Vec<f32> = (0..steps).map(|t| t as f32 + 1.0).collect();
    let next = make.floats("next", &next, &[1, steps])?;
    let inside = make.op("inside", "Less", &[&places, &lengths], Vec::new());
    let mirrored = make.op("mirrored", "Sub", &[&lengths, &next], Vec::new());
    let sources = make.op("sources", "Where", &[&inside, &mirrored, &places], Vec::new());
    let marks = make.one_hot("marks", &sources, steps)?;
    let out = make.matmul("out", &marks, &rows);
    let dims: Vec<i64> = order.iter().map(|&a| shape[a as usize] as i64).collect();
    let out = make.reshape("out_shaped", &out, &dims)?;
    make.last("Transpose", &[&out], y, vec![node::ints("perm", &order)]);
    Ok(Outcome::Replaced)
}

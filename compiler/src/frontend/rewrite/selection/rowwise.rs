//! Operators that compute each row by itself.

use super::{
    super::{builder::Builder, facts::FLOAT, net::Rewritten, node::Parts},
    indices::{entries, flat},
    operands::{axes, axis, known, mixes},
    value::{Entry, Grid, Rows, Value, Values, union},
};
use crate::frontend::refusal::lacks;
use std::rc::Rc;
use tract_onnx::pb::NodeProto;

/// Functions of one element each of their operands, broadcast.
const ELEMENTWISE: [&str; 47] = [
    "Abs",
    "Add",
    "And",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Tanh",
];

/// The rows behind a value; none for one that has the same rows whatever the data.
pub(super) fn rows<'v>(values: &'v Values, name: &str) -> Rewritten<Option<&'v Rows>> {
    match values.get(name) {
        Some(Value::Rows(rows)) => Ok(Some(rows)),
        Some(_) => Err(mixes()),
        None => Ok(None),
    }
}

/// The rows with one for each combination of these coordinates.
pub(super) fn spread(make: &mut Builder<'_, '_>, rows: &Rows, coords: &[usize]) -> Rewritten<Rows> {
    if rows.coords == coords {
        return Ok(rows.clone());
    }
    let places: Vec<i64> = rows.grid.spread(&rows.coords, coords).into_iter().map(|p| p as i64).collect();
    let places = make.list("rows", &places)?;
    let name = make.gather("spread", &rows.name, &places, rows.axis as i64);
    Ok(Rows { name, coords: coords.to_vec(), ..rows.clone() })
}

/// The rows multiplied by their factor.
pub(super) fn whole(make: &mut Builder<'_, '_>, rows: &Rows) -> Rewritten<Rows> {
    let Some(factor) = &rows.factor else { return Ok(rows.clone()) };
    let coords = union(&rows.coords, &factor.coords);
    let plain = Rows { factor: None, ..rows.clone() };
    let (a, b) = (spread(make, &plain, &coords)?, spread(make, factor, &coords)?);
    let name = make.mul("weighed", &a.name, &b.name);
    Ok(Rows { name, ..a })
}

/// The node with other inputs.
fn again(make: &mut Builder<'_, '_>, node: &NodeProto, inputs: Vec<String>) {
    make.nodes.push(NodeProto { input: inputs, name: node.label().to_owned(), ..node.clone() });
}

/// The outputs of a node that reads rows.
pub(super) fn rowwise(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values) -> Rewritten<Vec<Rows>> {
    let op = &node.op_type[..];
    let plain = node.domain.is_empty() || matches!(op, "FastGelu" | "QuickGelu");
    let first = rows(values, node.at(0).unwrap_or_default())?;
    let y = node.out(0).ok_or_else(|| lacks("an output"))?.to_owned();
    if let ("Mul", [a, b]) = (op, &node.input[..])
        && let (Some(a), Some(b)) = (rows(values, a)?, rows(values, b)?)
        && let Some(product) = product(a, b)
    {
        return Ok(vec![product]);
    }
    if let Some(x) = first.filter(|x| x.factor.is_some())
        && (op == "Identity" || op == "Cast" && node.int("to", 0) == i64::from(FLOAT))
    {
        return Ok(vec![x.clone()]);
    }
    if plain && (ELEMENTWISE.contains(&op) || matches!(op, "Where" | "FastGelu" | "QuickGelu")) {
        return Ok(vec![elementwise(make, node, values, y)?]);
    }
    let x = first.ok_or_else(mixes)?;
    if op == "Expand" {
        return Ok(vec![expand(make, node, values, x)?]);
    }
    let x = whole(make, x)?;
    let others = |from: usize| node.input[from.min(node.input.len())..].iter();
    let named = |name: String| std::iter::once(name).chain(others(1).cloned()).collect::<Vec<_>>();
    let rank = x.dims.len();
    if matches!(op, "Reshape" | "Slice") {
        return Ok(vec![if op == "Reshape" { reshape(make, node, values, x)? } else { slice(make, node, values, x)? }]);
    }
    if others(1).any(|input| values.contains_key(input)) {
        return Err(mixes());
    }
    let one = |dims: Vec<usize>, axis: usize| Rows { name: y.clone(), dims, axis, ..x.clone() };
    let result = match op {
        "MatMul" if x.axis + 1 < rank => {
            let weight = make.shape(node.at(1).unwrap_or_default()).filter(|w| w.len() == 2).ok_or_else(mixes)?;
            let mut dims = x.dims.clone();
            dims[rank - 1] = weight[1];
            one(dims, x.axis)
        }
        "Gemm" if x.axis == 0 && rank == 2 && node.int("transA", 0) == 0 => {
            let weight = make.shape(node.at(1).unwrap_or_default()).filter(|w| w.len() == 2).ok_or_else(mixes)?;
            let bias = node.at(2).map(|c| make.shape(c).ok_or_else(mixes)).transpose()?;
            if bias.is_some_and(|c| c.len() == 2 && c[0] != 1) {
                return Err(mixes());
            }
            one(vec![x.dims[0], weight[usize::from(node.int("transB", 0) == 0)]], 0)
        }
        "Softmax" | "LogSoftmax" | "Hardmax" => {
            let at = axis(node.int("axis", if make.net.opset < 13 { 1 } else { -1 }), rank)?;
            let apart = if make.net.opset < 13 { x.axis < at } else { x.axis != at };
            if !apart {
                return Err(mixes());
            }
            one(x.dims.clone(), x.axis)
        }
        "LayerNormalization" | "RMSNormalization" if x.axis < axis(node.int("axis", -1), rank)? => {
            one(x.dims.clone(), x.axis)
        }
        "Transpose" => {
            let order: Vec<usize> = match node.ints("perm") {
                [] => (0..rank).rev().collect(),
                given => given.iter().map(|&a| axis(a, rank)).collect::<Rewritten<_>>()?,
            };
            let at = order.iter().position(|&a| a == x.axis).ok_or_else(mixes)?;
            one(order.iter().map(|&a| x.dims[a]).collect(), at)
        }
        "Unsqueeze" => {
            let count = known(make, node.at(1))?.map_or(node.ints("axes").len(), |axes| axes.len());
            let ones = axes(make, node, rank + count)?.ok_or_else(mixes)?;
            let kept: Vec<usize> = (0..rank + count).filter(|a| !ones.contains(a)).collect();
            let mut dims = vec![1; rank + count];
            kept.iter().zip(&x.dims).for_each(|(&a, &d)| dims[a] = d);
            one(dims, *kept.get(x.axis).ok_or_else(mixes)?)
        }
        "Squeeze" => {
            let gone = axes(make, node, rank)?.filter(|gone| !gone.contains(&x.axis)).ok_or_else(mixes)?;
            let kept: Vec<usize> = (0..rank).filter(|a| !gone.contains(a)).collect();
            one(kept.iter().map(|&a| x.dims[a]).collect(), kept.iter().position(|&a| a == x.axis).ok_or_else(mixes)?)
        }
        "Flatten" if x.axis == 0 && node.int("axis", 1) == 1 => one(vec![x.dims[0], x.dims[1..].iter().product()], 0),
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceL2" | "ReduceSumSquare" => {
            let over = axes(make, node, rank)?.filter(|over| !over.contains(&x.axis)).ok_or_else(mixes)?;
            let keep = node.int("keepdims", 1) != 0;
            let dims = (0..rank).filter(|a| keep || !over.contains(a));
            let dims = dims.map(|a| if over.contains(&a) { 1 } else { x.dims[a] }).collect();
            let before = over.iter().filter(|&&a| a < x.axis).count();
            one(dims, if keep { x.axis } else { x.axis - before })
        }
        "Split" => return split(make, node, x),
        _ => return Err(mixes()),
    };
    again(make, node, named(x.name.clone()));
    Ok(vec![result])
}

/// The product of two values of different coordinates, yet to be made: whoever puts it back adds up factors first.
fn product(a: &Rows, b: &Rows) -> Option<Rows> {
    let (x, f) = if a.coords.len() <= b.coords.len() { (a, b) } else { (b, a) };
    let fits = a.grid == b.grid
        && a.expert == b.expert
        && a.axis == b.axis
        && a.dims.len() == b.dims.len()
        && a.coords != b.coords;
    let wide = (0..x.dims.len()).all(|i| i == x.axis || f.dims[i] == 1 || f.dims[i] == x.dims[i]);
    let open = x.factor.is_none() && f.factor.is_none();
    (fits && wide && open).then(|| Rows { factor: Some(Box::new(f.clone())), ..x.clone() })
}

fn elementwise(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values, y: String) -> Rewritten<Rows> {
    let mut operands = Vec::new();
    for input in &node.input {
        operands.push(match rows(values, input)? {
            Some(rows) => Some(whole(make, rows)?),
            None => None,
        });
    }
    let first = operands.iter().flatten().next().ok_or_else(mixes)?.clone();
    let from_end = first.dims.len() - first.axis;
    let coords = operands.iter().flatten().fold(Vec::new(), |all, r| union(&all, &r.coords));
    let (mut inputs, mut dims) = (Vec::new(), Vec::new());
    for (input, operand) in node.input.iter().zip(operands) {
        let shape = match operand {
            Some(r) if r.grid == first.grid && r.expert == first.expert && r.dims.len() - r.axis == from_end => {
                inputs.push(spread(make, &r, &coords)?.name);
                r.dims
            }
            Some(_) => return Err(mixes()),
            None => {
                inputs.push(input.clone());
                let shape = if input.is_empty() { Some(Vec::new()) } else { make.shape(input) };
                let shape = shape.ok_or_else(mixes)?;
                if shape.len() >= from_end && shape[shape.len() - from_end] != 1 {
                    return Err(mixes());
                }
                shape
            }
        };
        let rank = dims.len().max(shape.len());
        let padded = |d: &[usize]| [vec![1; rank - d.len()], d.to_vec()].concat();
        dims = padded(&dims).into_iter().zip(padded(&shape)).map(|(a, b)| a.max(b)).collect();
    }
    again(make, node, inputs);
    Ok(Rows { name: y, coords, axis: dims.len() - from_end, dims, ..first })
}

/// Rows of a value at the places of rows: itself where those are all of its rows in order.
pub(super) fn gather(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values) -> Rewritten<Rows> {
    let (data, index) = node.at(0).zip(node.at(1)).ok_or_else(|| lacks("an input"))?;
    let Some(Value::Index(index)) = values.get(index) else { return Err(mixes()) };
    let shape = make.shape(data).ok_or_else(mixes)?;
    let several = node.op_type == "GatherND";
    let at = if several { 0 } else { axis(node.int("axis", 0), shape.len())? };
    let depth = if several { index.width() } else { 1 };
    let fits = match several {
        true => index.rank == 2 && index.row_axis == 0 && node.int("batch_dims", 0) == 0,
        false => index.width() == 1,
    };
    if !fits || index.times != 1 || index.divisor != 1 || depth > shape.len() {
        return Err(mixes());
    }
    let column = flat(index, &shape[at..at + depth])?;
    let rows: usize = shape[at..at + depth].iter().product();
    let mut name = data.to_owned();
    if depth > 1 {
        let flat: Vec<i64> = [&[rows], &shape[depth..]].concat().into_iter().map(|d| d as i64).collect();
        name = make.reshape("table", data, &flat)?;
    }
    if !column.values.iter().copied().eq(0..rows as i64) {
        let places = make.list("places", &column.values)?;
        name = make.gather("taken", &name, &places, at as i64);
    }
    let mut dims = [&shape[..at], &[0], &shape[at + depth..]].concat();
    let mut row_axis = at;
    if !several && index.rank == 2 {
        row_axis = at + index.row_axis;
        name = make.unsqueeze("column", &name, &[(at + 1 - index.row_axis) as i64])?;
        dims.insert(at + 1 - index.row_axis, 1);
    }
    Ok(Rows {
        name,
        grid: index.grid.clone(),
        coords: column.coords.clone(),
        axis: row_axis,
        dims,
        factor: None,
        expert: None,
    })
}

/// Whether a target length keeps the rows.
fn keeps(entry: &Entry, grid: &Rc<Grid>) -> bool {
    matches!(entry, Entry::Fixed(1)) || matches!(entry, Entry::Rows(g) if g == grid)
}

fn expand(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values, x: &Rows) -> Rewritten<Rows> {
    let target = entries(make, node.at(1), values)?.ok_or_else(mixes)?;
    let rank = x.dims.len().max(target.len());
    let (more, less) = (rank - x.dims.len(), rank - target.len());
    let (mut dims, mut list) = (Vec::new(), Vec::new());
    for a in 0..rank {
        let own = a.checked_sub(more).map_or(1, |a| x.dims[a]);
        let wanted = a.checked_sub(less).map_or(&Entry::Fixed(1), |a| &target[a]);
        match wanted {
            entry if a == x.axis + more && keeps(entry, &x.grid) => list.push(1),
            Entry::Fixed(n) if a != x.axis + more => list.push(own.max(usize::try_from(*n).unwrap_or(1)) as i64),
            _ => return Err(mixes()),
        }
        dims.push(if a == x.axis + more { 0 } else { list[a] as usize });
    }
    let same = more == 0 && (0..rank).all(|a| a == x.axis || dims[a] == x.dims[a]);
    if same {
        return Ok(x.clone());
    }
    let x = whole(make, x)?;
    let list = make.list("target", &list)?;
    let name = make.op("expanded", "Expand", &[&x.name, &list], Vec::new());
    Ok(Rows { name, axis: x.axis + more, dims, ..x })
}

fn reshape(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values, x: Rows) -> Rewritten<Rows> {
    let mut target = entries(make, node.at(1), values)?.ok_or_else(mixes)?;
    if node.int("allowzero", 0) == 0 {
        for (a, entry) in target.iter_mut().enumerate().filter(|(_, entry)| matches!(entry, Entry::Fixed(0))) {
            let own = x.dims.get(a).map(|&d| Entry::Fixed(d as i64)).ok_or_else(mixes)?;
            *entry = if a == x.axis { Entry::Rows(x.grid.clone()) } else { own };
        }
    }
    let is_row = |entry: &Entry| matches!(entry, Entry::Rows(_));
    let open = |entry: &Entry| matches!(entry, Entry::Fixed(-1));
    let all: usize = (0..x.dims.len()).filter(|&a| a != x.axis).map(|a| x.dims[a]).product();
    let fixed = |entries: &[Entry]| -> Option<usize> {
        entries.iter().map(|e| if let Entry::Fixed(n) = e { usize::try_from(*n).ok() } else { None }).product()
    };
    let at = target.iter().position(is_row).or_else(|| target.iter().position(open)).ok_or_else(mixes)?;
    if matches!(&target[at], Entry::Rows(grid) if *grid != x.grid) {
        return Err(mixes());
    }
    if is_row(&target[at])
        && let Some(rest) = target.iter().position(open)
    {
        let others: Vec<Entry> =
            (0..target.len()).filter(|&a| a != at && a != rest).map(|a| target[a].clone()).collect();
        let others = fixed(&others).filter(|&n| n > 0 && all.is_multiple_of(n)).ok_or_else(mixes)?;
        target[rest] = Entry::Fixed((all / others) as i64);
    }
    let (before, after) = (fixed(&target[..at]).ok_or_else(mixes)?, fixed(&target[at + 1..]).ok_or_else(mixes)?);
    let own: usize = x.dims[..x.axis].iter().product();
    let (mut grid, mut coords) = (x.grid.clone(), x.coords.clone());
    if before != own || before * after != all {
        // Elements of rows as rows of their own.
        let each = all / after.max(1);
        if own != 1 || before != 1 || after == 0 || !all.is_multiple_of(after) || is_row(&target[at]) {
            return Err(mixes());
        }
        coords.push(grid.lengths.len());
        let lengths = [&grid.lengths[..], &[each]].concat();
        grid = Rc::new(Grid { mask: grid.mask.clone(), lengths, own: grid.own });
    }
    let length = |(a, entry): (usize, &Entry)| match entry {
        _ if a == at => 0,
        Entry::Fixed(n) => *n as usize,
        Entry::Rows(_) | Entry::Count { .. } => 0,
    };
    let dims: Vec<usize> = target.iter().enumerate().map(length).collect();
    let mut list: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
    list[at] = grid.count(&coords) as i64;
    let name = make.reshape("shaped", &x.name, &list)?;
    Ok(Rows { name, grid, coords, axis: at, dims, factor: None, expert: x.expert })
}

fn slice(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values, x: Rows) -> Rewritten<Rows> {
    let bound = |make: &Builder<'_, '_>, slot: usize| entries(make, node.at(slot), values);
    let (starts, ends) = (bound(make, 1)?.ok_or_else(mixes)?, bound(make, 2)?.ok_or_else(mixes)?);
    let (at, steps) = (known(make, node.at(3))?.unwrap_or(vec![0]), known(make, node.at(4))?.unwrap_or(vec![1]));
    match (&starts[..], &ends[..], &at[..], &steps[..]) {
        ([Entry::Fixed(0)], [Entry::Rows(grid)], &[a], [1]) if axis(a, x.dims.len())? == x.axis && *grid == x.grid => {
            Ok(x)
        }
        (&[Entry::Fixed(start)], &[Entry::Fixed(end)], &[a], [1]) if axis(a, x.dims.len())? != x.axis => {
            let a = axis(a, x.dims.len())?;
            let n = x.dims[a] as i64;
            let place = |v: i64| (if v < 0 { v.saturating_add(n) } else { v }).clamp(0, n);
            let (start, end) = (place(start), place(end).max(place(start)));
            let name = make.slice("part", &x.name, a as i64, start, end)?;
            let mut dims = x.dims.clone();
            dims[a] = (end - start) as usize;
            Ok(Rows { name, dims, ..x })
        }
        _ => Err(mixes()),
    }
}

fn split(make: &mut Builder<'_, '_>, node: &NodeProto, x: Rows) -> Rewritten<Vec<Rows>> {
    let at = axis(node.int("axis", 0), x.dims.len())?;
    if at == x.axis {
        return Err(mixes());
    }
    let each = x.dims[at].div_ceil(node.output.len().max(1));
    let sizes = match known(make, node.at(1))? {
        Some(sizes) => sizes,
        None if node.ints("split").is_empty() => {
            (0..node.output.len()).map(|i| each.min(x.dims[at].saturating_sub(i * each)) as i64).collect()
        }
        None => node.ints("split").to_vec(),
    };
    let inputs = std::iter::once(x.name.clone()).chain(node.input.get(1).cloned()).collect();
    again(make, node, inputs);
    let part = |(name, &size): (&String, &i64)| {
        let mut dims = x.dims.clone();
        dims[at] = size as usize;
        Rows { name: name.clone(), dims, ..x.clone() }
    };
    Ok(node.output.iter().zip(&sizes).map(part).collect())
}

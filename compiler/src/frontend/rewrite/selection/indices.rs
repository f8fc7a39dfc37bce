//! Places of rows and lengths of values, which are known before the model runs.

use super::{
    super::{
        builder::Builder,
        facts::FLOAT,
        net::Rewritten,
        node::{self, Parts},
        tensor,
    },
    operands::{as_is, axes, axis, known, mixes},
    value::{Column, Entry, Grid, Index, Value, Values, union},
};
use crate::frontend::refusal::{Refusal, incorrect, refuse};
use std::rc::Rc;
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// The outputs of a node that reads places of rows.
pub(super) fn index(make: &Builder<'_, '_>, node: &NodeProto, values: &Values) -> Rewritten<Vec<Index>> {
    let first = node.input.iter().find_map(|input| match values.get(input) {
        Some(Value::Index(index)) => Some(index.clone()),
        _ => None,
    });
    let x = first.ok_or_else(mixes)?;
    let columns = |columns: Vec<Rc<Column>>, rank: usize| {
        if x.times > 1 || columns.is_empty() || rank == 1 && columns.len() > 1 {
            return Err(mixes());
        }
        Ok(Index { columns, rank, row_axis: if rank == 1 { 0 } else { x.row_axis }, ..x.clone() })
    };
    let along = |given: i64| Ok::<_, Refusal>(x.rank == 2 && axis(given, 2)? != x.row_axis && x.times == 1);
    let one = match &node.op_type[..] {
        "Floor" => {
            let whole = |c: &Rc<Column>| {
                let values = c.values.iter().map(|v| v.div_euclid(x.divisor)).collect();
                Rc::new(Column { coords: c.coords.clone(), values }.reduced(&x.grid))
            };
            Index { columns: x.columns.iter().map(whole).collect(), divisor: 1, ..x.clone() }
        }
        "Sign" | "Abs" => {
            let sign = node.op_type == "Sign";
            let of = |c: &Rc<Column>| {
                let values = c.values.iter().map(|&v| if sign { v.signum() } else { v.saturating_abs() }).collect();
                Rc::new(Column { coords: c.coords.clone(), values })
            };
            let divisor = if sign { 1 } else { x.divisor };
            Index { columns: x.columns.iter().map(of).collect(), divisor, ..x.clone() }
        }
        _ if x.divisor != 1 => return Err(mixes()),
        "Identity" | "Cast" | "CastLike" => x.clone(),
        "Max" | "Min" | "Sum" | "Mean" if node.input.len() == 1 => x.clone(),
        "Transpose" if node.ints("perm").is_empty() || node.ints("perm") == [1, 0] => {
            Index { row_axis: x.rank - 1 - x.row_axis, ..x.clone() }
        }
        "Unsqueeze" if x.rank == 1 => match axes(make, node, 2)?.as_deref() {
            Some([a]) => Index { rank: 2, row_axis: 1 - a, ..x.clone() },
            _ => return Err(mixes()),
        },
        "Squeeze" if x.rank == 2 && x.width() == 1 => match axes(make, node, 2)?.as_deref() {
            Some([a]) if *a != x.row_axis => columns(x.columns.clone(), 1)?,
            _ => return Err(mixes()),
        },
        "Reshape" if x.width() == 1 && known(make, node.at(1))?.as_deref() == Some(&[-1]) => {
            columns(x.columns.clone(), 1)?
        }
        "Split" if along(node.int("axis", 0))? => {
            let sizes = match known(make, node.at(1))? {
                Some(sizes) => sizes,
                None => vec![(x.width() / node.output.len().max(1)) as i64; node.output.len()],
            };
            let mut from = 0;
            let part = |size: i64| {
                let to = from + usize::try_from(size).unwrap_or(0);
                let part = x.columns.get(from..to).map(<[_]>::to_vec).unwrap_or_default();
                from = to;
                columns(part, 2)
            };
            return sizes.into_iter().map(part).collect();
        }
        "Gather" if along(node.int("axis", 0))? => {
            let (places, rank) =
                (known(make, node.at(1))?.ok_or_else(mixes)?, make.rank(node.at(1).unwrap_or_default()));
            let place = |i: i64| node::place(i, x.width()).and_then(|i| x.columns.get(i).cloned());
            let taken: Option<Vec<_>> = places.into_iter().map(place).collect();
            columns(taken.ok_or_else(mixes)?, if rank == Some(0) { 1 } else { 2 })?
        }
        "Slice" => {
            let bound = |slot: usize| known(make, node.at(slot));
            let (starts, ends) = (bound(1)?.ok_or_else(mixes)?, bound(2)?.ok_or_else(mixes)?);
            let (at, steps) = (bound(3)?.unwrap_or(vec![0]), bound(4)?.unwrap_or(vec![1]));
            match (&starts[..], &ends[..], &at[..], &steps[..]) {
                (&[start], &[end], &[a], [1]) if along(a)? => {
                    let width = x.width() as i64;
                    let place = |v: i64| (if v < 0 { v.saturating_add(width) } else { v }).clamp(0, width) as usize;
                    columns(x.columns.get(place(start)..place(end)).map(<[_]>::to_vec).unwrap_or_default(), 2)?
                }
                _ => return Err(mixes()),
            }
        }
        "Concat" if along(node.int("axis", 0))? => {
            let mut all = Vec::new();
            for input in &node.input {
                match values.get(input) {
                    Some(Value::Index(i)) if (&i.grid, i.rank, i.row_axis, i.times) == (&x.grid, 2, x.row_axis, 1) => {
                        all.extend(i.columns.iter().cloned());
                    }
                    _ => return Err(mixes()),
                }
            }
            columns(all, 2)?
        }
        "Expand" if x.rank == 1 => match entries(make, node.at(1), values)?.as_deref() {
            Some([rows]) if is_rows(rows, &x) => x.clone(),
            _ => return Err(mixes()),
        },
        "Expand" if x.rank == 2 && x.width() == 1 => {
            let target = entries(make, node.at(1), values)?.ok_or_else(mixes)?;
            match (target.get(x.row_axis), target.get(1 - x.row_axis)) {
                (Some(rows), Some(&Entry::Fixed(width))) if target.len() == 2 && is_rows(rows, &x) => {
                    Index { times: usize::try_from(width).unwrap_or(1).max(1), ..x.clone() }
                }
                _ => return Err(mixes()),
            }
        }
        "Add" | "Sub" | "Mul" | "Div" | "Mod" if x.width() == 1 => arithmetic(make, node, values, &x)?,
        _ => return Err(mixes()),
    };
    Ok(vec![one])
}

/// The parts of a `Split` along the axis of the rows into fixed lengths: constants, where the lengths add up to all rows. It
/// works for no other number of rows, so that every row counts.
pub(super) fn one_by_one(make: &mut Builder<'_, '_>, node: &NodeProto, x: &Index) -> Rewritten<()> {
    let sizes = known(make, node.at(1))?.filter(|_| x.times == 1).ok_or_else(mixes)?;
    let (sum, all) = (sizes.iter().sum::<i64>(), x.grid.count(&x.grid.coords()));
    if sum != all as i64 {
        return Err(refuse(
            format!(
                "the model was traced for an input of which {sum} of {all} values of a mask count, and \
                works for such inputs only"
            ),
            "trace it with an input that reaches all of them (all experts, say)",
        ));
    }
    let coords = x.grid.coords();
    let column = |c: &Rc<Column>| x.grid.spread(&c.coords, &coords).into_iter().map(|p| c.values[p]).collect();
    let columns: Vec<Vec<i64>> = x.columns.iter().map(column).collect();
    let mut from = 0;
    for (name, size) in node.output.iter().zip(sizes) {
        let rows = from..from + usize::try_from(size).unwrap_or(0);
        from = rows.end;
        let count = rows.len();
        let (values, shape): (Vec<i64>, Vec<usize>) = match (x.rank, x.row_axis) {
            (1, _) => (rows.map(|r| columns[0][r]).collect(), vec![count]),
            (_, 0) => (rows.flat_map(|r| columns.iter().map(move |c| c[r])).collect(), vec![count, columns.len()]),
            _ => (columns.iter().flat_map(|c| c[rows.clone()].to_vec()).collect(), vec![columns.len(), count]),
        };
        let value = tensor1(&values).into_shape(&shape)?;
        make.net.set_constant(name, &value)?;
    }
    let label = node.label();
    make.net.notes.push(format!(
        "node \"{label}\" works only where none of the {all} values of a mask is 0, and is taken for granted"
    ));
    Ok(())
}

/// Whether a target length keeps the rows.
fn is_rows(entry: &Entry, x: &Index) -> bool {
    match entry {
        Entry::Fixed(n) => *n == 1,
        Entry::Rows(grid) => *grid == x.grid,
        Entry::Count { .. } => false,
    }
}

/// Places from places, and from constants of one element.
fn arithmetic(make: &Builder<'_, '_>, node: &NodeProto, values: &Values, x: &Index) -> Rewritten<Index> {
    let operand = |input: &String| match values.get(input) {
        Some(Value::Index(i)) if (&i.grid, i.rank, i.row_axis, i.width()) == (&x.grid, x.rank, x.row_axis, 1) => {
            Ok(i.columns[0].clone())
        }
        Some(_) => Err(mixes()),
        None => match known(make, Some(input))?.as_deref() {
            Some(&[value]) if !has_fraction(make, input)? => {
                Ok(Rc::new(Column { coords: Vec::new(), values: vec![value] }))
            }
            _ => Err(mixes()),
        },
    };
    let [a, b] = &node.input[..] else { return Err(mixes()) };
    let (a, b) = (operand(a)?, operand(b)?);
    let coords = union(&a.coords, &b.coords);
    let (left, right) = (x.grid.spread(&a.coords, &coords), x.grid.spread(&b.coords, &coords));
    // A quotient of floats keeps its fraction.
    let by = match (&node.op_type[..], &b.values[..]) {
        ("Div", &[by]) if by > 0 && !is_whole(make, &node.input) => Some(by),
        ("Div", _) if !is_whole(make, &node.input) => return Err(mixes()),
        _ => None,
    };
    let apply = |(i, j): (usize, usize)| {
        let (a, b) = (a.values[i], b.values[j]);
        match &node.op_type[..] {
            "Add" => a.checked_add(b),
            "Sub" => a.checked_sub(b),
            "Mul" => a.checked_mul(b),
            "Div" if by.is_some() => Some(a),
            "Div" => a.checked_div(b),
            _ => a.checked_rem_euclid(b).filter(|_| b > 0),
        }
    };
    let values: Option<Vec<i64>> = left.into_iter().zip(right).map(apply).collect();
    let column = Column { coords, values: values.ok_or(incorrect("its places overflow"))? };
    Ok(Index { columns: vec![Rc::new(column.reduced(&x.grid))], divisor: by.unwrap_or(1), ..x.clone() })
}

/// Whether a constant is no whole number.
fn has_fraction(make: &Builder<'_, '_>, name: &str) -> Rewritten<bool> {
    let value = make.net.constant(name)?.filter(|v| v.datum_type().is_float());
    let values = value.map(|v| tensor::floats(&v)).transpose()?;
    Ok(values.into_iter().flatten().any(|v| v.fract() != 0.0))
}

/// Whether no operand is a constant of floats.
fn is_whole(make: &Builder<'_, '_>, operands: &[String]) -> bool {
    let float = |name: &String| make.net.proto(name).is_some_and(|t| t.data_type == FLOAT);
    !operands.iter().any(float)
}

/// A list of lengths.
pub(super) fn entries(make: &Builder<'_, '_>, name: Option<&str>, values: &Values) -> Rewritten<Option<Vec<Entry>>> {
    match name.and_then(|name| values.get(name)) {
        Some(Value::Lengths(entries)) => return Ok(Some(entries.clone())),
        Some(_) => return Err(mixes()),
        None => (),
    }
    if let Some(list) = known(make, name)? {
        return Ok(Some(list.into_iter().map(Entry::Fixed).collect()));
    }
    let joined = name.and_then(|name| make.net.producer(name)).filter(|node| node.op_type == "Concat");
    let Some(joined) = joined else { return Ok(None) };
    let mut all = Vec::new();
    for part in &joined.input {
        match (known(make, Some(part))?, counted(make, part, values)) {
            (Some(list), _) => all.extend(list.into_iter().map(Entry::Fixed)),
            (None, Some(grid)) => all.push(Entry::Rows(grid)),
            _ => return Ok(None),
        }
    }
    Ok(Some(all))
}

/// The rows whose number a value is: the sum of all bits of their mask.
fn counted(make: &Builder<'_, '_>, name: &str, values: &Values) -> Option<Rc<Grid>> {
    let producer = |name: &str, ops: &[&str]| make.net.producer(name).filter(|n| ops.contains(&&n.op_type[..]));
    let sum = producer(name, &["ReduceSum"]).filter(|n| n.at(1).is_none() && n.ints("axes").is_empty())?;
    let mut bits = producer(sum.at(0)?, &["Cast", "CastLike"])?.at(0)?;
    while let Some(shaped) = producer(bits, &["Reshape", "Flatten", "Squeeze", "Unsqueeze"]) {
        bits = shaped.at(0)?;
    }
    let mask = as_is(make, bits);
    let grids = values.values().filter_map(|value| match value {
        Value::Index(index) => Some(&index.grid),
        _ => None,
    });
    let mut grids = grids.filter(|grid| grid.mask == mask && grid.own == grid.lengths.len());
    grids.next().filter(|_| make.is_boolean(bits) == Some(true)).cloned()
}

/// What a node makes of lengths.
pub(super) fn lengths(make: &Builder<'_, '_>, node: &NodeProto, values: &Values) -> Rewritten<Vec<Entry>> {
    let given = |slot: usize| entries(make, node.at(slot), values)?.ok_or_else(mixes);
    let count = |list: &[Entry]| list.len() as i64;
    let place = |i: i64, n: i64| (if i < 0 { i.saturating_add(n) } else { i }).clamp(0, n) as usize;
    match &node.op_type[..] {
        "Identity" | "Cast" | "CastLike" | "Unsqueeze" | "Squeeze" => given(0),
        "Reshape" if !values.contains_key(node.at(1).unwrap_or_default()) => given(0),
        "Concat" => {
            let parts: Vec<Vec<Entry>> = (0..node.input.len()).map(given).collect::<Rewritten<_>>()?;
            Ok(parts.concat())
        }
        "Gather" => {
            let (list, places) = (given(0)?, known(make, node.at(1))?.ok_or_else(mixes)?);
            let taken = places.into_iter().map(|i| list.get(place(i, count(&list))).cloned());
            taken.collect::<Option<_>>().ok_or_else(mixes)
        }
        "Slice" => {
            let list = given(0)?;
            let bound = |slot: usize| known(make, node.at(slot));
            match (bound(1)?.as_deref(), bound(2)?.as_deref(), bound(4)?.unwrap_or(vec![1])[..] == [1]) {
                (Some(&[start]), Some(&[end]), true) => {
                    let (start, end) = (place(start, count(&list)), place(end, count(&list)));
                    Ok(list.get(start..end).unwrap_or_default().to_vec())
                }
                _ => Err(mixes()),
            }
        }
        _ => Err(mixes()),
    }
}

/// Rows of a value in row-major order of its first axes, by the columns of an index.
pub(super) fn flat(index: &Index, lengths: &[usize]) -> Rewritten<Rc<Column>> {
    let coords = index.columns.iter().fold(Vec::new(), |all, c| union(&all, &c.coords));
    let mut values = vec![0i64; index.grid.count(&coords)];
    for (column, &n) in index.columns.iter().zip(lengths) {
        for (value, place) in values.iter_mut().zip(index.grid.spread(&column.coords, &coords)) {
            let at = column.values[place];
            let at = node::place(at, n).ok_or_else(|| incorrect(format!("its place {at} lies outside of {n}")))?;
            *value = *value * n as i64 + at as i64;
        }
    }
    Ok(Rc::new(Column { coords, values }))
}

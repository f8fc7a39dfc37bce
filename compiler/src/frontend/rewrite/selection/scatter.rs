//! Rows put back: the mask decides which of them are written.

use super::{
    super::{
        builder::Builder,
        net::Rewritten,
        node::{self, Parts},
        tensor,
    },
    indices::flat,
    operands::mixes,
    rowwise::{rows, whole},
    value::{Column, Grid, Index, Rows, Value, Values, union, within},
};
use crate::frontend::refusal::missing;
use std::rc::Rc;
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

/// What a scatter writes.
struct Written<'n> {
    base: &'n str,
    shape: Vec<usize>,
    /// The number of first axes that the places name.
    depth: usize,
    place: Rc<Column>,
    rows: Rows,
    add: bool,
    y: &'n str,
}

/// `ScatterND` of rows.
pub(super) fn slices(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values) -> Rewritten<()> {
    let (index, written) = operands(make, node, values, |index, _| {
        (index.rank == 2 && index.row_axis == 0 && index.times == 1).then_some(index.columns.len())
    })?;
    written.filter(|w| w.rows.dims[1..] == w.shape[index..]).ok_or_else(mixes)?.put(make)
}

/// `ScatterElements` of whole rows along the first axis.
pub(super) fn elements(make: &mut Builder<'_, '_>, node: &NodeProto, values: &Values) -> Rewritten<()> {
    let (_, written) = operands(make, node, values, |index, shape| {
        let whole =
            index.rank == shape.len() && index.row_axis == 0 && shape.get(1).is_none_or(|&w| w == index.width());
        (whole && index.columns.len() == 1 && node.int("axis", 0) == 0).then_some(1)
    })?;
    written.filter(|w| w.rows.dims[1..] == w.shape[1..]).ok_or_else(mixes)?.put(make)
}

fn operands<'n>(
    make: &mut Builder<'_, '_>,
    node: &'n NodeProto,
    values: &Values,
    depth: impl Fn(&Index, &[usize]) -> Option<usize>,
) -> Rewritten<(usize, Option<Written<'n>>)> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.at(2)?, node.out(0)?));
    let (base, index, new, y) = parts().ok_or_else(missing)?;
    let (Some(Value::Index(index)), Some(rows), false) =
        (values.get(index), rows(values, new)?, values.contains_key(base))
    else {
        return Err(mixes());
    };
    let shape = make.shape(base).ok_or_else(mixes)?;
    let depth = depth(index, &shape).filter(|&d| d <= shape.len()).ok_or_else(mixes)?;
    let add = match &node.text("reduction")[..] {
        "add" => true,
        "" | "none" => false,
        _ => return Err(mixes()),
    };
    if index.grid != rows.grid || rows.axis != 0 || rows.expert.is_some() || index.divisor != 1 {
        return Err(mixes());
    }
    let place = flat(index, &shape[..depth])?;
    Ok((depth, Some(Written { base, shape, depth, place, rows: rows.clone(), add, y })))
}

impl Written<'_> {
    /// base + sum of m r over the rows r of one place, m being 1 where the mask counts them; or that sum in place of the
    /// base where it counts one. Of a product r = a f, f is added up first over what a does not follow.
    fn put(self, make: &mut Builder<'_, '_>) -> Rewritten<()> {
        let (grid, at) = (self.rows.grid.clone(), self.place.coords.clone());
        let count: usize = self.shape[..self.depth].iter().product();
        let width = self.shape[self.depth..].to_vec();
        let mut inverse = vec![None; count];
        for (row, &place) in self.place.values.iter().enumerate() {
            if inverse[place as usize].replace(row).is_some() {
                return Err(mixes());
            }
        }
        let own: Vec<usize> = (0..grid.own).collect();
        let (a, f) = split(make, &self.rows, &at)?;
        let covered = [Some(&own), a.as_ref().map(|a| &a.coords), f.as_ref().map(|f| &f.coords)];
        let covered = covered.into_iter().flatten().fold(Vec::new(), |all, c| union(&all, c));
        let rest: Vec<i64> = grid.coords().iter().filter(|c| !at.contains(c)).map(|&c| c as i64).collect();
        if !within(&at, &covered) || rest.iter().any(|&c| c as usize >= grid.own) {
            return Err(mixes());
        }
        let ahead = a.as_ref().map(|a| a.coords.clone()).unwrap_or_default();
        let ones = vec![1i64; width.len()];
        let lay = |make: &mut Builder<'_, '_>, part: &str, x: &str, coords: &[usize], row: &[i64]| {
            make.reshape(part, x, &[&grid.shape(coords)[..], row].concat())
        };
        let counted = make.op("counted", "Cast", &[&grid.mask], vec![node::int("to", DataType::Bool as i64)]);
        let counted = lay(make, "counted_rows", &counted, &own, &ones)?;
        let dims = |r: &Rows| r.dims[1..].iter().map(|&d| d as i64).collect::<Vec<_>>();
        let a = a.map(|a| lay(make, "values", &a.name, &a.coords, &dims(&a))).transpose()?;
        let f = f.map(|f| lay(make, "factors", &f.name, &f.coords, &dims(&f))).transpose()?;
        let zero = make.net.constant(self.base)?.or_else(|| make.facts?.value(self.base));
        let zero = zero.map(|v| tensor::floats(&v)).transpose()?;
        let plain = zero.is_some_and(|v| v.iter().all(|&v| v == 0.0));
        let replace = !plain && !self.add;
        // What the mask leaves out need not be 0 where the base takes its place.
        let masked = !(replace && rest.is_empty());
        let none = make.scalar("none", 0.0)?;
        let keep =
            |make: &mut Builder<'_, '_>, part: &str, x: &str| make.op(part, "Where", &[&counted, x, &none], Vec::new());
        let (mut sum, mut left) = match (a, f) {
            (a, Some(f)) if masked => (keep(make, "kept", &f), a),
            (a, Some(f)) => (f, a),
            (Some(a), None) if rest.is_empty() && masked => (keep(make, "kept", &a), None),
            (Some(a), None) if rest.is_empty() => (a, None),
            (a, None) => (make.as_float("weights", &counted), a),
        };
        let follows = |c: &i64| ahead.contains(&(*c as usize));
        let (late, early): (Vec<i64>, Vec<i64>) = rest.iter().partition(|&c| left.is_some() && follows(c));
        if !early.is_empty() {
            sum = make.reduce("sum", "ReduceSum", &sum, &early)?;
        }
        if let Some(a) = left.take() {
            sum = make.mul("weighed", &a, &sum);
        }
        if !late.is_empty() {
            sum = make.reduce("sum_of_weighed", "ReduceSum", &sum, &late)?;
        }
        let row: Vec<i64> = width.iter().map(|&d| d as i64).collect();
        let new = self.place(make, "new", &sum, &inverse, &grid, &row)?;
        let dims: Vec<i64> = self.shape.iter().map(|&d| d as i64).collect();
        let all = make.list("shape", &dims)?;
        if plain {
            make.last("Reshape", &[&new, &all], self.y, Vec::new());
            return Ok(());
        }
        let new = make.op("new_shaped", "Reshape", &[&new, &all], Vec::new());
        if self.add {
            make.last("Add", &[self.base, &new], self.y, Vec::new());
            return Ok(());
        }
        let mut some = make.as_float("touched", &counted);
        if !rest.is_empty() {
            some = make.reduce("touched_any", "ReduceMax", &some, &rest)?;
        }
        let all_rows = make.list("touched_shape", &[&grid.shape(&at)[..], &ones].concat())?;
        let some = make.op("touched_rows", "Expand", &[&some, &all_rows], Vec::new());
        let some = self.place(make, "touched_places", &some, &inverse, &grid, &ones)?;
        let head: Vec<i64> = dims[..self.depth].iter().chain(&ones).copied().collect();
        let some = make.reshape("touched_shaped", &some, &head)?;
        let some = make.op("replaced", "Cast", &[&some], vec![node::int("to", DataType::Bool as i64)]);
        make.last("Where", &[&some, &new, self.base], self.y, Vec::new());
        Ok(())
    }

    /// Rows of the grid as those of the base, 0 where none is written.
    fn place(
        &self,
        make: &mut Builder<'_, '_>,
        part: &str,
        x: &str,
        inverse: &[Option<usize>],
        grid: &Grid,
        row: &[i64],
    ) -> Rewritten<String> {
        let count = grid.count(&self.place.coords);
        let mut x = make.reshape(&format!("{part}_rows"), x, &[&[count as i64], row].concat())?;
        if inverse.iter().copied().eq((0..count).map(Some)) {
            return Ok(x);
        }
        if inverse.contains(&None) {
            let zero = vec![0f32; row.iter().product::<i64>() as usize];
            let shape: Vec<usize> = std::iter::once(1).chain(row.iter().map(|&d| d as usize)).collect();
            let zero = make.floats(&format!("{part}_zero"), &zero, &shape)?;
            x = make.concat(&format!("{part}_padded"), &[&x, &zero], 0);
        }
        let places: Vec<i64> = inverse.iter().map(|p| p.unwrap_or(count) as i64).collect();
        let places = make.list(&format!("{part}_order"), &places)?;
        Ok(make.gather(part, &x, &places, 0))
    }
}

/// Rows as a product of two, of which the second is 1 where it is missing; as one where they follow more than the
/// coordinates `at`.
fn split(make: &mut Builder<'_, '_>, rows: &Rows, at: &[usize]) -> Rewritten<(Option<Rows>, Option<Rows>)> {
    let plain = Rows { factor: None, ..rows.clone() };
    match &rows.factor {
        Some(f) => Ok((Some(plain), Some((**f).clone()))),
        None if within(&plain.coords, at) => Ok((Some(plain), None)),
        None => Ok((None, Some(whole(make, rows)?))),
    }
}

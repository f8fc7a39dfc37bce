//! A stretch of fixed length at a computed place: `Range` from `a` to `a + n`, and `Slice` from `a` to `a + n`.

use super::{
    builder::Builder,
    net::{Net, Rewritten},
    node::{self, Parts},
    rule::Outcome,
    tensor,
};
use crate::frontend::refusal::{incorrect, missing};
use tract_onnx::pb::NodeProto;

/// Most elements of a stretch.
const MAX_LENGTH: i64 = 1 << 16;

/// The whole number of a constant of one element.
fn single(net: &Net<'_>, name: &str) -> Rewritten<Option<i64>> {
    let Some(value) = net.constant(name)?.filter(|v| v.len() == 1 && !v.datum_type().is_float()) else {
        return Ok(None);
    };
    Ok(tensor::integers(&value).ok().and_then(|v| v.first().copied()))
}

/// A value of one element as another one and what is added to it.
fn apart(net: &Net<'_>, name: &str) -> Rewritten<(String, i64)> {
    let (mut name, mut added) = (name.to_owned(), 0i64);
    while let Some(node) = net.producer(&name) {
        let (a, b) = (node.at(0).unwrap_or_default().to_owned(), node.at(1).unwrap_or_default());
        let of = |name: &str| single(net, name);
        (name, added) = match &node.op_type[..] {
            "Identity" | "Squeeze" | "Unsqueeze" | "Reshape" | "Cast" => (a, added),
            "Add" => match (of(&a)?, of(b)?) {
                (_, Some(n)) => (a, added.saturating_add(n)),
                (Some(n), _) => (b.to_owned(), added.saturating_add(n)),
                _ => break,
            },
            "Sub" => match of(b)? {
                Some(n) => (a, added.saturating_sub(n)),
                None => break,
            },
            _ => break,
        };
    }
    Ok((name, added))
}

/// How much greater `to` is than `from`, where `from` is computed and the difference is not.
fn length(net: &Net<'_>, from: &str, to: &str) -> Rewritten<Option<i64>> {
    if net.is_fixed(from) {
        return Ok(None);
    }
    let ((a, before), (b, after)) = (apart(net, from)?, apart(net, to)?);
    Ok((a == b).then(|| after.saturating_sub(before)).filter(|n| (1..=MAX_LENGTH).contains(n)))
}

/// The numbers from a computed one on, in a list.
fn counted(make: &mut Builder<'_, '_>, from: &str, steps: impl Iterator<Item = i64>) -> Rewritten<String> {
    let steps = make.list("steps", &steps.collect::<Vec<_>>())?;
    let steps = make.op("steps_of_type", "CastLike", &[&steps, from], Vec::new());
    let from = make.reshape("from", from, &[1])?;
    Ok(make.add("places", &from, &steps))
}

/// A place that may count from the end of an axis, counted from its start. A stretch that begins before the end and ends behind
/// it, of which ONNX cuts nothing, so reaches beyond the axis and is not read from its start again.
fn from_start(make: &mut Builder<'_, '_>, from: &str, length: usize) -> Rewritten<String> {
    let [zero, length] = [("zero", 0), ("length", length as i64)].map(|(part, value)| {
        let value = make.list(&format!("{part}_value"), &[value])?;
        Rewritten::Ok(make.op(part, "CastLike", &[&value, from], Vec::new()))
    });
    let negative = make.op("negative", "Less", &[from, &zero?], Vec::new());
    let negative = make.op("negative_number", "CastLike", &[&negative, from], Vec::new());
    let whole = make.mul("whole", &negative, &length?);
    Ok(make.add("first", from, &whole))
}

pub(super) fn range(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.at(2)?, node.out(0)?));
    let (from, to, step, y) = parts().ok_or_else(missing)?;
    let numbers = [from, to, step];
    if numbers.iter().any(|number| make.rank(number).is_some_and(|rank| rank > 0)) {
        // tract takes scalars, and other readers lists of one.
        let mut scalars = Vec::new();
        for (number, part) in numbers.into_iter().zip(["from", "to", "step"]) {
            scalars.push(make.reshape(&format!("{part}_scalar"), number, &[])?);
        }
        make.last("Range", &scalars.iter().map(String::as_str).collect::<Vec<_>>(), y, Vec::new());
        return Ok(Outcome::Replaced);
    }
    let Some(step) = single(make.net, step)?.filter(|&step| step > 0) else { return Ok(Outcome::Kept) };
    let Some(n) = length(make.net, from, to)? else { return Ok(Outcome::Kept) };
    let places = counted(make, from, (0..n).step_by(step as usize))?;
    make.export(&places, Some(y));
    Ok(Outcome::Replaced)
}

pub(super) fn slice(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.at(2)?, node.out(0)?));
    let Some((x, from, to, y)) = parts() else { return Ok(Outcome::Kept) };
    let fixed = |slot: usize, default: i64| node.at(slot).map_or(Ok(Some(default)), |name| single(make.net, name));
    let (Some(axis), Some(1)) = (fixed(3, 0)?, fixed(4, 1)?) else { return Ok(Outcome::Kept) };
    let Some(n) = length(make.net, from, to)? else { return Ok(Outcome::Kept) };
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let along = node::place(axis, shape.len()).ok_or(incorrect("its axis lies outside"))?;
    let first = from_start(make, from, shape[along])?;
    let places = counted(make, &first, 0..n)?;
    make.last("Gather", &[x, &places], y, vec![node::int("axis", axis)]);
    let label = node.label();
    make.net
        .notes
        .push(format!("node \"{label}\" cuts {n} elements at a computed place, which must lie within its input"));
    Ok(Outcome::Replaced)
}

//! Movements of elements that tract lacks or reads otherwise: `CenterCropPad`, `Col2Im`, `Compress`, `Pad`, `SpaceToDepth`.

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
    tensor,
};
use crate::frontend::refusal::{Refusal, incorrect, missing, refuse};
use tract_onnx::pb::NodeProto;

/// Most elements of a matrix that is written out.
const MAX_MATRIX: usize = 1 << 24;

/// The integers of a constant input; none when it is left out.
fn fixed(make: &Builder<'_, '_>, node: &NodeProto, slot: usize, what: &str) -> Rewritten<Option<Vec<i64>>> {
    let Some(name) = node.at(slot) else { return Ok(None) };
    let value = make
        .net
        .constant(name)?
        .ok_or_else(|| refuse(format!("its {what} is computed"), "export it with a fixed one"))?;
    Ok(Some(tensor::integers(&value)?))
}

/// The axes that a node names, all by default.
fn axes(given: Option<Vec<i64>>, rank: usize) -> Rewritten<Vec<usize>> {
    let Some(given) = given else { return Ok((0..rank).collect()) };
    let axes: Option<Vec<usize>> = given.iter().map(|&axis| node::place(axis, rank)).collect();
    axes.ok_or_else(|| incorrect("one of its axes lies outside"))
}

/// For each element of a tensor of shape `to` its place in one of shape `from`, axis by axis.
fn places(from: &[usize], to: &[usize], source: impl Fn(usize, usize) -> Option<usize>) -> Vec<Option<usize>> {
    let mut out = vec![Some(0)];
    for (axis, (&n, &count)) in from.iter().zip(to).enumerate() {
        let along: Vec<Option<usize>> = (0..count).map(|i| source(axis, i)).collect();
        let next = |before: Option<usize>| along.iter().map(move |&i| Some(before? * n + i?)).collect::<Vec<_>>();
        out = out.into_iter().flat_map(next).collect();
    }
    out
}

pub(super) fn center_crop_pad(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let lengths = fixed(make, node, 1, "shape")?.unwrap_or_default();
    let named = node.attribute("axes").map(|a| a.ints.clone());
    let axes = axes(named, shape.len())?;
    let mut to = shape.clone();
    for (&axis, &n) in axes.iter().zip(&lengths) {
        to[axis] = usize::try_from(n).ok().filter(|&n| n < 1 << 20).ok_or(incorrect("its shape is no shape"))?;
    }
    let source = |axis: usize, i: usize| {
        let (from, to) = (shape[axis] as i64, to[axis] as i64);
        let i = i as i64 + if from >= to { (from - to) / 2 } else { -((to - from) / 2) };
        usize::try_from(i).ok().filter(|&i| i < shape[axis])
    };
    let moved = make.pick("moved", x, &places(&shape, &to, source), &to)?;
    make.export(&moved, Some(y));
    Ok(Outcome::Replaced)
}

/// The elements that a condition marks: what stands at the places where it is not 0.
pub(super) fn compress(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.out(0)?));
    let (x, condition, y) = parts().ok_or_else(missing)?;
    let flat = node.attribute("axis").is_none();
    let x = if flat { make.reshape("flat", x, &[-1])? } else { x.to_owned() };
    let places = make.op("marked", "NonZero", &[condition], Vec::new());
    let places = make.reshape("places", &places, &[-1])?;
    make.last("Gather", &[&x, &places], y, vec![node::int("axis", node.int("axis", 0))]);
    Ok(Outcome::Replaced)
}

/// `Pad` with a computed filling: a filling of 0, and then the number where no element is.
fn computed(make: &mut Builder<'_, '_>, node: &NodeProto, filling: &str) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let (Some(shape), Some(kind)) = (make.shape(x), make.facts.and_then(|f| f.datum_type(x))) else {
        return Ok(Outcome::Later);
    };
    let others: Vec<&str> = [1, 3].into_iter().filter_map(|slot| node.at(slot)).collect();
    if !kind.is_float()
        || !matches!(&node.text("mode")[..], "" | "constant")
        || !others.iter().all(|o| make.net.is_fixed(o))
    {
        return Ok(Outcome::Kept);
    }
    let (amounts, axes) = (node.at(1).unwrap_or_default(), node.at(3).unwrap_or_default());
    let around = |make: &mut Builder<'_, '_>, part: &str, x: &str, value: f32| {
        let value = make.scalar(&format!("{part}_filling"), value)?;
        Ok::<_, Refusal>(make.op(part, "Pad", &[x, amounts, &value, axes], Vec::new()))
    };
    let padded = around(make, "padded", x, 0.0)?;
    let within = make.floats("within", &vec![0.0; shape.iter().product()], &shape)?;
    let outside = around(make, "outside", &within, 1.0)?;
    let single = make.reshape("single", filling, &[1])?;
    let filled = make.mul("filled", &outside, &single);
    make.last("Add", &[&padded, &filled], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `Pad` whose filling is a list of one, for tract takes a number, or computed.
pub(super) fn filling(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let Some(given) = node.at(2) else { return Ok(Outcome::Kept) };
    let Some(value) = make.net.constant(given)? else {
        return if make.net.is_fixed(given) { Ok(Outcome::Kept) } else { computed(make, node, given) };
    };
    if value.rank() == 0 || value.len() != 1 {
        return Ok(Outcome::Kept);
    }
    let single = value.into_shape(&[]).map_err(|e| incorrect(e.to_string()))?;
    let single = make.constant("filling", &single)?;
    let mut inputs = node.input.clone();
    inputs[2] = single;
    make.nodes.push(NodeProto { input: inputs, name: node.label().to_owned(), ..node.clone() });
    Ok(Outcome::Replaced)
}

/// `Pad` that goes on at the other end.
pub(super) fn pad(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let pads = fixed(make, node, 1, "padding")?.unwrap_or_else(|| node.ints("pads").to_vec());
    let axes = axes(fixed(make, node, 3, "list of axes")?, shape.len())?;
    if pads.len() != 2 * axes.len() || pads.iter().any(|p| p.abs() > 1 << 20) {
        return Err(incorrect(format!("its padding {pads:?} does not fit the shape {shape:?}")));
    }
    let mut before = vec![0; shape.len()];
    let mut to = shape.clone();
    for (i, &axis) in axes.iter().enumerate() {
        before[axis] = pads[i];
        let length = shape[axis] as i64 + pads[i] + pads[i + axes.len()];
        to[axis] = usize::try_from(length).map_err(|_| incorrect("it takes off more than there is"))?;
    }
    let source = |axis: usize, i: usize| {
        let n = (shape[axis] as i64).max(1);
        Some((i as i64 - before[axis]).rem_euclid(n) as usize)
    };
    let moved = make.pick("moved", x, &places(&shape, &to, source), &to)?;
    make.export(&moved, Some(y));
    Ok(Outcome::Replaced)
}

/// `SpaceToDepth` with the channels in front.
pub(super) fn space_to_depth(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let block = node.int("blocksize", 0);
    let (&[n, c, h, w], true) = (&shape[..], block > 0) else {
        return Err(incorrect(format!("its input has the shape {shape:?}, its block {block}")));
    };
    let [n, c, h, w] = [n, c, h, w].map(|d| d as i64);
    let blocks = make.reshape("blocks", x, &[n, c, h / block, block, w / block, block])?;
    let turned = make.transpose("turned", &blocks, &[0, 1, 3, 5, 2, 4]);
    let shape = make.list("shape", &[n, c * block * block, h / block, w / block])?;
    make.last("Reshape", &[&turned, &shape], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// `Col2Im`: each pixel is the sum of the columns' elements that stand on it, a product with a constant matrix.
pub(super) fn col2im(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let image = fixed(make, node, 1, "image shape")?.unwrap_or_default();
    let block = fixed(make, node, 2, "block shape")?.unwrap_or_default();
    let axes = image.len();
    let at = |name: &str, i: usize, default: i64| node.ints(name).get(i).copied().unwrap_or(default);
    let good = |v: &[i64]| v.len() == axes && v.iter().all(|n| (1..1 << 16).contains(n));
    let taps: i64 = block.iter().product();
    let ([batch, rows, columns], true) = (&shape[..], axes > 0 && good(&image) && good(&block)) else {
        return Err(incorrect(format!("its columns have the shape {shape:?}")));
    };
    let steps: Vec<i64> = (0..axes)
        .map(|i| {
            let extent = (block[i] - 1) * at("dilations", i, 1) + 1;
            (image[i] + at("pads", i, 0) + at("pads", i + axes, 0) - extent).div_euclid(at("strides", i, 1).max(1)) + 1
        })
        .collect();
    let channels = *rows as i64 / taps;
    let (taps, pixels) = (taps as usize, image.iter().product::<i64>() as usize);
    if steps.iter().product::<i64>() != *columns as i64 || channels < 1 {
        return Err(incorrect(format!("its columns have the shape {shape:?}, its windows {steps:?}")));
    }
    if taps.saturating_mul(*columns).saturating_mul(pixels) > MAX_MATRIX {
        return Err(refuse(format!("it adds {columns} columns to {pixels} pixels"), "use a smaller image"));
    }
    let digits = |mut flat: usize, lengths: &[i64]| {
        let mut out = vec![0; lengths.len()];
        for (place, &n) in out.iter_mut().zip(lengths).rev() {
            *place = flat as i64 % n;
            flat /= n as usize;
        }
        out
    };
    let mut matrix = vec![0f32; taps * columns * pixels];
    for tap in 0..taps {
        let within = digits(tap, &block);
        for column in 0..*columns {
            let window = digits(column, &steps);
            let place = (0..axes).try_fold(0i64, |flat, i| {
                let p = window[i] * at("strides", i, 1) - at("pads", i, 0) + within[i] * at("dilations", i, 1);
                (0..image[i]).contains(&p).then_some(flat * image[i] + p)
            });
            if let Some(place) = place {
                matrix[(tap * columns + column) * pixels + place as usize] = 1.0;
            }
        }
    }
    let matrix = make.floats("matrix", &matrix, &[taps * columns, pixels])?;
    let flat = make.reshape("flat", x, &[*batch as i64, channels, (taps * columns) as i64])?;
    let sums = make.matmul("sums", &flat, &matrix);
    let shape: Vec<i64> = [*batch as i64, channels].into_iter().chain(image).collect();
    let shape = make.list("shape", &shape)?;
    make.last("Reshape", &[&sums, &shape], y, Vec::new());
    Ok(Outcome::Replaced)
}

//! Pooling that tract lacks or reads otherwise: `LpPool`, `GlobalLpPool`, `AveragePool` with rounding up, `MaxPool` with indices, and
//! `MaxUnpool`.

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
    scatter, tensor,
};
use crate::frontend::refusal::{Refusal, incorrect, missing, refuse};
use tract_onnx::pb::NodeProto;

/// Most elements that are written out.
const MAX_WRITTEN: usize = 1 << 22;

/// Windows along one axis.
struct Axis {
    length: i64,
    kernel: i64,
    stride: i64,
    dilation: i64,
    pads: (i64, i64),
    outputs: i64,
}

impl Axis {
    /// By the attributes of a pooling node, for axis `i` of the pixels.
    fn new(node: &NodeProto, i: usize, axes: usize, length: usize) -> Rewritten<Axis> {
        let at = |name: &str, i: usize, default: i64| node.ints(name).get(i).copied().unwrap_or(default);
        let (kernel, stride, dilation) = (at("kernel_shape", i, 0), at("strides", i, 1), at("dilations", i, 1));
        let length = length as i64;
        if [kernel, stride, dilation].iter().any(|v| !(1..1 << 20).contains(v)) || length < 1 {
            return Err(incorrect("its windows have no size"));
        }
        let extent = (kernel - 1) * dilation + 1;
        let auto = node.text("auto_pad");
        let (pads, outputs) = match &auto[..] {
            "SAME_UPPER" | "SAME_LOWER" => {
                let outputs = (length + stride - 1) / stride;
                let total = ((outputs - 1) * stride + extent - length).max(0);
                let less = total / 2;
                (if auto == "SAME_UPPER" { (less, total - less) } else { (total - less, less) }, outputs)
            }
            _ => {
                let pads = if auto == "VALID" { (0, 0) } else { (at("pads", i, 0), at("pads", i + axes, 0)) };
                let room = length + pads.0 + pads.1 - extent;
                let up = node.int("ceil_mode", 0) != 0;
                let mut outputs = if up { (room + stride - 1).div_euclid(stride) } else { room.div_euclid(stride) } + 1;
                // No window begins behind the input.
                if up && (outputs - 1) * stride >= length + pads.0 {
                    outputs -= 1;
                }
                (pads, outputs)
            }
        };
        if outputs < 1 || pads.0 < 0 || pads.1 < 0 {
            return Err(incorrect("its windows do not fit its input"));
        }
        Ok(Axis { length, kernel, stride, dilation, pads, outputs })
    }

    fn all(node: &NodeProto, shape: &[usize]) -> Rewritten<Vec<Axis>> {
        let axes = shape.len().saturating_sub(2);
        if axes == 0 {
            return Err(incorrect(format!("its input has the shape {shape:?}")));
        }
        (0..axes).map(|i| Axis::new(node, i, axes, shape[i + 2])).collect()
    }

    /// The place that window `o` has under element `i` of its kernel.
    fn place(&self, o: i64, i: i64) -> i64 {
        o * self.stride - self.pads.0 + i * self.dilation
    }

    /// Padding behind the input that makes just these windows.
    fn behind(&self) -> i64 {
        (self.place(self.outputs - 1, self.kernel - 1) + 1 - self.length).max(0)
    }

    /// How many places of window `o` count.
    fn count(&self, o: i64, padding: bool) -> i64 {
        let (from, to) = if padding { (-self.pads.0, self.length + self.pads.1) } else { (0, self.length) };
        (0..self.kernel).filter(|&i| (from..to).contains(&self.place(o, i))).count() as i64
    }
}

/// All index tuples below `lengths`, row-major.
fn tuples(lengths: &[i64]) -> Vec<Vec<i64>> {
    lengths.iter().fold(vec![Vec::new()], |tuples, &n| {
        tuples.into_iter().flat_map(|t| (0..n).map(move |i| [&t[..], &[i]].concat())).collect()
    })
}

/// The sums over all windows of each channel.
fn sums(make: &mut Builder<'_, '_>, x: &str, channels: usize, axes: &[Axis]) -> Rewritten<String> {
    let kernel: Vec<usize> = axes.iter().map(|a| a.kernel as usize).collect();
    let shape = [&[channels, 1], &kernel[..]].concat();
    let ones = make.floats("ones", &vec![1.0; shape.iter().product()], &shape)?;
    let of = |part: &dyn Fn(&Axis) -> i64| axes.iter().map(part).collect::<Vec<i64>>();
    let attributes = vec![
        node::int("group", channels as i64),
        node::ints("kernel_shape", &of(&|a| a.kernel)),
        node::ints("strides", &of(&|a| a.stride)),
        node::ints("dilations", &of(&|a| a.dilation)),
        node::ints("pads", &[of(&|a| a.pads.0), of(&Axis::behind)].concat()),
    ];
    Ok(make.op("sums", "Conv", &[x, &ones], attributes))
}

pub(super) fn average(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let axes = Axis::all(node, &shape)?;
    let sums = sums(make, x, shape[1], &axes)?;
    let padding = node.int("count_include_pad", 0) != 0;
    let outputs: Vec<i64> = axes.iter().map(|a| a.outputs).collect();
    let count = |t: &Vec<i64>| t.iter().zip(&axes).map(|(&o, axis)| axis.count(o, padding)).product::<i64>();
    let shares: Vec<f32> = tuples(&outputs).iter().map(|t| 1.0 / count(t).max(1) as f32).collect();
    let dims: Vec<usize> = [1, 1].into_iter().chain(outputs.iter().map(|&n| n as usize)).collect();
    let shares = make.floats("shares", &shares, &dims)?;
    make.last("Mul", &[&sums, &shares], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// (sum |x|^p)^(1/p) over windows.
pub(super) fn lp(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let axes = Axis::all(node, &shape)?;
    let norm = norm(make, node, x, |make, powers| sums(make, powers, shape[1], &axes))?;
    make.export(&norm, Some(y));
    Ok(Outcome::Replaced)
}

/// `GlobalLpPool`: tract takes the mean of the powers, and not their sum.
pub(super) fn global_lp(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(rank) = make.rank(x) else { return Ok(Outcome::Later) };
    let axes: Vec<i64> = (2..rank as i64).collect();
    let norm = norm(make, node, x, |make, powers| make.reduce("sums", "ReduceSum", powers, &axes))?;
    make.export(&norm, Some(y));
    Ok(Outcome::Replaced)
}

/// The root of the sums of powers, of the order that the node names.
fn norm<'n, 'a>(
    make: &mut Builder<'n, 'a>,
    node: &NodeProto,
    x: &str,
    sums: impl FnOnce(&mut Builder<'n, 'a>, &str) -> Rewritten<String>,
) -> Rewritten<String> {
    let p = node.int("p", 2);
    let sizes = match p {
        2 => make.mul("squares", x, x),
        _ => make.op("sizes", "Abs", &[x], Vec::new()),
    };
    let power = |make: &mut Builder<'_, '_>, part: &str, x: &str, p: f32| {
        let exponent = make.scalar(&format!("{part}_exponent"), p)?;
        Ok::<_, Refusal>(make.op(part, "Pow", &[x, &exponent], Vec::new()))
    };
    let powers = if p > 2 { power(make, "powers", &sizes, p as f32)? } else { sizes };
    let sums = sums(make, &powers)?;
    match p {
        1 => Ok(sums),
        2 => Ok(make.op("root", "Sqrt", &[&sums], Vec::new())),
        3.. => power(make, "root", &sums, 1.0 / p as f32),
        _ => Err(incorrect(format!("its norm is of order {p}"))),
    }
}

/// `MaxPool` whose indices are read: each window written out, its greatest element, and where it stands.
pub(super) fn max_with_indices(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, indices) = node.at(0).zip(node.out(1)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let axes = Axis::all(node, &shape)?;
    let lengths: Vec<i64> = axes.iter().map(|a| a.length).collect();
    let (windows, kernel) = (
        tuples(&axes.iter().map(|a| a.outputs).collect::<Vec<_>>()),
        tuples(&axes.iter().map(|a| a.kernel).collect::<Vec<_>>()),
    );
    let (planes, plane) = (shape[0] * shape[1], lengths.iter().product::<i64>());
    if planes.saturating_mul(windows.len()).saturating_mul(kernel.len()) > MAX_WRITTEN {
        return Err(refuse("the indices of a maximum over windows of a large input", "use the values only"));
    }
    let by_column = node.int("storage_order", 0) != 0;
    let (mut places, mut numbers) = (Vec::new(), Vec::new());
    for image in 0..planes as i64 {
        for window in &windows {
            let under = |k: &Vec<i64>| {
                let at = || axes.iter().zip(window).zip(k).map(|((a, &o), &i)| a.place(o, i));
                if at().zip(&lengths).any(|(p, &n)| !(0..n).contains(&p)) {
                    return None;
                }
                let row = at().zip(&lengths).fold(0, |flat, (p, &n)| flat * n + p);
                let place: Vec<i64> = at().collect();
                let column = place.iter().zip(&lengths).rev().fold(0, |flat, (p, n)| flat * n + p);
                Some((image * plane + row, image * plane + if by_column { column } else { row }))
            };
            let mut inside: Vec<(i64, i64)> = kernel.iter().filter_map(under).collect();
            let first = *inside.first().ok_or(incorrect("a window that holds padding only"))?;
            // An element again in place of padding: of equals the first counts.
            inside.resize(kernel.len(), first);
            places.extend(inside.iter().map(|&(p, _)| Some(p as usize)));
            numbers.extend(inside.iter().map(|&(_, n)| n));
        }
    }
    let rows = planes * windows.len();
    let written = make.pick("windows", x, &places, &[rows, kernel.len()])?;
    let out: Vec<i64> = shape[..2].iter().map(|&d| d as i64).chain(axes.iter().map(|a| a.outputs)).collect();
    if let Some(y) = node.out(0) {
        let most = make.reduce("most", "ReduceMax", &written, &[1])?;
        let shape = make.list("shape", &out)?;
        make.last("Reshape", &[&most, &shape], y, Vec::new());
    }
    let attributes = vec![node::int("axis", 1), node::int("keepdims", 0)];
    let within = make.op("within", "ArgMax", &[&written], attributes);
    let bases: Vec<i64> = (0..rows).map(|r| (r * kernel.len()) as i64).collect();
    let bases = make.list("bases", &bases)?;
    let rows = make.add("rows", &within, &bases);
    let numbers = make.list("numbers", &numbers)?;
    let found = make.gather("found", &numbers, &rows, 0);
    let shape = make.list("indices_shape", &out)?;
    make.last("Reshape", &[&found, &shape], indices, Vec::new());
    Ok(Outcome::Replaced)
}

/// `MaxUnpool`: each value at its index, zeros elsewhere.
pub(super) fn unpool(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (Some(x), Some(indices), Some(y)) = (node.at(0), node.at(1), node.out(0)) else { return Err(missing()) };
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let axes = shape.len().saturating_sub(2);
    let at = |name: &str, i: usize, default: i64| node.ints(name).get(i).copied().unwrap_or(default);
    let length = |i: usize| {
        let pads = at("pads", i, 0) + at("pads", i + axes, 0);
        (shape[i + 2] as i64 - 1) * at("strides", i, 1) + at("kernel_shape", i, 1) - pads
    };
    let inferred: Vec<i64> = shape[..2].iter().map(|&d| d as i64).chain((0..axes).map(length)).collect();
    let given = match node.at(2).map(|s| make.net.constant(s)).transpose()?.flatten() {
        Some(value) => tensor::integers(&value)?,
        None if node.at(2).is_some() => {
            return Err(refuse("its output shape is computed", "export it with a fixed one"));
        }
        None => inferred.clone(),
    };
    let fits = |dims: &[i64]| dims.len() == shape.len() && dims.iter().all(|d| (1..1 << 20).contains(d));
    if !fits(&inferred) || !fits(&given) {
        return Err(incorrect(format!("its output has the shape {given:?}")));
    }
    let whole: i64 = inferred.iter().product();
    let values: usize = shape.iter().product();
    let zeros = make.floats("zeros", &vec![0.0; whole as usize], &[1, whole as usize, 1])?;
    let ids = make.reshape("ids", indices, &[1, values as i64])?;
    let new = make.reshape("values", x, &[1, values as i64, 1])?;
    let put = scatter::put(make, [&zeros, &ids, &new], [whole as usize, values], scatter::Reduction::None)?;
    let mut out = make.reshape("inferred", &put, &inferred)?;
    if given != inferred {
        let dims: Vec<usize> = given.iter().map(|&d| d as usize).collect();
        let place = |t: Vec<i64>| {
            let inside = t.iter().zip(&inferred).all(|(i, n)| i < n);
            inside.then(|| t.iter().zip(&inferred).fold(0, |flat, (i, n)| flat * n + i) as usize)
        };
        let places: Vec<Option<usize>> = tuples(&given).into_iter().map(place).collect();
        out = make.pick("larger", &out, &places, &dims)?;
    }
    make.export(&out, Some(y));
    Ok(Outcome::Replaced)
}

//! `Resize` and `Upsample`: one axis after the other, a choice of rows where each is one of the input's, else a constant
//! matrix.

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use crate::frontend::refusal::{incorrect, missing, refuse};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// How an axis is resized.
struct Axis {
    /// Number of rows before and after.
    from: usize,
    to: usize,
    scale: f64,
    /// First and last row of the crop, as shares of the axis.
    crop: (f64, f64),
}

/// What the attributes say.
struct Kernel {
    mode: String,
    coordinates: String,
    nearest: String,
    cubic: f64,
    exclude_outside: bool,
    antialias: bool,
}

/// `Resize` since version 10 of the operator set, and `Upsample`, which it replaced.
pub(super) fn resize(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = node.at(0).zip(node.out(0)).ok_or_else(missing)?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let old = node.op_type == "Upsample" || make.net.opset < 11;
    let (roi, scales, sizes) = if old { (None, node.at(1), None) } else { (node.at(1), node.at(2), node.at(3)) };
    let mut known = [Vec::new(), Vec::new(), Vec::new()];
    for (values, input) in known.iter_mut().zip([roi, scales, sizes]) {
        let Some(input) = input else { continue };
        match value(make, input)? {
            Some(found) => *values = found,
            None if make.facts.is_none() => return Ok(Outcome::Later),
            None => return Err(refuse("its sizes or scales are computed from data", "export it with fixed ones")),
        }
    }
    let [roi, mut scales, sizes] = known;
    if scales.is_empty() && old {
        scales = node.floats("scales").iter().map(|&v| f64::from(v)).collect();
    }
    let axes = axes(node, &shape, &roi, &scales, &sizes)?;
    let kernel = Kernel::of(node, old);
    let mut value = x.to_owned();
    for (place, axis) in axes {
        if axis.from == axis.to && axis.scale == 1.0 && axis.crop == (0.0, 1.0) {
            continue;
        }
        value = apply(make, &value, shape.len(), place, &kernel.rows(&axis)?, axis.from)?;
    }
    make.last("Identity", &[&value], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// The numbers of a constant or of a value that follows from shapes.
fn value(make: &Builder<'_, '_>, name: &str) -> Rewritten<Option<Vec<f64>>> {
    let found = make.net.constant(name)?.or_else(|| make.facts?.value(name));
    let Some(found) = found else { return Ok(None) };
    let found = found.cast_to::<f64>()?.into_owned();
    let plain = found.try_as_plain_ram()?;
    Ok(Some(plain.as_slice::<f64>()?.to_vec()))
}

/// The axes that are named, with their places.
fn axes(
    node: &NodeProto,
    shape: &[usize],
    roi: &[f64],
    scales: &[f64],
    sizes: &[f64],
) -> Rewritten<Vec<(usize, Axis)>> {
    let places: Option<Vec<usize>> = match node.ints("axes") {
        [] => Some((0..shape.len()).collect()),
        axes => axes.iter().map(|&axis| node::place(axis, shape.len())).collect(),
    };
    let places = places.ok_or(incorrect("one of its axes lies outside"))?;
    let count = if sizes.is_empty() { scales.len() } else { sizes.len() };
    if count != places.len() || places.iter().any(|&p| shape[p] == 0) {
        return Err(incorrect(format!("it gives {count} sizes for the shape {shape:?}")));
    }
    let length = |i: usize| shape[places[i]] as f64;
    let policy = node.text("keep_aspect_ratio_policy");
    let ratios = || (0..count).map(|i| sizes[i] / length(i));
    let kept = match (&policy[..], sizes.is_empty()) {
        ("not_larger", false) => Some(ratios().fold(f64::INFINITY, f64::min)),
        ("not_smaller", false) => Some(ratios().fold(0.0, f64::max)),
        _ => None,
    };
    let cropped = node.text("coordinate_transformation_mode") == "tf_crop_and_resize";
    let axis = |(i, &place): (usize, &usize)| {
        let (scale, to) = match (kept, sizes.get(i)) {
            (Some(scale), _) => (scale, (scale * length(i)).round()),
            (None, Some(&size)) => (size / length(i), size),
            (None, None) => (scales[i], (length(i) * scales[i]).floor()),
        };
        if !(scale > 0.0 && (1.0..=f64::from(1u32 << 20)).contains(&to)) {
            return Err(incorrect(format!("axis {place} becomes {to} long")));
        }
        let crop = if cropped && roi.len() == 2 * count { (roi[i], roi[i + count]) } else { (0.0, 1.0) };
        Ok((place, Axis { from: shape[place], to: to as usize, scale, crop }))
    };
    places.iter().enumerate().map(axis).collect()
}

/// `rows` as weights of the input's rows along one axis.
fn apply(
    make: &mut Builder<'_, '_>,
    x: &str,
    rank: usize,
    axis: usize,
    rows: &[Vec<(usize, f64)>],
    from: usize,
) -> Rewritten<String> {
    let part = format!("axis{axis}");
    let only = |row: &Vec<(usize, f64)>| match row[..] {
        [(i, 1.0)] => Some(i as i64),
        _ => None,
    };
    let chosen: Option<Vec<i64>> = rows.iter().map(only).collect();
    if let Some(chosen) = chosen {
        let chosen = make.list(&format!("{part}_rows"), &chosen)?;
        return Ok(make.gather(&part, x, &chosen, axis as i64));
    }
    let mut matrix = vec![0f32; from * rows.len()];
    for (to, row) in rows.iter().enumerate() {
        row.iter().for_each(|&(i, weight)| matrix[i * rows.len() + to] += weight as f32);
    }
    let matrix = tensor1(&matrix).into_shape(&[from, rows.len()])?;
    let matrix = make.constant(&format!("{part}_matrix"), &matrix)?;
    // The axis last, and back.
    let mut order: Vec<i64> = (0..rank as i64).collect();
    order.swap(axis, rank - 1);
    let last = axis + 1 == rank;
    let turned = if last { x.to_owned() } else { make.transpose(&format!("{part}_last"), x, &order) };
    let y = make.matmul(&part, &turned, &matrix);
    Ok(if last { y } else { make.transpose(&format!("{part}_back"), &y, &order) })
}

impl Kernel {
    fn of(node: &NodeProto, old: bool) -> Kernel {
        let or =
            |name: &str, default: &str| Some(node.text(name)).filter(|t| !t.is_empty()).unwrap_or(default.to_owned());
        Kernel {
            mode: or("mode", "nearest"),
            coordinates: or("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" }),
            nearest: or("nearest_mode", if old { "floor" } else { "round_prefer_floor" }),
            cubic: node.float("cubic_coeff_a", -0.75).into(),
            exclude_outside: node.int("exclude_outside", 0) != 0,
            antialias: node.int("antialias", 0) != 0,
        }
    }

    /// Weights of the input's rows for each row of the output.
    fn rows(&self, axis: &Axis) -> Rewritten<Vec<Vec<(usize, f64)>>> {
        (0..axis.to).map(|to| self.row(axis, to)).collect()
    }

    fn row(&self, axis: &Axis, to: usize) -> Rewritten<Vec<(usize, f64)>> {
        let at = self.source(axis, to as f64)?;
        if self.coordinates == "tf_crop_and_resize" && !(0.0..=(axis.from - 1) as f64).contains(&at) {
            return Err(refuse("it extrapolates beyond its input", "crop inside of it"));
        }
        let (base, weights) = self.weights(at, axis.scale)?;
        let inside = |i: i64| (0..axis.from as i64).contains(&i);
        let mut row: Vec<(usize, f64)> = Vec::new();
        for (i, weight) in (base..).zip(weights) {
            if weight == 0.0 || (self.exclude_outside && !inside(i)) {
                continue;
            }
            let place = i.clamp(0, axis.from as i64 - 1) as usize;
            match row.iter_mut().find(|(known, _)| *known == place) {
                Some((_, sum)) => *sum += weight,
                None => row.push((place, weight)),
            }
        }
        if self.exclude_outside {
            let sum: f64 = row.iter().map(|(_, weight)| weight).sum();
            row.iter_mut().for_each(|(_, weight)| *weight /= sum);
        }
        Ok(row)
    }

    /// Where in the input row `to` of the output lies.
    fn source(&self, axis: &Axis, to: f64) -> Rewritten<f64> {
        let (from, scale) = (axis.from as f64, axis.scale);
        let length = from * scale;
        Ok(match &self.coordinates[..] {
            "asymmetric" => to / scale,
            "half_pixel" => (to + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if length == 1.0 => -0.5,
            "pytorch_half_pixel" => (to + 0.5) / scale - 0.5,
            "half_pixel_symmetric" => {
                let offset = from / 2.0 * (1.0 - axis.to as f64 / length);
                offset + (to + 0.5) / scale - 0.5
            }
            "align_corners" if length == 1.0 => 0.0,
            "align_corners" => to * (from - 1.0) / (length - 1.0),
            "tf_half_pixel_for_nn" => (to + 0.5) / scale,
            "tf_crop_and_resize" => {
                let (start, end) = axis.crop;
                let step = if length == 1.0 { (end - start) / 2.0 } else { to * (end - start) / (length - 1.0) };
                (start + step) * (from - 1.0)
            }
            other => {
                return Err(refuse(
                    format!("the coordinates \"{other}\" are unknown"),
                    "export it with half_pixel ones",
                ));
            }
        })
    }

    /// The first row that counts at a place of the input, and the weights from there on.
    fn weights(&self, at: f64, scale: f64) -> Rewritten<(i64, Vec<f64>)> {
        let base = at.floor();
        let ratio = at - base;
        let stretch = if self.antialias { scale.min(1.0) } else { 1.0 };
        let (reach, weight): (f64, &dyn Fn(f64) -> f64) = match &self.mode[..] {
            "nearest" => {
                let up = match &self.nearest[..] {
                    _ if ratio == 0.0 => false,
                    "round_prefer_floor" => ratio > 0.5,
                    "round_prefer_ceil" => ratio >= 0.5,
                    "floor" => false,
                    "ceil" => true,
                    other => {
                        return Err(refuse(format!("the nearest mode \"{other}\" is unknown"), "export it with floor"));
                    }
                };
                return Ok((base as i64 + i64::from(up), vec![1.0]));
            }
            "linear" => (1.0, &|d: f64| (1.0 - d.abs()).max(0.0)),
            "cubic" => (2.0, &|d: f64| cubic(d.abs(), self.cubic)),
            other => return Err(refuse(format!("the mode \"{other}\" is unknown"), "use nearest, linear or cubic")),
        };
        let first = (at - reach / stretch).floor() as i64;
        let last = (at + reach / stretch).ceil() as i64;
        let mut weights: Vec<f64> = (first..=last).map(|i| weight((i as f64 - at) * stretch)).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        Ok((first, weights))
    }
}

/// Cubic convolution (Keys, 1981) with coefficient `a` at the distance `d`.
fn cubic(d: f64, a: f64) -> f64 {
    if d <= 1.0 {
        ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
    } else {
        0.0
    }
}

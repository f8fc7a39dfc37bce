//! `ConvTranspose`: a convolution of the input with zeros between its elements, the kernel turned around.

use super::{builder::Builder, net::Rewritten, node, node::Parts, rule::Outcome};
use crate::frontend::refusal::{incorrect, missing};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// Geometry of one axis.
struct Axis {
    length: usize,
    kernel: i64,
    stride: i64,
    dilation: i64,
    /// Taken off the full result at both ends; added where negative.
    crop: (i64, i64),
}

pub(super) fn conv_transpose(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (Some(x), Some(w), Some(y)) = (node.at(0), node.at(1), node.out(0)) else { return Err(missing()) };
    let (Some(shape), Some(kernel)) = (make.shape(x), make.shape(w)) else { return Ok(Outcome::Later) };
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    if shape.len() < 3
        || kernel.len() != shape.len()
        || groups == 0
        || shape[1] != kernel[0]
        || !shape[1].is_multiple_of(groups)
    {
        return Err(incorrect(format!("its input has the shape {shape:?}, its kernel {kernel:?}")));
    }
    let axes = (2..shape.len()).map(|i| axis(node, i - 2, shape[i], kernel[i])).collect::<Rewritten<Vec<Axis>>>()?;

    let spread = spread(make, x, &shape, &axes)?;
    let turned = turned(make, w, &kernel, groups as i64)?;
    let ints = |name: &str, of: &dyn Fn(&Axis) -> i64| node::ints(name, &axes.iter().map(of).collect::<Vec<_>>());
    let ends = |of: &dyn Fn(&Axis) -> i64| axes.iter().map(of).collect::<Vec<i64>>();
    let pads = [ends(&|a| a.margin().0.max(0)), ends(&|a| a.margin().1.max(0))].concat();
    let attributes = vec![
        node::ints("pads", &pads),
        ints("dilations", &|a| a.dilation),
        ints("kernel_shape", &|a| a.kernel),
        node::int("group", groups as i64),
    ];
    let inputs: Vec<&str> = [Some(&spread[..]), Some(&turned), node.at(2)].into_iter().flatten().collect();
    let mut value = make.op("full", "Conv", &inputs, attributes);
    // What a margin is short of is cut off.
    for (i, axis) in axes.iter().enumerate() {
        let (before, after) = axis.margin();
        if before < 0 || after < 0 {
            let end = if after < 0 { after } else { i64::MAX };
            value = make.slice(&format!("crop{i}"), &value, i as i64 + 2, (-before).max(0), end)?;
        }
    }
    make.last("Identity", &[&value], y, Vec::new());
    Ok(Outcome::Replaced)
}

impl Axis {
    /// Zeros around the spread input.
    fn margin(&self) -> (i64, i64) {
        let full = self.dilation * (self.kernel - 1);
        (full - self.crop.0, full - self.crop.1)
    }
}

/// The attributes of one axis; `output_shape` and `auto_pad` settle what is cropped.
fn axis(node: &NodeProto, i: usize, length: usize, kernel: usize) -> Rewritten<Axis> {
    let at = |name: &str, default: i64| node.ints(name).get(i).copied().unwrap_or(default);
    let (stride, dilation, extra) = (at("strides", 1), at("dilations", 1), at("output_padding", 0));
    let limit = 1 << 20;
    if length == 0
        || kernel == 0
        || [stride, dilation].iter().any(|s| !(1..=limit).contains(s))
        || !(0..limit).contains(&extra)
    {
        return Err(incorrect("its strides, dilations or sizes are out of range"));
    }
    let full = stride * (length as i64 - 1) + dilation * (kernel as i64 - 1) + 1 + extra;
    let spatial = node.ints("pads").len() / 2;
    let auto = node.text("auto_pad");
    let same = auto.starts_with("SAME");
    let wanted = match node.ints("output_shape") {
        [] if same => Some(length as i64 * stride),
        [] => None,
        sizes => sizes.get((sizes.len() + i).wrapping_sub(kernel_axes(node, sizes.len()))).copied(),
    };
    let crop = match wanted {
        Some(wanted) => {
            let total = full - wanted;
            let less = total.div_euclid(2);
            if auto == "SAME_UPPER" { (less, total - less) } else { (total - less, less) }
        }
        None if auto == "VALID" => (0, 0),
        None => (at("pads", 0), node.ints("pads").get(spatial + i).copied().unwrap_or(0)),
    };
    Ok(Axis { length, kernel: kernel as i64, stride, dilation, crop: (crop.0, crop.1 - extra) })
}

/// Spatial axes among the sizes of `output_shape`, which may name batch and channels too.
fn kernel_axes(node: &NodeProto, sizes: usize) -> usize {
    let named = [node.ints("kernel_shape").len(), node.ints("strides").len(), node.ints("pads").len() / 2];
    named.into_iter().find(|&n| n > 0).unwrap_or(sizes)
}

/// The input with `stride - 1` zeros between the elements of each axis.
fn spread(make: &mut Builder<'_, '_>, x: &str, shape: &[usize], axes: &[Axis]) -> Rewritten<String> {
    let mut value = x.to_owned();
    let mut dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
    for (i, axis) in axes.iter().enumerate().filter(|(_, a)| a.stride > 1) {
        let place = i + 2;
        // Each element begins a stretch of `stride`; what follows the last one goes.
        let apart = make.unsqueeze(&format!("apart{i}"), &value, &[place as i64 + 1])?;
        let mut zeros: Vec<usize> = dims.iter().map(|&d| d as usize).collect();
        zeros.insert(place + 1, axis.stride as usize - 1);
        let zeros = Tensor::zero::<f32>(&zeros)?;
        let zeros = make.constant(&format!("zeros{i}"), &zeros)?;
        let stretches = make.concat(&format!("stretches{i}"), &[&apart, &zeros], place as i64 + 1);
        dims[place] = axis.length as i64 * axis.stride;
        let flat = make.reshape(&format!("flat{i}"), &stretches, &dims)?;
        dims[place] -= axis.stride - 1;
        value = make.slice(&format!("spread{i}"), &flat, place as i64, 0, dims[place])?;
    }
    Ok(value)
}

/// `[in, out / groups, ..]` as `[out, in / groups, ..]`, each kernel turned around.
fn turned(make: &mut Builder<'_, '_>, w: &str, shape: &[usize], groups: i64) -> Rewritten<String> {
    let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
    let (inputs, outputs, window) = (dims[0] / groups, dims[1], &dims[2..]);
    let apart = make.reshape("kernel_groups", w, &[&[groups, inputs, outputs], window].concat())?;
    let order: Vec<i64> = [0, 2, 1].into_iter().chain(3..dims.len() as i64 + 1).collect();
    let swapped = make.transpose("kernel_swapped", &apart, &order);
    let mut value = make.reshape("kernel", &swapped, &[&[groups * outputs, inputs], window].concat())?;
    for (i, &taps) in window.iter().enumerate() {
        let backwards: Vec<i64> = (0..taps).rev().collect();
        let backwards = make.list(&format!("kernel_order{i}"), &backwards)?;
        value = make.gather(&format!("kernel_turned{i}"), &value, &backwards, i as i64 + 2);
    }
    Ok(value)
}

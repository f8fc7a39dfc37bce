//! `DeformConv` and `RoiAlign`: samples between the pixels, at places that data names.

use super::{builder::Builder, grid, net::Rewritten, node::Parts, rule::Outcome};
use crate::frontend::refusal::{incorrect, missing, refuse};
use tract_onnx::pb::NodeProto;

/// Most weights of pixels, one for each pixel and sample.
const MAX_WEIGHTS: usize = 1 << 24;

/// `DeformConv`: a convolution whose kernel reads each pixel beside its place, as far as an offset says.
pub(super) fn deform_conv(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.at(2)?, node.out(0)?));
    let (x, weight, offset, y) = parts().ok_or_else(missing)?;
    let (Some(shape), Some(kernel), Some(offsets)) = (make.shape(x), make.shape(weight), make.shape(offset)) else {
        return Ok(Outcome::Later);
    };
    let bad =
        || incorrect(format!("its input has the shape {shape:?}, its weights {kernel:?}, its offsets {offsets:?}"));
    let (&[batch, channels, height, width], &[out, own, rows, columns], &[_, moved, high, wide]) =
        (&shape[..], &kernel[..], &offsets[..])
    else {
        return Err(incorrect("only images of two axes are sampled"));
    };
    let count = |name: &str| usize::try_from(node.int(name, 1)).ok().filter(|&n| n > 0).ok_or_else(bad);
    let (groups, lots) = (count("group")?, count("offset_group")?);
    let points = rows * columns;
    let (samples, pixels) = (points * high * wide, height * width);
    let fits = channels == own * groups && out.is_multiple_of(groups) && channels.is_multiple_of(lots);
    if !fits || moved != 2 * lots * points || samples == 0 || pixels == 0 {
        return Err(bad());
    }
    if (batch * lots).saturating_mul(samples).saturating_mul(pixels) > MAX_WEIGHTS {
        return Err(refuse(format!("it takes {samples} samples of {pixels} pixels"), "make its input smaller"));
    }
    let int = |n: usize| n as i64;
    let lead = [int(batch), int(lots), int(samples)];
    let [point_axis, place_axis] = [int(points), int(high * wide)];
    let offset = make.reshape("offsets", offset, &[int(batch), int(lots), point_axis, 2, place_axis])?;
    let mut along = Vec::new();
    for (axis, (length, part)) in [(height, "row"), (width, "column")].into_iter().enumerate() {
        let at = |name: &str, default: i64| node.ints(name).get(axis).copied().unwrap_or(default);
        let (stride, dilation, pad) = (at("strides", 1), at("dilations", 1), at("pads", 0));
        let place = |k: usize, o: usize| {
            let (k, o) = if axis == 0 { (k / columns, o / wide) } else { (k % columns, o % wide) };
            (int(o) * stride - pad + int(k) * dilation) as f32
        };
        let places: Vec<f32> =
            (0..points).flat_map(|k| (0..high * wide).map(move |o| (k, o))).map(|(k, o)| place(k, o)).collect();
        let places = make.floats(&format!("{part}_places"), &places, &[samples, 1])?;
        let moved = make.slice(&format!("{part}_offsets"), &offset, 3, axis as i64, axis as i64 + 1)?;
        let moved = make.reshape(&format!("{part}_moved"), &moved, &[&lead[..], &[1]].concat())?;
        let at = make.add(&format!("{part}_at"), &moved, &places);
        along.push(grid::linear(make, part, &at, length)?);
    }
    let weights = grid::planes(make, "weights", [&along[0], &along[1]], &lead, [int(height), int(width)])?;
    let weights = make.transpose("weights_turned", &weights, &[0, 1, 3, 2]);
    let image = make.reshape("pixels", x, &[int(batch), int(lots), int(channels / lots), int(pixels)])?;
    let mut taken = make.matmul("samples", &image, &weights);
    if let Some(mask) = node.at(4) {
        let mask = make.reshape("mask", mask, &[int(batch), int(lots), 1, int(samples)])?;
        taken = make.mul("masked", &taken, &mask);
    }
    let taken = make.reshape("columns", &taken, &[int(batch), int(groups), int(own * points), place_axis])?;
    let weight = make.reshape("kernel", weight, &[int(groups), int(out / groups), int(own * points)])?;
    let product = make.matmul("product", &weight, &taken);
    let dims = make.list("shape", &[int(batch), int(out), int(high), int(wide)])?;
    match node.at(3) {
        Some(bias) => {
            let product = make.op("shaped", "Reshape", &[&product, &dims], Vec::new());
            let bias = make.reshape("bias", bias, &[int(out), 1, 1])?;
            make.last("Add", &[&product, &bias], y, Vec::new());
        }
        None => make.last("Reshape", &[&product, &dims], y, Vec::new()),
    }
    Ok(Outcome::Replaced)
}

/// `RoiAlign`: the mean of samples in each cell of a region. A sample is a product of a function of its row and one of its
/// column, so that the means are taken for each axis by itself.
pub(super) fn roi_align(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.at(2)?, node.out(0)?));
    let (x, regions, images, y) = parts().ok_or_else(missing)?;
    let (Some(shape), Some(boxes)) = (make.shape(x), make.shape(regions)) else { return Ok(Outcome::Later) };
    let (&[batch, _, height, width], &[count, 4]) = (&shape[..], &boxes[..]) else {
        return Err(incorrect(format!("its input has the shape {shape:?}, its regions {boxes:?}")));
    };
    if node.text("mode") == "max" {
        return Err(refuse("the greatest of weighted pixels is not supported", "export it with mode \"avg\""));
    }
    let number = |name: &str| usize::try_from(node.int(name, 1)).ok().filter(|n| (1..1 << 12).contains(n));
    let samples = usize::try_from(node.int("sampling_ratio", 0)).ok().filter(|n| (1..1 << 12).contains(n));
    let samples = samples.ok_or(refuse(
        "how many samples it takes depends on the size of a region, which data decides",
        "export it with a sampling_ratio of 2",
    ))?;
    let sizes = number("output_height").zip(number("output_width"));
    let (high, wide) = sizes.ok_or(incorrect("its output has no size"))?;
    let half = make.net.opset >= 16 && node.text("coordinate_transformation_mode") != "output_half_pixel";
    let mut means = Vec::new();
    for (part, from, length, cells) in [("row", 1, height, high), ("column", 0, width, wide)] {
        let end = |make: &mut Builder<'_, '_>, name: &str, slot: i64| {
            let edge = make.slice(&format!("{part}_{name}"), regions, 1, slot, slot + 1)?;
            let edge = make.scale(&format!("{part}_{name}_scaled"), &edge, node.float("spatial_scale", 1.0))?;
            make.reshape(&format!("{part}_{name}_column"), &edge, &[count as i64, 1, 1])
        };
        let (mut first, last) = (end(make, "first", from)?, end(make, "last", from + 2)?);
        let mut size = make.op(&format!("{part}_size"), "Sub", &[&last, &first], Vec::new());
        match half {
            true => {
                let half = make.scalar(&format!("{part}_half"), 0.5)?;
                first = make.op(&format!("{part}_from"), "Sub", &[&first, &half], Vec::new());
            }
            false => {
                let one = make.scalar(&format!("{part}_one"), 1.0)?;
                size = make.op(&format!("{part}_at_least_one"), "Max", &[&size, &one], Vec::new());
            }
        }
        let all = cells * samples;
        let shares: Vec<f32> = (0..all).map(|i| (i as f32 + 0.5) / all as f32).collect();
        let shares = make.floats(&format!("{part}_shares"), &shares, &[all, 1])?;
        let within = make.mul(&format!("{part}_within"), &size, &shares);
        let at = make.add(&format!("{part}_at"), &first, &within);
        let bound = |make: &mut Builder<'_, '_>, name: &str, value: f32| make.scalar(&format!("{part}_{name}"), value);
        let (below, above) = (bound(make, "below", -1.0)?, bound(make, "above", length as f32)?);
        let (low, high) = (bound(make, "low", 0.0)?, bound(make, "high", length as f32 - 1.0)?);
        let from_low = make.op(&format!("{part}_not_below"), "GreaterOrEqual", &[&at, &below], Vec::new());
        let to_high = make.op(&format!("{part}_not_above"), "LessOrEqual", &[&at, &above], Vec::new());
        let inside = make.op(&format!("{part}_inside"), "And", &[&from_low, &to_high], Vec::new());
        let inside = make.as_float(&format!("{part}_counted"), &inside);
        let raised = make.op(&format!("{part}_raised"), "Max", &[&at, &low], Vec::new());
        let clipped = make.op(&format!("{part}_clipped"), "Min", &[&raised, &high], Vec::new());
        let weights = grid::linear(make, part, &clipped, length)?;
        let weights = make.mul(&format!("{part}_weights"), &weights, &inside);
        let shaped = [count, cells, samples, length].map(|n| n as i64);
        let weights = make.reshape(&format!("{part}_by_cell"), &weights, &shaped)?;
        let sum = make.reduce(&format!("{part}_sums"), "ReduceSum", &weights, &[2])?;
        let mean = make.scale(&format!("{part}_means"), &sum, (samples as f32).recip())?;
        means.push(make.reshape(part, &mean, &[count as i64, 1, cells as i64, length as i64])?);
    }
    let image = if batch == 1 { x.to_owned() } else { make.gather("images", x, images, 0) };
    let columns = make.transpose("columns_turned", &means[1], &[0, 1, 3, 2]);
    let narrowed = make.matmul("narrowed", &image, &columns);
    make.last("MatMul", &[&means[0], &narrowed], y, Vec::new());
    Ok(Outcome::Replaced)
}

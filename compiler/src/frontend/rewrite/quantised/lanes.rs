//! Activations with a scale for each channel: those of one scale, multiplied.

use crate::frontend::refusal::{incorrect, missing, refuse};
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome, tensor};
use tract_onnx::pb::NodeProto;

/// `QuantizeLinear` and `DequantizeLinear` with a list of scales and one zero point.
pub(in crate::frontend::rewrite) fn lanes(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.out(0)?));
    let (x, scale, y) = parts().ok_or_else(missing)?;
    let Some(scales) = make.net.constant(scale)?.filter(|s| s.len() > 1 && s.rank() == 1) else {
        return Ok(Outcome::Kept);
    };
    // Weights, and rows of a table of weights.
    let table = make.net.producer(x).and_then(|mover| mover.at(0)).is_some_and(|table| make.net.is_constant(table));
    if make.net.is_constant(x) || table || node.int("block_size", 0) != 0 {
        return Ok(Outcome::Kept);
    }
    let Some(rank) = make.rank(x) else { return Ok(Outcome::Later) };
    let scales = tensor::floats(&scales)?;
    if let Some(bad) = scales.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
        return Err(refuse(format!("its scale {bad} is not positive"), "quantise the model again"));
    }
    let zero = node.at(2).map(|zero| make.net.constant(zero)).transpose()?.flatten();
    let zeros = zero.as_ref().map(tensor::floats).transpose()?.unwrap_or_default();
    if zeros.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(refuse("its zero point differs by channel", "quantise activations symmetrically or per tensor"));
    }
    let axis = node.int("axis", 1);
    let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok().filter(|&a| a < rank);
    let axis = axis.ok_or(incorrect("its axis lies outside"))?;
    let lane: Vec<usize> = (axis..rank).map(|a| if a == axis { scales.len() } else { 1 }).collect();
    let one = make.scalar("scale", 1.0)?;
    let single = zero.map(|zero| zero.slice(0, 0, 1).and_then(|z| z.into_shape(&[]))).transpose();
    let single = single?.map(|zero| make.constant("zero", &zero)).transpose()?;
    let attributes: Vec<_> = node.attribute.iter().filter(|a| a.name != "axis").cloned().collect();
    let quantises = node.op_type == "QuantizeLinear";
    let factors: Vec<f32> = scales.iter().map(|s| if quantises { s.recip() } else { *s }).collect();
    let factors = make.floats("scales", &factors, &lane)?;
    let source = if quantises { make.mul("steps_of_channels", x, &factors) } else { x.to_owned() };
    let inputs: Vec<&str> = [source.as_str(), &one].into_iter().chain(single.as_deref()).collect();
    match quantises {
        true => make.last("QuantizeLinear", &inputs, y, attributes),
        false => {
            let steps = make.op("steps_of_channels", "DequantizeLinear", &inputs, attributes);
            make.last("Mul", &[&steps, &factors], y, Vec::new());
        }
    }
    Ok(Outcome::Replaced)
}

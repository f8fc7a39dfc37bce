//! Operators on integers with their scales beside them, as the operator on floats between reading and rounding.

use crate::frontend::refusal::{Refusal, missing, refuse};
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
    tensor,
};
use tract_onnx::{
    pb::{AttributeProto, NodeProto, tensor_proto::DataType},
    tract_hir::internal::*,
};

/// The floats of the integers at three inputs: value, scale, zero point.
fn read(make: &mut Builder<'_, '_>, part: &str, node: &NodeProto, slots: [usize; 3], axis: i64) -> Rewritten<String> {
    let (value, scale) = node.at(slots[0]).zip(node.at(slots[1])).ok_or_else(missing)?;
    let inputs: Vec<&str> = [value, scale].into_iter().chain(node.at(slots[2])).collect();
    Ok(make.op(part, "DequantizeLinear", &inputs, vec![node::int("axis", axis)]))
}

/// The output of the file as integers of the scale and zero point at two inputs.
fn write(make: &mut Builder<'_, '_>, node: &NodeProto, x: &str, slots: [usize; 2]) -> Rewritten<Outcome> {
    let (scale, output) = node.at(slots[0]).zip(node.out(0)).ok_or_else(missing)?;
    let inputs: Vec<&str> = [x, scale].into_iter().chain(node.at(slots[1])).collect();
    make.last("QuantizeLinear", &inputs, output, Vec::new());
    Ok(Outcome::Replaced)
}

/// A bias of integers, whose scale is the product of those of input and weights.
fn bias(make: &mut Builder<'_, '_>, node: &NodeProto, slot: usize, scales: [usize; 2]) -> Rewritten<Option<String>> {
    let Some(name) = node.at(slot) else { return Ok(None) };
    let constant = |slot: usize| match node.at(slot) {
        Some(name) => {
            make.net.constant(name)?.ok_or_else(|| refuse("its scales are computed", "quantise the model again"))
        }
        None => Err(missing()),
    };
    let values = make.net.constant(name)?.ok_or(refuse("its bias is computed", "quantise the model again"))?;
    let floats = |t: &Tensor| tensor::floats(t).map_err(Refusal::from);
    let (values, a, b) = (floats(&values)?, floats(&constant(scales[0])?)?, floats(&constant(scales[1])?)?);
    let product: Option<Vec<f32>> =
        (0..values.len()).map(|i| Some(values[i] * a.first()? * b.get(if b.len() == 1 { 0 } else { i })?)).collect();
    let product = product.ok_or(refuse("its scales do not fit its bias", "quantise the model again"))?;
    make.constant("bias", &tensor1(&product)).map(Some)
}

/// `QLinearMatMul`.
pub(in crate::frontend::rewrite) fn matmul(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (a, b) = (read(make, "a", node, [0, 1, 2], -1)?, read(make, "b", node, [3, 4, 5], -1)?);
    let product = make.matmul("product", &a, &b);
    write(make, node, &product, [6, 7])
}

/// `QLinearConv`.
pub(in crate::frontend::rewrite) fn conv(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, w) = (read(make, "x", node, [0, 1, 2], 1)?, read(make, "w", node, [3, 4, 5], 0)?);
    let bias = bias(make, node, 8, [1, 4])?;
    let inputs: Vec<&str> = [x.as_str(), &w].into_iter().chain(bias.as_deref()).collect();
    let product = make.op("product", "Conv", &inputs, node.attribute.clone());
    write(make, node, &product, [6, 7])
}

/// `QGemm`, whose output is in floats when it has no scale.
pub(in crate::frontend::rewrite) fn gemm(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let transposed = node.int("transB", 0) != 0;
    let (a, b) = (read(make, "a", node, [0, 1, 2], 1)?, read(make, "b", node, [3, 4, 5], i64::from(!transposed))?);
    let bias = bias(make, node, 6, [1, 4])?;
    let inputs: Vec<&str> = [a.as_str(), &b].into_iter().chain(bias.as_deref()).collect();
    let product = make.op("product", "Gemm", &inputs, node.attribute.clone());
    match node.at(7) {
        Some(_) => write(make, node, &product, [7, 8]),
        None => {
            make.export(&product, node.out(0));
            Ok(Outcome::Replaced)
        }
    }
}

/// An operator on one value: value, scale, zero point, and scale and zero point of the result.
pub(in crate::frontend::rewrite) fn unary(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let op = node.op_type.trim_start_matches("QLinear");
    let x = read(make, "x", node, [0, 1, 2], 1)?;
    let attributes: Vec<AttributeProto> =
        node.attribute.iter().filter(|a| a.name != "channels_last" && a.name != "opset").cloned().collect();
    if node.int("channels_last", 0) != 0 {
        return Err(refuse("channels in the last axis are not supported", "export the model with channels first"));
    }
    let y = make.op("value", op, &[&x], attributes);
    write(make, node, &y, [3, 4])
}

/// `QLinearAdd` and `QLinearMul`.
pub(in crate::frontend::rewrite) fn binary(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let op = node.op_type.trim_start_matches("QLinear");
    let (a, b) = (read(make, "a", node, [0, 1, 2], 1)?, read(make, "b", node, [3, 4, 5], 1)?);
    let y = make.op("value", op, &[&a, &b], Vec::new());
    write(make, node, &y, [6, 7])
}

/// `QLinearConcat`: scale and zero point of the result, then value, scale and zero point of each input.
pub(in crate::frontend::rewrite) fn concat(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let mut values = Vec::new();
    for slot in (2..node.input.len()).step_by(3) {
        values.push(read(make, "x", node, [slot, slot + 1, slot + 2], 1)?);
    }
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let y = make.op("value", "Concat", &values, node.attribute.clone());
    write(make, node, &y, [0, 1])
}

/// `MatMulIntegerToFloat`: values, both scales, both zero points, a bias of floats.
pub(in crate::frontend::rewrite) fn to_float(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (a, b) = (read(make, "a", node, [0, 2, 4], -1)?, read(make, "b", node, [1, 3, 5], -1)?);
    let product = make.matmul("product", &a, &b);
    finish(make, node, &product, 6)
}

/// `DynamicQuantizeMatMul`: floats, weights, their scale and zero point, a bias of floats.
pub(in crate::frontend::rewrite) fn dynamic(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let a = node.at(0).ok_or_else(missing)?;
    let b = read(make, "b", node, [1, 2, 3], -1)?;
    let product = make.matmul("product", a, &b);
    finish(make, node, &product, 4)
}

fn finish(make: &mut Builder<'_, '_>, node: &NodeProto, product: &str, bias: usize) -> Rewritten<Outcome> {
    let output = node.out(0).ok_or_else(missing)?;
    match node.at(bias) {
        Some(bias) => make.last("Add", &[product, bias], output, Vec::new()),
        None => make.last("Identity", &[product], output, Vec::new()),
    }
    Ok(Outcome::Replaced)
}

/// `QAttention`: the attention of floats.
pub(in crate::frontend::rewrite) fn attention(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, w) = (read(make, "x", node, [0, 3, 6], 1)?, read(make, "w", node, [1, 4, 7], -1)?);
    let at = |slot: usize| node.at(slot).unwrap_or_default().to_owned();
    let input = vec![x, w, at(2), at(5), at(8)];
    let label = node.label().to_owned();
    let inner = NodeProto { name: label, op_type: "Attention".into(), input, ..node.clone() };
    make.nodes.push(inner);
    Ok(Outcome::Replaced)
}

/// `MatMulInteger` and `ConvInteger` of two inputs of the model, exact. What is made inside of it stands for real numbers.
pub(in crate::frontend::rewrite) fn integer_product(
    make: &mut Builder<'_, '_>,
    node: &NodeProto,
) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.out(0)?));
    let (a, b, y) = parts().ok_or_else(missing)?;
    let outside = |name: &str| make.net.graph.input.iter().any(|input| input.name == name);
    if !outside(a) || !outside(b) {
        return Ok(Outcome::Kept);
    }
    let (convolution, Some(rank)) = (node.op_type == "ConvInteger", make.rank(b)) else { return Ok(Outcome::Later) };
    let mut operands = Vec::new();
    for (slot, part, value) in [(2, "a", a), (3, "b", b)] {
        let mut value = make.as_float(&format!("{part}_float"), value);
        if let Some(zero) = node.at(slot) {
            let Some(zeros) = make.shape(zero) else { return Ok(Outcome::Later) };
            let lane = match (zeros.iter().product::<usize>() as i64, slot) {
                (1, _) => vec![1],
                // One for each row of a, each column of b, or each output of a convolution.
                (n, 2) if !convolution && zeros.len() == 1 => vec![n, 1],
                (n, 3) if zeros.len() == 1 && !convolution => vec![n],
                (n, 3) if zeros.len() == 1 => [vec![n], vec![1; rank.saturating_sub(1)]].concat(),
                _ => return Ok(Outcome::Kept),
            };
            let zero = make.as_float(&format!("{part}_zero"), zero);
            let zero = make.reshape(&format!("{part}_zeros"), &zero, &lane)?;
            value = make.op(&format!("{part}_centred"), "Sub", &[&value, &zero], Vec::new());
        }
        operands.push(value);
    }
    let op = node.op_type.trim_end_matches("Integer");
    let product = make.op("product", op, &[&operands[0], &operands[1]], node.attribute.clone());
    make.last("Cast", &[&product], y, vec![node::int("to", DataType::Int32 as i64)]);
    Ok(Outcome::Replaced)
}

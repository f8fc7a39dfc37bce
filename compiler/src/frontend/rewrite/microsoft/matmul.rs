//! Matrix products and convolutions with what onnxruntime merges into them.

use crate::frontend::refusal::{missing, refuse};
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use tract_onnx::pb::{AttributeProto, NodeProto};

/// alpha * A' B', each with its last two axes turned around, or the first one moved behind them.
pub(super) fn fused_matmul(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let output = node.out(0).ok_or_else(missing)?;
    let Some([a, b]) = operands(make, node)? else { return Ok(Outcome::Later) };
    product(make, node, &a, &b, output)?;
    Ok(Outcome::Replaced)
}

/// The same behind an activation.
pub(super) fn fused_matmul_activation(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let output = node.out(0).ok_or_else(missing)?;
    let Some([a, b]) = operands(make, node)? else { return Ok(Outcome::Later) };
    let inner = make.matmul("product", &a, &b);
    let inner = make.scale("scaled", &inner, node.float("alpha", 1.0))?;
    activation(make, node, &inner, output)?;
    Ok(Outcome::Replaced)
}

fn product(make: &mut Builder<'_, '_>, node: &NodeProto, a: &str, b: &str, output: &str) -> Rewritten<()> {
    let alpha = node.float("alpha", 1.0);
    if alpha == 1.0 {
        make.last("MatMul", &[a, b], output, Vec::new());
        return Ok(());
    }
    let product = make.matmul("product", a, b);
    let alpha = make.scalar("alpha", alpha)?;
    make.last("Mul", &[&product, &alpha], output, Vec::new());
    Ok(())
}

/// Both factors as the product takes them; none while their number of axes is open.
fn operands(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Option<[String; 2]>> {
    let mut operands = [node.at(0).ok_or_else(missing)?.to_owned(), node.at(1).ok_or_else(missing)?.to_owned()];
    let mut orders = [None, None];
    for (i, side) in ["A", "B"].iter().enumerate() {
        let turned = node.int(&format!("trans{side}"), 0) != 0;
        let batch = node.int(&format!("transBatch{side}"), 0) != 0;
        if !turned && !batch {
            continue;
        }
        let Some(rank) = make.rank(&operands[i]) else { return Ok(None) };
        let mut order: Vec<i64> = (0..rank as i64).collect();
        if batch && rank > 2 {
            // The first axis stands last but one.
            order[..rank - 1].rotate_left(1);
        }
        if turned && rank > 1 {
            order.swap(rank - 2, rank - 1);
        }
        orders[i] = Some(order);
    }
    for ((operand, order), part) in operands.iter_mut().zip(&orders).zip(["a", "b"]) {
        if let Some(order) = order {
            *operand = make.transpose(part, operand, order);
        }
    }
    Ok(Some(operands))
}

/// `Gemm` behind an activation.
pub(super) fn fused_gemm(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    behind(make, node, "Gemm", &["alpha", "beta", "transA", "transB"])
}

/// `Conv`, plus a fourth input, behind an activation.
pub(super) fn fused_conv(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    behind(make, node, "Conv", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])
}

fn behind(make: &mut Builder<'_, '_>, node: &NodeProto, op: &str, attributes: &[&str]) -> Rewritten<Outcome> {
    let output = node.out(0).ok_or_else(missing)?;
    let kept: Vec<AttributeProto> =
        node.attribute.iter().filter(|a| attributes.contains(&a.name.as_str())).cloned().collect();
    let inputs: Vec<&str> = node.input.iter().take(3).map(String::as_str).collect();
    let mut inner = make.op("product", op, &inputs, kept);
    if let Some(sum) = node.at(3) {
        inner = make.add("sum", &inner, sum);
    }
    activation(make, node, &inner, output)?;
    Ok(Outcome::Replaced)
}

/// The activation that the attributes of a merged node name.
fn activation(make: &mut Builder<'_, '_>, node: &NodeProto, x: &str, output: &str) -> Rewritten<()> {
    let op = node.text("activation");
    let list = node.floats("activation_params");
    let parameter = |name: &str, place: usize, default: f32| match node.attribute(&format!("activation_{name}")) {
        Some(given) => given.f,
        None => list.get(place).copied().unwrap_or(default),
    };
    let alpha = |default: f32| node::float("alpha", parameter("alpha", 0, default));
    let attributes = match &op[..] {
        "" => {
            make.last("Identity", &[x], output, Vec::new());
            return Ok(());
        }
        "Relu" | "Sigmoid" | "Tanh" | "Softplus" | "Softsign" | "Gelu" | "Erf" => Vec::new(),
        "LeakyRelu" => vec![alpha(0.01)],
        "Elu" => vec![alpha(1.0)],
        "HardSigmoid" => vec![alpha(0.2), node::float("beta", parameter("beta", 1, 0.5))],
        "Clip" => {
            let (low, high) = (list.first().copied().unwrap_or(f32::MIN), list.get(1).copied().unwrap_or(f32::MAX));
            let (low, high) = (make.scalar("low", low)?, make.scalar("high", high)?);
            let raised = make.op("raised", "Max", &[x, &low], Vec::new());
            make.last("Min", &[&raised, &high], output, Vec::new());
            return Ok(());
        }
        other => {
            return Err(refuse(
                format!("its activation \"{other}\" is not known"),
                "export the model without merged operators",
            ));
        }
    };
    make.last(&op, &[x], output, attributes);
    Ok(())
}

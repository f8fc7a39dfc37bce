//! Refuses files whose numbers ask tract for time or memory out of all proportion, before it evaluates them: tract works
//! out constants and shapes as it reads.

use crate::frontend::refusal::{Refusal, incorrect};
use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, tensor_proto::DataType, tensor_shape_proto::dimension,
    type_proto,
};

/// Most axes of a tensor.
pub(super) const MAX_AXES: u64 = 64;

/// Largest size that an attribute may name, in any one dimension.
const MAX_SIZE: u64 = 1 << 24;

/// Most values of one tensor.
const MAX_VALUES: u64 = 1 << 28;

/// Ops that make a tensor of a size that constants name, with the inputs that name it.
const MAKERS: [(&str, &[usize]); 11] = [
    ("BlackmanWindow", &[0]),
    ("ConstantOfShape", &[0]),
    ("Expand", &[1]),
    ("HammingWindow", &[0]),
    ("HannWindow", &[0]),
    ("OneHot", &[1]),
    ("Pad", &[1]),
    ("Range", &[0, 1, 2]),
    ("Reshape", &[1]),
    ("Resize", &[3]),
    ("Tile", &[1]),
];

/// The first number out of proportion, in words.
pub(super) fn screen(graph: &GraphProto) -> Result<(), Refusal> {
    for input in &graph.input {
        let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
            continue;
        };
        let dims = tensor.shape.iter().flat_map(|s| &s.dim).filter_map(|d| match d.value {
            Some(dimension::Value::DimValue(n)) => Some(n),
            _ => None,
        });
        values(dims)
            .ok_or_else(|| Refusal::bare(format!("input \"{}\" has more than {MAX_VALUES} values", input.name)))?;
    }
    let constants = graph.node.iter().filter(|n| n.op_type == "Constant").filter_map(|n| {
        let tensor = n.attribute.iter().find_map(|a| a.t.as_ref())?;
        Some((n.output.first()?.as_str(), tensor))
    });
    let sizes: std::collections::HashMap<&str, &TensorProto> =
        graph.initializer.iter().map(|t| (t.name.as_str(), t)).chain(constants).collect();
    for node in &graph.node {
        node.attribute.iter().try_for_each(|a| attribute(node, a))?;
        if let Some((_, slots)) = MAKERS.iter().find(|(op, _)| *op == node.op_type) {
            let named = slots.iter().filter_map(|&slot| sizes.get(node.input.get(slot)?.as_str()));
            for tensor in named {
                values(integers(tensor).into_iter()).ok_or_else(|| {
                    Refusal::bare(format!("{} \"{}\" makes more than {MAX_VALUES} values", node.op_type, node.name))
                })?;
            }
        }
        for graph in node.attribute.iter().filter_map(|a| a.g.as_ref()) {
            screen(graph)?;
        }
    }
    Ok(())
}

fn attribute(node: &NodeProto, attribute: &AttributeProto) -> Result<(), Refusal> {
    let limit = match attribute.name.as_str() {
        "axis" | "axes" | "perm" | "batch_dims" | "start_axis" | "end_axis" => MAX_AXES,
        // The end of an axis is often named by a number beyond it.
        "starts" | "ends" | "value_int" | "value_ints" => u64::MAX,
        _ => MAX_SIZE,
    };
    if let Some(v) = attribute.ints.iter().find(|v| attribute.name == "perm" && **v < 0) {
        return Err(incorrect(format!(
            "{} \"{}\" puts axis {v} elsewhere, and they count from 0",
            node.op_type, node.name
        )));
    }
    match std::iter::once(&attribute.i).chain(&attribute.ints).find(|v| v.unsigned_abs() > limit) {
        Some(v) => Err(incorrect(format!(
            "{} \"{}\" has the attribute {} = {v}, and at most {limit} is taken",
            node.op_type, node.name, attribute.name
        ))),
        None => Ok(()),
    }
}

/// The number of values of a tensor with these dimensions, unless it is too great. Negative ones mean "as it fits".
fn values(dims: impl Iterator<Item = i64>) -> Option<u64> {
    let mut sizes = dims.map(|d| u64::try_from(d).unwrap_or(1).max(1));
    sizes.try_fold(1u64, |n, d| n.checked_mul(d).filter(|&n| n <= MAX_VALUES))
}

/// Elements of an integer tensor that can name a shape.
fn integers(tensor: &TensorProto) -> Vec<i64> {
    let words = |size: usize| tensor.raw_data.chunks_exact(size).take(MAX_AXES as usize);
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Int64) if tensor.raw_data.is_empty() => tensor.int64_data.clone(),
        Ok(DataType::Int32) if tensor.raw_data.is_empty() => tensor.int32_data.iter().map(|&v| v.into()).collect(),
        Ok(DataType::Int64) => words(8).filter_map(|w| Some(i64::from_le_bytes(w.try_into().ok()?))).collect(),
        Ok(DataType::Int32) => words(4).filter_map(|w| Some(i32::from_le_bytes(w.try_into().ok()?).into())).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(op: &str, attribute: AttributeProto, constant: &[i64]) -> GraphProto {
        let shape = TensorProto {
            name: "shape".into(),
            data_type: DataType::Int64 as i32,
            raw_data: constant.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..Default::default()
        };
        let input = if op == "ConstantOfShape" { vec!["shape".into()] } else { vec!["x".into(), "shape".into()] };
        let node = NodeProto { op_type: op.into(), input, attribute: vec![attribute], ..Default::default() };
        GraphProto { node: vec![node], initializer: vec![shape], ..Default::default() }
    }

    fn int(name: &str, i: i64) -> AttributeProto {
        AttributeProto { name: name.into(), i, ..Default::default() }
    }

    #[test]
    fn numbers_out_of_proportion_are_refused() {
        assert_eq!(screen(&graph("LayerNormalization", int("axis", -1), &[])), Ok(()));
        assert_eq!(screen(&graph("Slice", int("ends", i64::MAX), &[])), Ok(()));
        assert!(screen(&graph("LayerNormalization", int("axis", -536_870_913), &[])).is_err());
        let order = AttributeProto { name: "perm".into(), ints: vec![0, -1], ..Default::default() };
        assert!(
            screen(&graph("Transpose", order, &[])).is_err_and(|e| e.to_string().contains("puts axis -1 elsewhere"))
        );
        assert!(screen(&graph("MaxPool", int("kernel_shape", i64::MIN), &[])).is_err());
        assert_eq!(screen(&graph("Reshape", int("allowzero", 0), &[1, -1, 0, 64])), Ok(()));
        assert!(screen(&graph("ConstantOfShape", int("value", 0), &[1 << 20, 1 << 20])).is_err());
        let mut expand = graph("Expand", int("value", 0), &[i64::MAX]);
        assert!(screen(&expand).is_err());
        // What is expanded is no shape.
        expand.node[0].input.reverse();
        assert_eq!(screen(&expand), Ok(()));
    }
}

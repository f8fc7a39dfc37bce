//! The least of an ONNX writer: nodes in a chain from `x` to `y`.

use prost::Message;
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_proto::DataType, tensor_shape_proto::Dimension, type_proto,
};

/// A dimension: a number or a name.
pub use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;

/// A model of a single node `op` named `the_node`, float input and output of shape `dims`.
pub fn single_node(op: &str, dims: &[Dim]) -> Vec<u8> {
    model(vec![node(op, "the_node", "x", "y")], dims)
}

/// A model of nodes `node0`, `node1`, .. in a chain, float input and output of shape `dims`.
pub fn nodes(ops: &[&str], dims: &[Dim]) -> Vec<u8> {
    let value = |i: usize| match i {
        0 => "x".to_owned(),
        i if i == ops.len() => "y".to_owned(),
        i => format!("v{i}"),
    };
    let one = |(i, op): (usize, &&str)| node(op, &format!("node{i}"), &value(i), &value(i + 1));
    model(ops.iter().enumerate().map(one).collect(), dims)
}

fn node(op: &str, name: &str, input: &str, output: &str) -> NodeProto {
    NodeProto {
        input: vec![input.into()],
        output: vec![output.into()],
        name: name.into(),
        op_type: op.into(),
        ..Default::default()
    }
}

fn model(node: Vec<NodeProto>, dims: &[Dim]) -> Vec<u8> {
    let dim = dims.iter().map(|d| Dimension { value: Some(d.clone()), ..Default::default() }).collect();
    let tensor = type_proto::Tensor { elem_type: DataType::Float.into(), shape: Some(TensorShapeProto { dim }) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    let port =
        |name: &str| vec![ValueInfoProto { name: name.into(), r#type: Some(kind.clone()), ..Default::default() }];
    let graph = GraphProto { node, name: "g".into(), input: port("x"), output: port("y"), ..Default::default() };
    let opset_import = vec![OperatorSetIdProto { version: 17, ..Default::default() }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() }.encode_to_vec()
}

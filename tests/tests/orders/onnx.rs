//! Small ONNX files, written on the messages that the reader reads.

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// A graph under construction. Nodes and constants are named by their number.
#[derive(Default)]
pub struct Onnx {
    graph: GraphProto,
}

/// An attribute of one integer.
pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: AttributeType::Int.into(), ..Default::default() }
}

/// An attribute of several integers.
pub fn ints(name: &str, ints: &[usize]) -> AttributeProto {
    let ints = ints.iter().map(|&i| i as i64).collect();
    AttributeProto { name: name.into(), ints, r#type: AttributeType::Ints.into(), ..Default::default() }
}

fn value_info(name: &str, kind: DataType, shape: &[usize]) -> ValueInfoProto {
    let dim = |&d: &usize| Dimension { value: Some(dimension::Value::DimValue(d as i64)), ..Default::default() };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: kind.into(), shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..Default::default() }
}

impl Onnx {
    pub fn input(&mut self, name: &str, kind: DataType, shape: &[usize]) -> String {
        self.graph.input.push(value_info(name, kind, shape));
        name.into()
    }

    /// Makes `value` a float output of this name.
    pub fn output(&mut self, name: &str, value: &str, shape: &[usize]) {
        let node = NodeProto {
            input: vec![value.into()],
            output: vec![name.into()],
            op_type: "Identity".into(),
            ..Default::default()
        };
        self.graph.node.push(NodeProto { name: name.into(), ..node });
        self.graph.output.push(value_info(name, DataType::Float, shape));
    }

    fn constant(&mut self, shape: &[usize], kind: DataType, raw_data: Vec<u8>) -> String {
        let name = format!("c{}", self.graph.initializer.len());
        let dims = shape.iter().map(|&d| d as i64).collect();
        let tensor = TensorProto { name: name.clone(), dims, data_type: kind.into(), raw_data, ..Default::default() };
        self.graph.initializer.push(tensor);
        name
    }

    pub fn floats(&mut self, shape: &[usize], values: &[f32]) -> String {
        self.constant(shape, DataType::Float, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    pub fn integers(&mut self, values: &[i64]) -> String {
        self.constant(&[values.len()], DataType::Int64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: &[AttributeProto]) -> String {
        let name = format!("n{}", self.graph.node.len());
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&n| n.into()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.into(),
            attribute: attributes.into(),
            ..Default::default()
        });
        name
    }

    pub fn reshape(&mut self, x: &str, shape: &[usize]) -> String {
        let shape = self.integers(&shape.iter().map(|&d| d as i64).collect::<Vec<_>>());
        self.node("Reshape", &[x, &shape], &[])
    }

    pub fn transpose(&mut self, x: &str, axes: &[usize]) -> String {
        self.node("Transpose", &[x], &[ints("perm", axes)])
    }

    pub fn gather(&mut self, x: &str, axis: usize, places: &[usize]) -> String {
        let places = self.integers(&places.iter().map(|&p| p as i64).collect::<Vec<_>>());
        self.node("Gather", &[x, &places], &[int("axis", axis as i64)])
    }

    /// Every element of an axis, last to first.
    pub fn reverse(&mut self, x: &str, axis: usize) -> String {
        let [start, end, axis, step] = [-1, i64::MIN / 2, axis as i64, -1].map(|v| self.integers(&[v]));
        self.node("Slice", &[x, &start, &end, &axis, &step], &[])
    }

    /// The file: ir_version 8, opset 17.
    pub fn bytes(self) -> Vec<u8> {
        let opset = OperatorSetIdProto { version: 17, ..Default::default() };
        let model =
            ModelProto { ir_version: 8, graph: Some(self.graph), opset_import: vec![opset], ..Default::default() };
        model.encode_to_vec()
    }
}

//! The part of an ONNX writer that a block needs, on the messages that the reader reads.

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// An attribute of one integer.
pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: AttributeType::Int.into(), ..Default::default() }
}

/// An attribute of several integers.
pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.into(), r#type: AttributeType::Ints.into(), ..Default::default() }
}

/// An attribute of one number.
pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: AttributeType::Float.into(), ..Default::default() }
}

/// A graph under construction.
pub struct Writer {
    graph: GraphProto,
}

/// A float tensor of these dimensions.
fn value_info(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = |&d: &usize| Dimension { value: Some(dimension::Value::DimValue(d as i64)), ..Default::default() };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float.into(), shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..Default::default() }
}

impl Writer {
    /// An empty graph.
    pub fn new() -> Self {
        Writer { graph: GraphProto { name: "block".into(), ..Default::default() } }
    }

    fn initializer(&mut self, name: &str, dims: &[usize], kind: DataType, raw_data: Vec<u8>) {
        let dims = dims.iter().map(|&d| d as i64).collect();
        let tensor = TensorProto { name: name.into(), dims, data_type: kind.into(), raw_data, ..Default::default() };
        self.graph.initializer.push(tensor);
    }

    /// A constant of floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.initializer(name, dims, DataType::Float, values.iter().flat_map(|v| v.to_le_bytes()).collect());
    }

    /// A one-dimensional constant of 64-bit integers.
    pub fn integers(&mut self, name: &str, values: &[usize]) {
        let data = values.iter().flat_map(|&v| (v as u64).to_le_bytes()).collect();
        self.initializer(name, &[values.len()], DataType::Int64, data);
    }

    /// A constant of truth values.
    pub fn bools(&mut self, name: &str, dims: &[usize], values: &[bool]) {
        self.initializer(name, dims, DataType::Bool, values.iter().map(|&v| v.into()).collect());
    }

    /// A node, named like its first output.
    pub fn node(&mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[AttributeProto]) {
        let names = |names: &[&str]| names.iter().map(|&n| n.into()).collect();
        self.graph.node.push(NodeProto {
            input: names(inputs),
            output: names(outputs),
            name: outputs.first().copied().unwrap_or(op).into(),
            op_type: op.into(),
            attribute: attributes.into(),
            ..Default::default()
        });
    }

    /// The file, with a float input and output of these dimensions: ir_version 8, opset 17.
    pub fn finish(mut self, input: &str, output: &str, dims: &[usize]) -> Vec<u8> {
        self.graph.input.push(value_info(input, dims));
        self.graph.output.push(value_info(output, dims));
        let opset = OperatorSetIdProto { version: 17, ..Default::default() };
        let model =
            ModelProto { ir_version: 8, graph: Some(self.graph), opset_import: vec![opset], ..Default::default() };
        model.encode_to_vec()
    }
}

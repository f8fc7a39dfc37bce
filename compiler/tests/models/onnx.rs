//! Small ONNX models, written by code.

use prost::Message;
use std::path::{Path, PathBuf};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// An attribute of one whole number.
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

/// A model under construction, opset 17.
#[derive(Default)]
pub struct Onnx {
    graph: GraphProto,
}

fn value(name: &str, kind: DataType, dims: &[usize]) -> ValueInfoProto {
    let dim = |&d: &usize| Dimension { value: Some(dimension::Value::DimValue(d as i64)), ..Default::default() };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: kind.into(), shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..Default::default() }
}

impl Onnx {
    /// An input.
    pub fn input(mut self, name: &str, dims: &[usize]) -> Self {
        self.graph.input.push(value(name, DataType::Float, dims));
        self
    }

    /// An input of whole numbers.
    pub fn whole_input(mut self, name: &str, dims: &[usize]) -> Self {
        self.graph.input.push(value(name, DataType::Int64, dims));
        self
    }

    /// An output, which a node computes.
    pub fn output(mut self, name: &str, dims: &[usize]) -> Self {
        self.graph.output.push(value(name, DataType::Float, dims));
        self
    }

    /// A constant.
    pub fn constant(mut self, name: &str, dims: &[usize], data: &[f32]) -> Self {
        let (float_data, dims) = (data.to_vec(), dims.iter().map(|&d| d as i64).collect());
        let data_type = DataType::Float.into();
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims,
            data_type,
            float_data,
            ..Default::default()
        });
        self
    }

    /// A constant of signed bytes.
    pub fn bytes(mut self, name: &str, dims: &[usize], data: &[i8]) -> Self {
        let raw_data = data.iter().map(|&v| v as u8).collect();
        let dims = dims.iter().map(|&d| d as i64).collect();
        let data_type = DataType::Int8.into();
        self.graph.initializer.push(TensorProto { name: name.into(), dims, data_type, raw_data, ..Default::default() });
        self
    }

    /// Names further outputs of the last node.
    pub fn and(mut self, outputs: &[&str]) -> Self {
        if let Some(node) = self.graph.node.last_mut() {
            node.output.extend(outputs.iter().map(|&o| o.to_owned()));
        }
        self
    }

    /// A node with one output, which it is named after.
    pub fn node(mut self, op: &str, inputs: &[&str], output: &str, attributes: &[AttributeProto]) -> Self {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&i| i.into()).collect(),
            output: vec![output.into()],
            name: output.into(),
            op_type: op.into(),
            attribute: attributes.into(),
            ..Default::default()
        });
        self
    }

    /// Writes the model into `folder`.
    pub fn write(self, folder: &Path) -> PathBuf {
        let opset_import = vec![OperatorSetIdProto { version: 17, ..Default::default() }];
        let graph = Some(GraphProto { name: "graph".into(), ..self.graph });
        let model = ModelProto { ir_version: 8, graph, opset_import, ..Default::default() };
        let path = folder.join("model.onnx");
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        path
    }
}

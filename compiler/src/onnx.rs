//! Small ONNX files, written by code: the blocks that benchmarks measure, and the models of tests.

use prost::Message;
use std::path::{Path, PathBuf};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataLocation,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

pub use tract_onnx::pb::{AttributeProto, tensor_proto::DataType};

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

/// An attribute of text.
pub fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: s.into(), r#type: AttributeType::String.into(), ..Default::default() }
}

/// What a file says of a value: its name, element type and shape.
pub(crate) fn value_info(name: &str, elem_type: i32, dims: &[i64]) -> ValueInfoProto {
    let dim = |&d: &i64| Dimension { value: Some(dimension::Value::DimValue(d)), ..Default::default() };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type, shape: Some(shape) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..Default::default() }
}

/// The elements of a constant.
pub trait Element: Copy {
    /// The type as files name it.
    const KIND: DataType;
    /// The bytes of one element in a file.
    fn bytes(self) -> impl IntoIterator<Item = u8>;
}

impl Element for f32 {
    const KIND: DataType = DataType::Float;
    fn bytes(self) -> impl IntoIterator<Item = u8> {
        self.to_le_bytes()
    }
}

impl Element for i64 {
    const KIND: DataType = DataType::Int64;
    fn bytes(self) -> impl IntoIterator<Item = u8> {
        self.to_le_bytes()
    }
}

impl Element for i8 {
    const KIND: DataType = DataType::Int8;
    fn bytes(self) -> impl IntoIterator<Item = u8> {
        self.to_le_bytes()
    }
}

impl Element for bool {
    const KIND: DataType = DataType::Bool;
    fn bytes(self) -> impl IntoIterator<Item = u8> {
        [self.into()]
    }
}

/// Where a constant stands in a file beside the model, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct External<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

fn lengths(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|&d| d as i64).collect()
}

/// A model under construction: ir_version 8, opset 17.
#[derive(Clone, Debug, Default)]
pub struct Onnx {
    graph: GraphProto,
}

impl Onnx {
    /// An input of floats.
    pub fn input(self, name: &str, dims: &[usize]) -> Self {
        self.typed_input(name, DataType::Float, dims)
    }

    /// An input of 64-bit integers.
    pub fn whole_input(self, name: &str, dims: &[usize]) -> Self {
        self.typed_input(name, DataType::Int64, dims)
    }

    /// An input of any element type.
    pub fn typed_input(mut self, name: &str, kind: DataType, dims: &[usize]) -> Self {
        self.graph.input.push(value_info(name, kind.into(), &lengths(dims)));
        self
    }

    /// An output of floats, which a node computes.
    pub fn output(mut self, name: &str, dims: &[usize]) -> Self {
        self.graph.output.push(value_info(name, DataType::Float.into(), &lengths(dims)));
        self
    }

    /// Leaves the length of one axis of all inputs and outputs open, under this name.
    pub fn open(mut self, axis: usize, name: &str) -> Self {
        for value in self.graph.input.iter_mut().chain(&mut self.graph.output) {
            let kind = value.r#type.as_mut().and_then(|t| t.value.as_mut());
            if let Some(type_proto::Value::TensorType(type_proto::Tensor { shape: Some(shape), .. })) = kind
                && let Some(dim) = shape.dim.get_mut(axis)
            {
                dim.value = Some(dimension::Value::DimParam(name.into()));
            }
        }
        self
    }

    /// A constant.
    pub fn constant<T: Element>(mut self, name: &str, dims: &[usize], data: &[T]) -> Self {
        let raw_data = data.iter().flat_map(|v| v.bytes()).collect();
        let (name, dims, data_type) = (name.into(), lengths(dims), T::KIND.into());
        self.graph.initializer.push(TensorProto { name, dims, data_type, raw_data, ..Default::default() });
        self
    }

    /// A constant of floats in a file beside the model.
    pub fn external(mut self, name: &str, dims: &[usize], place: &External) -> Self {
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: lengths(dims),
            data_type: DataType::Float.into(),
            data_location: Some(DataLocation::External.into()),
            external_data: vec![
                entry("location", place.file.into()),
                entry("offset", place.offset.to_string()),
                entry("length", place.length.to_string()),
            ],
            ..Default::default()
        });
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

    /// Names further outputs of the last node.
    pub fn and(mut self, outputs: &[&str]) -> Self {
        if let Some(node) = self.graph.node.last_mut() {
            node.output.extend(outputs.iter().map(|&o| o.to_owned()));
        }
        self
    }

    /// The file.
    pub fn bytes(self) -> Vec<u8> {
        let opset_import = vec![OperatorSetIdProto { version: 17, ..Default::default() }];
        let graph = Some(GraphProto { name: "graph".into(), ..self.graph });
        ModelProto { ir_version: 8, graph, opset_import, ..Default::default() }.encode_to_vec()
    }

    /// Writes the file `model.onnx` into `folder`.
    ///
    /// # Errors
    ///
    /// What the system says of a file that cannot be written.
    pub fn write(self, folder: &Path) -> std::io::Result<PathBuf> {
        let path = folder.join("model.onnx");
        std::fs::write(&path, self.bytes())?;
        Ok(path)
    }
}

//! The part of an ONNX writer that a block needs: protobuf by hand, field numbers as in `onnx.proto3`.

/// An attribute of a node.
pub enum Attribute<'a> {
    /// One number.
    Float(&'static str, f32),
    /// One integer.
    Int(&'static str, i64),
    /// Several integers.
    Ints(&'static str, &'a [i64]),
}

/// A graph under construction, as bytes of `GraphProto`.
pub struct Writer {
    graph: Vec<u8>,
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [&varint(field << 3 | 2), &varint(value.len() as u64), value].concat()
}

/// `TensorProto`: dims, data_type, name, raw_data.
fn tensor(name: &str, dims: &[usize], kind: u64, data: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&d| number(1, d as u64)).collect();
    [dims, number(2, kind), bytes(8, name.as_bytes()), bytes(9, data)].concat()
}

/// `AttributeProto`: name, value, type.
fn attribute(attribute: &Attribute) -> Vec<u8> {
    let (name, value, kind) = match attribute {
        Attribute::Float(name, value) => (name, [varint(2 << 3 | 5), value.to_le_bytes().to_vec()].concat(), 1),
        Attribute::Int(name, value) => (name, number(3, *value as u64), 2),
        Attribute::Ints(name, values) => (name, values.iter().flat_map(|&v| number(8, v as u64)).collect(), 7),
    };
    [bytes(1, name.as_bytes()), value, number(20, kind)].concat()
}

/// `ValueInfoProto` of a float tensor.
fn value_info(name: &str, dims: &[usize]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&d| bytes(1, &number(1, d as u64))).collect();
    let tensor = [number(1, 1), bytes(2, &dims)].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

impl Writer {
    /// An empty graph.
    pub fn new() -> Self {
        Writer { graph: bytes(2, b"block") }
    }

    fn initializer(&mut self, tensor: &[u8]) {
        self.graph.extend(bytes(5, tensor));
    }

    /// A constant of floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializer(&tensor(name, dims, 1, &data));
    }

    /// A one-dimensional constant of 64-bit integers.
    pub fn integers(&mut self, name: &str, values: &[usize]) {
        let data: Vec<u8> = values.iter().flat_map(|&v| (v as u64).to_le_bytes()).collect();
        self.initializer(&tensor(name, &[values.len()], 7, &data));
    }

    /// A constant of truth values.
    pub fn bools(&mut self, name: &str, dims: &[usize], values: &[bool]) {
        let data: Vec<u8> = values.iter().map(|&v| v.into()).collect();
        self.initializer(&tensor(name, dims, 9, &data));
    }

    /// A node, named like its first output.
    pub fn node(&mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Attribute]) {
        let names =
            |field: u64, names: &[&str]| names.iter().flat_map(|n| bytes(field, n.as_bytes())).collect::<Vec<_>>();
        let attributes: Vec<u8> = attributes.iter().flat_map(|a| bytes(5, &attribute(a))).collect();
        let name = bytes(3, outputs.first().copied().unwrap_or(op).as_bytes());
        let node = [names(1, inputs), names(2, outputs), name, bytes(4, op.as_bytes()), attributes].concat();
        self.graph.extend(bytes(1, &node));
    }

    /// The file, with a float input and output of these dimensions: ir_version 8, opset 17.
    pub fn finish(mut self, input: &str, output: &str, dims: &[usize]) -> Vec<u8> {
        self.graph.extend(bytes(11, &value_info(input, dims)));
        self.graph.extend(bytes(12, &value_info(output, dims)));
        [number(1, 8), bytes(7, &self.graph), bytes(8, &number(2, 17))].concat()
    }
}

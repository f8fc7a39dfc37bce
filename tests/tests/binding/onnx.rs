//! The constants of an ONNX file, read from the protobuf itself: initializers, tensors and numbers of `Constant` nodes,
//! and the real-valued attributes of all other nodes, in nested graphs too.

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, TensorProto};

/// A constant by its place among all constants of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Place in the file.
    pub index: usize,
    /// Name of the tensor, or of the node with that of the attribute.
    pub name: String,
    /// Entries.
    pub len: usize,
}

/// How an entry is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Moved by the greatest magnitude of the tensor, integers by 1; a mask's great or infinite value becomes 0.
    Up,
    /// The other way.
    Down,
    /// Twice the value.
    Double,
    /// One more: far more than a tiny number.
    One,
}

/// All changes, in the order in which they are tried.
pub const CHANGES: [Change; 4] = [Change::Up, Change::Down, Change::Double, Change::One];

/// The numbers of one constant.
enum Numbers<'a> {
    Tensor(&'a mut TensorProto),
    Float(&'a mut f32),
    Floats(&'a mut Vec<f32>),
    Int(&'a mut i64),
    Ints(&'a mut Vec<i64>),
}

/// All constants of a file.
pub fn constants(file: &[u8]) -> Vec<Constant> {
    let mut all = Vec::new();
    visit(&mut model(file), &mut |name, mut numbers| {
        let mut len = 0;
        numbers.each(&mut |_: usize, _: Entry| len += 1);
        all.push(Constant { index: all.len(), name, len });
    });
    all
}

/// The file with one entry of one constant changed; `None` where the change gives the same value.
pub fn changed(file: &[u8], constant: &Constant, entry: usize, change: Change) -> Option<Vec<u8>> {
    let (mut model, mut index, mut done) = (model(file), 0, false);
    visit(&mut model, &mut |_, mut numbers| {
        if index == constant.index {
            let mut greatest = 0f64;
            numbers.each(&mut |_, value| greatest = greatest.max(value.magnitude()));
            numbers.each(&mut |at, value| done |= at == entry && value.change(change, greatest));
        }
        index += 1;
    });
    done.then(|| model.encode_to_vec())
}

fn model(file: &[u8]) -> ModelProto {
    let model = ModelProto::decode(file).unwrap();
    assert!(model.training_info.is_empty(), "a model for training");
    model
}

fn visit(model: &mut ModelProto, each: &mut dyn FnMut(String, Numbers)) {
    visit_graph(model.graph.as_mut().unwrap(), each);
}

fn visit_graph(graph: &mut GraphProto, each: &mut dyn FnMut(String, Numbers)) {
    assert!(graph.sparse_initializer.is_empty(), "sparse constants are not enumerated");
    for tensor in &mut graph.initializer {
        each(tensor.name.clone(), Numbers::Tensor(tensor));
    }
    for node in &mut graph.node {
        let constant = node.op_type == "Constant";
        let owner = if node.name.is_empty() { node.output.join(" ") } else { node.name.clone() };
        for attribute in &mut node.attribute {
            visit_attribute(attribute, constant, &owner, each);
        }
    }
}

fn visit_attribute(a: &mut AttributeProto, constant: bool, owner: &str, each: &mut dyn FnMut(String, Numbers)) {
    assert!(a.sparse_tensor.is_none() && a.sparse_tensors.is_empty(), "sparse constants are not enumerated");
    let name = format!("{owner} {}", a.name);
    a.t.iter_mut().chain(&mut a.tensors).for_each(|tensor| each(name.clone(), Numbers::Tensor(tensor)));
    match a.r#type {
        1 => each(name.clone(), Numbers::Float(&mut a.f)),
        2 if constant => each(name.clone(), Numbers::Int(&mut a.i)),
        6 => each(name.clone(), Numbers::Floats(&mut a.floats)),
        7 if constant => each(name.clone(), Numbers::Ints(&mut a.ints)),
        _ => {}
    }
    a.g.iter_mut().chain(&mut a.graphs).for_each(|graph| visit_graph(graph, each));
}

/// One number in the file.
enum Entry<'a> {
    Float(&'a mut f32),
    Int(&'a mut i64),
    Int32(&'a mut i32),
    RawFloat(&'a mut [u8]),
    RawInt(&'a mut [u8]),
}

impl Entry<'_> {
    fn real(&self) -> Option<f32> {
        match self {
            Entry::Float(v) => Some(**v),
            Entry::RawFloat(bytes) => Some(f32::from_le_bytes((&**bytes).try_into().unwrap())),
            _ => None,
        }
    }

    fn magnitude(&self) -> f64 {
        self.real().filter(|v| v.is_finite()).map_or(0.0, |v| f64::from(v.abs()))
    }

    /// Whether the value is another one now.
    fn change(self, change: Change, greatest: f64) -> bool {
        if let Some(old) = self.real() {
            let step = if greatest > 0.0 { greatest as f32 } else { 1.0 };
            let new = match change {
                // A mask's fill value: nothing is hidden.
                Change::Up if old.abs() > 1e30 => 0.0,
                Change::Up => old + step,
                Change::Down => old - step,
                Change::Double => 2.0 * old,
                Change::One => old + 1.0,
            };
            match self {
                Entry::Float(v) => *v = new,
                Entry::RawFloat(bytes) => bytes.copy_from_slice(&new.to_le_bytes()),
                _ => {}
            }
            return new.to_bits() != old.to_bits();
        }
        let next = |v: i64| match change {
            Change::Up | Change::One => v.wrapping_add(1),
            Change::Down => v.wrapping_sub(1),
            Change::Double => v.wrapping_mul(2),
        };
        match self {
            Entry::Int(v) => std::mem::replace(v, next(*v)) != *v,
            Entry::Int32(v) => std::mem::replace(v, next(i64::from(*v)) as i32) != *v,
            Entry::RawInt(bytes) => {
                let mut wide = [0; 8];
                wide[..bytes.len()].copy_from_slice(bytes);
                let new = next(i64::from_le_bytes(wide)).to_le_bytes();
                let differs = new[..bytes.len()] != *bytes;
                bytes.copy_from_slice(&new[..bytes.len()]);
                differs
            }
            Entry::Float(_) | Entry::RawFloat(_) => false,
        }
    }
}

impl Numbers<'_> {
    /// Calls `f` with the index and the place of every number.
    fn each(&mut self, f: &mut dyn FnMut(usize, Entry)) {
        match self {
            Numbers::Float(v) => f(0, Entry::Float(v)),
            Numbers::Floats(all) => all.iter_mut().enumerate().for_each(|(i, v)| f(i, Entry::Float(v))),
            Numbers::Int(v) => f(0, Entry::Int(v)),
            Numbers::Ints(all) => all.iter_mut().enumerate().for_each(|(i, v)| f(i, Entry::Int(v))),
            Numbers::Tensor(tensor) => each_of_tensor(tensor, f),
        }
    }
}

fn each_of_tensor(tensor: &mut TensorProto, f: &mut dyn FnMut(usize, Entry)) {
    let kind = DataType::try_from(tensor.data_type).unwrap();
    let (width, real) = match kind {
        DataType::Float => (4, true),
        DataType::Int32 => (4, false),
        DataType::Int64 => (8, false),
        DataType::Bool => (1, false),
        other => panic!("{}: constants of type {other:?} are not enumerated", tensor.name),
    };
    assert!(tensor.external_data.is_empty(), "{}: data outside the file is not enumerated", tensor.name);
    let raw = tensor.raw_data.chunks_exact_mut(width);
    raw.enumerate().for_each(|(i, b)| f(i, if real { Entry::RawFloat(b) } else { Entry::RawInt(b) }));
    tensor.float_data.iter_mut().enumerate().for_each(|(i, v)| f(i, Entry::Float(v)));
    tensor.int64_data.iter_mut().enumerate().for_each(|(i, v)| f(i, Entry::Int(v)));
    tensor.int32_data.iter_mut().enumerate().for_each(|(i, v)| f(i, Entry::Int32(v)));
}

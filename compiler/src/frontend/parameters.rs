//! How many numbers a file holds as parameters.

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, tensor_proto::DataType};

/// Entries of all tensors of the graph that weights can be, and of the lists of numbers of classical models.
pub(super) fn count(graph: &GraphProto) -> u64 {
    total(graph.initializer.iter().map(entries).chain(graph.node.iter().map(of_node)))
}

/// A file can claim any number of entries.
fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

fn of_node(node: &NodeProto) -> u64 {
    let classical = node.domain == "ai.onnx.ml";
    let of = |attribute: &AttributeProto| {
        let tensors = attribute.t.iter().chain(&attribute.tensors).map(entries);
        let graphs = attribute.g.iter().chain(&attribute.graphs).map(count);
        let list = if classical { attribute.floats.len() as u64 } else { 0 };
        total(tensors.chain(graphs).chain([list]))
    };
    total(node.attribute.iter().map(of))
}

/// Entries of a tensor of real numbers or of quantised ones; integers of 32 and 64 bits are shapes and indices.
fn entries(tensor: &TensorProto) -> u64 {
    use DataType as D;
    let other = [D::Undefined, D::Int32, D::Int64, D::Uint32, D::Uint64, D::String, D::Bool];
    let counts = !other.iter().any(|kind| *kind as i32 == tensor.data_type);
    let size = || tensor.dims.iter().map(|&d| u64::try_from(d).unwrap_or(0)).fold(1, u64::saturating_mul);
    if counts { size() } else { 0 }
}

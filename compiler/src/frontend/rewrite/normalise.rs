//! One form for what files write in several: constants as initialisers, the default domain without name, every weight
//! in one place only.

use super::{
    facts::FLOAT,
    net::{Net, Rewritten},
    node::Parts,
    tensor,
};
use crate::frontend::refusal::{incomplete, refuse};
use tract_onnx::{
    pb::{
        AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto, attribute_proto::AttributeType,
        tensor_proto::DataType,
    },
    tract_hir::internal::*,
};

/// Most elements of a sparse constant written out.
const MAX_SPARSE: usize = 1 << 28;

/// Brings the graph and those inside its nodes into that form.
pub(super) fn normalise(net: &mut Net<'_>) -> Rewritten<()> {
    let mut graph = std::mem::take(&mut net.graph);
    let done = normalise_graph(&mut graph);
    let weight = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    // Old files list weights among the inputs too.
    let inputs = graph.input.iter().filter(|i| !weight(&i.name)).cloned().collect();
    graph.input = inputs;
    net.graph = graph;
    net.index();
    done
}

fn normalise_graph(graph: &mut GraphProto) -> Rewritten<()> {
    for sparse in std::mem::take(&mut graph.sparse_initializer) {
        let name = sparse.values.as_ref().map(|v| v.name.clone()).unwrap_or_default();
        graph.initializer.push(dense(&sparse, &name)?);
    }
    for mut node in std::mem::take(&mut graph.node) {
        if node.domain == "ai.onnx" {
            node.domain.clear();
        }
        node.attribute.iter_mut().filter_map(|a| a.g.as_mut()).try_for_each(normalise_graph)?;
        // tract takes the value that is left out for one of twice the width.
        if node.op_type == "ConstantOfShape" && node.domain.is_empty() && node.tensor("value").is_none() {
            node.attribute.push(zero()?);
        }
        match (&node.op_type[..], node.out(0)) {
            ("Constant", Some(name)) if node.domain.is_empty() => graph.initializer.push(constant(&node, name)?),
            _ => graph.node.push(node),
        }
    }
    Ok(())
}

/// What `ConstantOfShape` is full of by default.
fn zero() -> Rewritten<AttributeProto> {
    let value = tensor::store("value", &tensor1(&[0f32]))?;
    Ok(AttributeProto {
        name: "value".into(),
        t: Some(value),
        r#type: AttributeType::Tensor.into(),
        ..Default::default()
    })
}

/// The value of a `Constant` node.
fn constant(node: &NodeProto, name: &str) -> Rewritten<TensorProto> {
    let list = |data_type: DataType, a: &AttributeProto, dims: Vec<i64>| TensorProto {
        data_type: data_type as i32,
        dims,
        ..match data_type {
            DataType::Float if a.name == "value_float" => TensorProto { float_data: vec![a.f], ..Default::default() },
            DataType::Float => TensorProto { float_data: a.floats.clone(), ..Default::default() },
            DataType::Int64 if a.name == "value_int" => TensorProto { int64_data: vec![a.i], ..Default::default() },
            DataType::Int64 => TensorProto { int64_data: a.ints.clone(), ..Default::default() },
            _ if a.name == "value_string" => TensorProto { string_data: vec![a.s.clone()], ..Default::default() },
            _ => TensorProto { string_data: a.strings.clone(), ..Default::default() },
        }
    };
    let value = node.attribute.iter().find_map(|a| {
        Some(match &a.name[..] {
            "value" => Ok(a.t.clone()?),
            "sparse_value" => dense(a.sparse_tensor.as_ref()?, name),
            "value_float" => Ok(list(DataType::Float, a, Vec::new())),
            "value_floats" => Ok(list(DataType::Float, a, vec![a.floats.len() as i64])),
            "value_int" => Ok(list(DataType::Int64, a, Vec::new())),
            "value_ints" => Ok(list(DataType::Int64, a, vec![a.ints.len() as i64])),
            "value_string" => Ok(list(DataType::String, a, Vec::new())),
            "value_strings" => Ok(list(DataType::String, a, vec![a.strings.len() as i64])),
            _ => return None,
        })
    });
    let value = value.ok_or_else(|| incomplete(format!("the Constant \"{}\" holds no value", node.label())))?;
    Ok(TensorProto { name: name.into(), ..value? })
}

/// A sparse constant of floats, written out. Its indices are flat or one per axis.
fn dense(sparse: &SparseTensorProto, name: &str) -> Rewritten<TensorProto> {
    let bad = |what: &str| refuse(format!("the sparse constant \"{name}\" {what}"), "export it as a dense one");
    let (Some(values), Some(indices)) = (&sparse.values, &sparse.indices) else { return Err(bad("holds no values")) };
    let shape: Vec<usize> =
        sparse.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<_, _>>().map_err(|_| bad("has no shape"))?;
    let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MAX_SPARSE);
    let size = size.ok_or_else(|| bad("is too large"))?;
    let onnx = tract_onnx::onnx();
    let read = |t: &TensorProto| tensor::load(t, &onnx, None).map_err(|e| bad(&format!("cannot be read ({e})")));
    if values.data_type != FLOAT {
        return Err(bad("is not of floats"));
    }
    let values = tensor::floats(&read(values)?).map_err(|e| bad(&e.to_string()))?;
    let per_axis = indices.dims.len() > 1;
    let indices = tensor::integers(&read(indices)?).map_err(|e| bad(&e.to_string()))?;
    let axes = if per_axis { shape.len() } else { 1 };
    let mut full = vec![0f32; size];
    for (index, value) in indices.chunks_exact(axes.max(1)).zip(values) {
        let flat = match per_axis {
            true => {
                index.iter().zip(&shape).fold(0i64, |flat, (&i, &d)| flat.saturating_mul(d as i64).saturating_add(i))
            }
            false => index[0],
        };
        *usize::try_from(flat)
            .ok()
            .and_then(|i| full.get_mut(i))
            .ok_or_else(|| bad("has an index out of its shape"))? = value;
    }
    let full = tensor1(&full).into_shape(&shape).and_then(|t| tensor::store(name, &t));
    full.map_err(|e| bad(&e.to_string()))
}

//! Floats of 16 and 64 bits, weights and activations, as floats of 32 bits.

use super::{
    facts::FLOAT,
    net::{Net, Rewritten},
    tensor,
};
use crate::frontend::refusal::refuse;
use tract_onnx::{
    pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType, type_proto},
    tract_hir::internal::*,
};

/// Whether an element type is a float of another width than 32 bits.
fn other_width(elem_type: i32) -> bool {
    [DataType::Float16, DataType::Bfloat16, DataType::Double].iter().any(|&t| t as i32 == elem_type)
}

/// Rewrites all element types of the graph and those inside its nodes.
pub(super) fn widen(net: &mut Net<'_>) -> Rewritten<()> {
    let mut graph = std::mem::take(&mut net.graph);
    let done = widen_graph(&mut graph, net);
    net.graph = graph;
    done
}

fn widen_graph(graph: &mut GraphProto, net: &Net<'_>) -> Rewritten<()> {
    graph.initializer.iter_mut().try_for_each(|t| widen_tensor(t, net))?;
    graph.input.iter_mut().chain(&mut graph.output).for_each(widen_info);
    graph.value_info.clear();
    graph.node.iter_mut().try_for_each(|node| widen_node(node, net))
}

fn widen_node(node: &mut NodeProto, net: &Net<'_>) -> Rewritten<()> {
    for attribute in &mut node.attribute {
        let names_type = matches!(&attribute.name[..], "to" | "dtype" | "output_dtype" | "output_datatype");
        if names_type && i32::try_from(attribute.i).is_ok_and(other_width) {
            attribute.i = FLOAT.into();
        }
        attribute.t.iter_mut().chain(&mut attribute.tensors).try_for_each(|t| widen_tensor(t, net))?;
        attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(|g| widen_graph(g, net))?;
    }
    // The precision of an inner step.
    node.attribute.retain(|a| a.name != "softmax_precision" && a.name != "stash_type");
    Ok(())
}

fn widen_tensor(proto: &mut TensorProto, net: &Net<'_>) -> Rewritten<()> {
    if !other_width(proto.data_type) {
        return Ok(());
    }
    let value = net.load(proto)?;
    let store = || match proto.data_type == DataType::Double as i32 {
        true => {
            // A finite value beyond the range of 32 bits, a mask of the least f64 say, becomes the end of that range.
            let (least, most) = (f64::from(f32::MIN), f64::from(f32::MAX));
            let narrow = |&v: &f64| if v.is_finite() { v.clamp(least, most) as f32 } else { v as f32 };
            let values: Vec<f32> = value.try_as_plain_ram()?.as_slice::<f64>()?.iter().map(narrow).collect();
            tensor::store(&proto.name, &tensor1(&values).into_shape(value.shape())?)
        }
        false => tensor::store(&proto.name, &*value.cast_to::<f32>()?),
    };
    let stored: TractResult<TensorProto> = store();
    *proto =
        stored.map_err(|e| refuse(format!("the constant \"{}\": {e}", proto.name), "export it as 32-bit floats"))?;
    Ok(())
}

fn widen_info(info: &mut ValueInfoProto) {
    if let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_mut().and_then(|t| t.value.as_mut())
        && other_width(tensor.elem_type)
    {
        tensor.elem_type = FLOAT;
    }
}

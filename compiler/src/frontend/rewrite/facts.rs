//! What tract infers about the values of a graph: element types, shapes, and the values themselves where they follow
//! from shapes and constants.

use crate::frontend::refusal::Refusal;
use crate::{frontend::axes, onnx::value_info};
use std::collections::{BTreeMap, HashMap};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto, tensor_proto::DataType},
    tract_hir::internal::*,
};

/// Constants of more elements stand for their type and shape alone.
const MAX_KNOWN: u64 = 1 << 16;

/// What follows for the values of a graph.
#[derive(Default)]
pub(super) struct Facts {
    /// By the name of the value.
    values: HashMap<String, InferenceFact>,
    /// Nodes, by their place, that name axes which are not there, with the reason.
    pub absent: BTreeMap<usize, Refusal>,
}

impl Facts {
    /// Infers what follows without the nodes that are not `plain` or that tract does not read. A graph that tract cannot parse has no facts: the
    /// error shows when it is parsed for good.
    pub fn infer(
        graph: &GraphProto,
        onnx: &Onnx,
        folder: Option<&str>,
        opset: i64,
        plain: impl Fn(&NodeProto) -> bool,
    ) -> Facts {
        let large = |t: &&TensorProto| t.dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64)) > Some(MAX_KNOWN);
        let (large, small): (Vec<_>, Vec<_>) = graph.initializer.iter().partition(large);
        let known = |node: &NodeProto| match plain(node) && onnx.op_register.0.contains_key(&node.op_type) {
            true => node.clone(),
            // tract prints nodes that it does not know in full, so it sees only the names.
            false => NodeProto { op_type: "?".into(), attribute: Vec::new(), ..node.clone() },
        };
        let sketch = GraphProto {
            node: graph.node.iter().map(known).collect(),
            initializer: small.into_iter().cloned().collect(),
            input: graph.input.iter().cloned().chain(large.into_iter().map(as_input)).collect(),
            ..Default::default()
        };
        let default = OperatorSetIdProto { domain: String::new(), version: opset };
        let model = ModelProto { graph: Some(sketch), opset_import: vec![default], ..Default::default() };
        let Ok(mut parsed) = onnx.parse(&model, folder) else { return Facts::default() };
        // Nodes that fail, or that tract does not know, leave their outputs open.
        let absent = axes::infer(&mut parsed, &graph.node).absent;
        let fact = |(name, &outlet): (&String, &OutletId)| {
            Some((name.clone(), parsed.model.outlet_fact(outlet).ok()?.clone()))
        };
        Facts { values: parsed.outlets_by_name.iter().filter_map(fact).collect(), absent }
    }

    /// The shape of a value, where it is known in full.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.values.get(name)?.shape.concretize()?.iter().map(|d| d.to_usize().ok()).collect()
    }

    /// The number of axes of a value.
    pub fn rank(&self, name: &str) -> Option<usize> {
        usize::try_from(self.values.get(name)?.shape.rank().concretize()?).ok()
    }

    /// The element type of a value.
    pub fn datum_type(&self, name: &str) -> Option<DatumType> {
        self.values.get(name)?.datum_type.concretize()
    }

    /// A value that follows from shapes and constants; dimensions come as 64-bit integers.
    pub fn value(&self, name: &str) -> Option<Tensor> {
        let value = self.values.get(name)?.value.concretize()?;
        match value.datum_type() == TDim::datum_type() {
            true => Some(value.cast_to::<i64>().ok()?.into_owned()),
            false => Some(value.into_tensor()),
        }
    }
}

/// A constant as an input of its type and shape.
fn as_input(tensor: &TensorProto) -> ValueInfoProto {
    value_info(&tensor.name, tensor.data_type, &tensor.dims)
}

/// The element type of a float.
pub(super) const FLOAT: i32 = DataType::Float as i32;

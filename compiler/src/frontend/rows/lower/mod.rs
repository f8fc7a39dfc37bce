//! From tract's decluttered graph to the matrix graph.
//!
//! Data movement becomes index views, constants are folded, and only operations that compute something become nodes.
//! The first that has no meaning over `[tokens, features]` ends it.

mod attention;
mod deferred;
mod einsum;
mod elementwise;
mod letters;
mod lowering;
mod mask;
mod movement;
mod pool;
mod rowwise;
mod scores;

pub use scores::SoftMask;

use super::{
    matrix_graph::{ByRows, MatrixGraph, MatrixId, MatrixOp, NotByRows},
    view::View,
};
use lowering::{Base, Lower, Value};
use movement::moves_data;
use nanozk_ir::float::InputKind;
use std::collections::HashMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::{self, einsum::EinSum, element_wise::ElementWiseOp, nn};

/// How float inputs are read as matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Last axis = features, all others = tokens.
    Rows,
    /// One token, all elements are features.
    Flat,
}

/// The lowered model.
pub(super) struct Outcome {
    pub graph: MatrixGraph,
    /// Node of each model input, in order.
    pub inputs: Vec<MatrixId>,
    /// Node of each model output with the view that arranges it as in the source model.
    pub outputs: Vec<(MatrixId, View)>,
    pub soft_masks: Vec<SoftMask>,
}

/// Lowers `model`, whose shapes are all concrete.
pub(super) fn lower(model: &TypedModel, layout: Layout) -> ByRows<Outcome> {
    let mut l = Lower {
        model,
        graph: MatrixGraph::default(),
        bases: Vec::new(),
        scores: Vec::new(),
        values: HashMap::new(),
        inputs: Vec::new(),
        soft_masks: Vec::new(),
    };
    l.read_inputs(layout)?;
    for id in model.eval_order()? {
        let node = model.node(id);
        if node.op_is::<ops::source::TypedSource>() {
            continue;
        }
        for (slot, value) in l.node(node)?.into_iter().enumerate() {
            l.values.insert(OutletId::new(id, slot), value);
        }
    }
    let outputs = model.outputs.iter().map(|&outlet| match l.values.get(&outlet).cloned() {
        Some(Value::View(view)) => l.compact(&view, &model.node(outlet.node).name),
        _ => Err(NotByRows), // The output does not depend on the activations.
    });
    let outputs = outputs.collect::<ByRows<_>>()?;
    Ok(Outcome { graph: l.graph, inputs: l.inputs, outputs, soft_masks: l.soft_masks })
}

impl Lower<'_> {
    fn node(&mut self, node: &TypedNode) -> ByRows<Vec<Value>> {
        let inputs = node.inputs.iter().map(|o| self.values.get(o).cloned().ok_or(NotByRows));
        let inputs = inputs.collect::<ByRows<Vec<Value>>>()?;
        if let Some(c) = node.op_as::<ops::konst::Const>() {
            return Ok(vec![Value::Const(c.val().clone())]);
        }
        let constants: Option<TVec<TValue>> = inputs
            .iter()
            .map(|v| match v {
                Value::Const(t) => Some(t.clone().into_tvalue()),
                _ => None,
            })
            .collect();
        if let Some(constants) = constants {
            let folded = node.op.eval_out_of_plan(constants)?;
            let folded = folded.ok_or(NotByRows)?; // An operator without operands that is not a constant.
            return Ok(folded.into_iter().map(|t| Value::Const(t.into_arc_tensor())).collect());
        }
        if let Some(deferred) = self.try_deferred(node, &inputs)? {
            return Ok(deferred);
        }
        if let Some(pooled) = self.pooled(node, &inputs)? {
            return Ok(vec![pooled]);
        }
        let value = self.compute(node, &inputs)?;
        Ok(vec![value; node.outputs.len()])
    }

    fn compute(&mut self, node: &TypedNode, inputs: &[Value]) -> ByRows<Value> {
        let name = node.name.clone();
        if let Some(op) = node.op_as::<EinSum>() {
            return self.einsum(op, inputs, &self.shape(node.id.into())?, &name);
        }
        if let Some(op) = node.op_as::<ops::binary::TypedBinOp>() {
            return self.binary(op.0.name(), inputs, node);
        }
        if let Some(comparison) = comparison(node) {
            return self.binary(comparison, inputs, node);
        }
        if let Some(op) = node.op_as::<ElementWiseOp>() {
            return self.unary(op, &inputs[0], &name);
        }
        if node.op_is::<ops::logic::Iff>() {
            return self.iff(inputs, node, &name);
        }
        if let Some(op) = node.op_as::<nn::Softmax>() {
            return self.softmax(op, &inputs[0], &name);
        }
        if let Some(op) = node.op_as::<nn::RmsNorm>() {
            let eps = *op.eps.cast_to::<f32>()?.view().as_slice::<f32>()?.first().ok_or(NotByRows)?; // No eps.
            return self.rms_norm(op.axis, eps, &inputs[0], &name);
        }
        if let Some(op) = node.op_as::<nn::Reduce>() {
            return self.reduce(op, &inputs[0], &name);
        }
        if let Some(op) = node.op_as::<ops::cast::Cast>() {
            return match op.to.is_float() {
                true => Ok(inputs[0].clone()),
                false => Err(NotByRows), // Casts an activation to integers.
            };
        }
        if moves_data(node) {
            return self.wiring(node, inputs);
        }
        Err(NotByRows) // This operator is not supported.
    }

    /// Creates the input nodes and fixes the number of tokens.
    fn read_inputs(&mut self, layout: Layout) -> ByRows<()> {
        let model = self.model;
        let kinds = deferred::input_kinds(model);
        let shapes = model.inputs.iter().map(|&outlet| self.shape(outlet)).collect::<ByRows<Vec<_>>>()?;
        let rows = |shape: &[usize]| -> usize {
            let core: Vec<usize> = shape.iter().copied().filter(|&d| d != 1).collect();
            core[..core.len().saturating_sub(1)].iter().product()
        };
        let float = |slot: usize| kinds[slot] == InputKind::Float;
        let ids = (0..shapes.len()).find(|&s| matches!(kinds[s], InputKind::Tokens { .. }));
        self.graph.tokens = match ids {
            Some(slot) => shapes[slot].iter().product(),
            None if layout == Layout::Flat => 1,
            None => (0..shapes.len()).filter(|&s| float(s)).map(|s| rows(&shapes[s])).max().unwrap_or(1),
        };
        let tokens = self.graph.tokens;
        for (slot, &outlet) in model.inputs.iter().enumerate() {
            let node = model.node(outlet.node);
            let len: usize = shapes[slot].iter().product();
            if matches!(kinds[slot], InputKind::Mask) && len != tokens {
                return Err(NotByRows); // It neither indexes an embedding table nor masks the tokens.
            }
            let features = if float(slot) { len / tokens.max(1) } else { 1 };
            if len == 0 || features * tokens != len {
                return Err(NotByRows); // Tokens do not divide it.
            }
            let id = self.graph.add(&node.name, MatrixOp::Input(kinds[slot].clone()), features, &[]);
            self.inputs.push(id);
            let value = if float(slot) {
                let base = self.new_base(Base::Matrix(id));
                Value::View(View::iota(&shapes[slot], base))
            } else {
                Value::Deferred(1 << slot)
            };
            self.values.insert(outlet, value);
        }
        Ok(())
    }
}

/// Name of a comparison.
fn comparison(node: &TypedNode) -> Option<&'static str> {
    let name = node.op.name();
    ["GT", "GTE", "LT", "LTE"].into_iter().find(|n| *n == name)
}

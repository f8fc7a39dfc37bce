//! Values computed from token ids and masks only: evaluated by tract on chosen inputs when their meaning is needed.

use super::{
    lowering::{Base, Lower, Value, numbers},
    movement::moves_data,
};
use crate::frontend::rows::{
    matrix_graph::{ByRows, MatrixId, MatrixOp, NotByRows},
    view::{Code, View},
};
use nanozk_ir::float::InputKind;
use std::{collections::HashMap, sync::Arc};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::{array::Gather, cast::Cast};

/// What each model input carries: token ids are integers that index a table, other integers are masks, and a float
/// input next to others is a mask when its name says so.
pub(super) fn input_kinds(model: &TypedModel) -> Vec<InputKind> {
    let kind = |outlet: &OutletId| {
        let float = model.outlet_fact(*outlet).is_ok_and(|f| f.datum_type.is_float());
        let named_mask = model.node(outlet.node).name.to_lowercase().contains("mask");
        if !float && indexes_table(model, *outlet) {
            InputKind::Tokens { vocab: 0 }
        } else if !float || (named_mask && model.inputs.len() > 1) {
            InputKind::Mask
        } else {
            InputKind::Float
        }
    };
    model.inputs.iter().map(kind).collect()
}

fn indexes_table(model: &TypedModel, outlet: OutletId) -> bool {
    model.node(outlet.node).outputs[outlet.slot].successors.iter().any(|succ| {
        let node = model.node(succ.node);
        (node.op_is::<Gather>() && succ.slot == 1)
            || ((node.op_is::<Cast>() || (moves_data(node) && !node.op_is::<Gather>()))
                && indexes_table(model, OutletId::new(node.id, 0)))
    })
}

impl Lower<'_> {
    /// Handles nodes that read only constants and deferred values: an embedding, or one more deferred value.
    pub(super) fn try_deferred(&mut self, node: &TypedNode, inputs: &[Value]) -> ByRows<Option<Vec<Value>>> {
        let mut slots = 0;
        for value in inputs {
            match value {
                Value::Deferred(s) => slots |= s,
                Value::Const(_) => (),
                _ => return Ok(None),
            }
        }
        if let (Some(gather), [Value::Const(table), Value::Deferred(ids)]) = (node.op_as::<Gather>(), inputs)
            && table.datum_type().is_float()
            && gather.axis == 0
            && table.rank() == 2
        {
            return Ok(Some(vec![self.embed(node, table, *ids)?]));
        }
        Ok(Some(vec![Value::Deferred(slots); node.outputs.len()]))
    }

    fn embed(&mut self, node: &TypedNode, table: &Arc<Tensor>, slots: u64) -> ByRows<Value> {
        let slot = self.only_slot(slots)?;
        let input = self.inputs[slot];
        let (vocab, features) = (table.shape()[0], table.shape()[1]);
        match &mut self.graph.nodes[input].op {
            MatrixOp::Input(InputKind::Tokens { vocab: v }) => *v = if *v == 0 { vocab } else { vocab.min(*v) },
            _ => return Err(NotByRows), // A table is indexed by something that is not a token input.
        }
        let tokens = self.graph.tokens;
        let iota: Vec<i64> = (0..tokens as i64).collect();
        let ids = self.eval_deferred(node.inputs[1], &HashMap::from([(slot, iota)]))?;
        let ids: Vec<i64> = ids.cast_to::<i64>()?.view().as_slice::<i64>()?.to_vec();
        if ids.iter().any(|&t| t < 0 || t >= tokens as i64) {
            return Err(NotByRows); // Token ids are changed by arithmetic before they index the table.
        }
        let table = numbers(table)?;
        let id = self.graph.add(&node.name, MatrixOp::Embed { table }, features, &[input]);
        let base = self.new_base(Base::Matrix(id));
        let code = |t: i64, f: usize| Code { base, flat: t as usize * features + f, negated: false }.encode();
        let codes = ids.iter().flat_map(|&t| (0..features).map(move |f| code(t, f))).collect();
        Ok(Value::View(View::new(&self.shape(node.id.into())?, codes)))
    }

    /// Number of the only input in a set.
    pub(super) fn only_slot(&self, slots: u64) -> ByRows<usize> {
        match slots.count_ones() {
            1 => Ok(slots.trailing_zeros() as usize),
            _ => Err(NotByRows), // Computed from several integer or mask inputs.
        }
    }

    /// Node of the mask input that alone determines a deferred value.
    pub(super) fn mask_input(&self, slots: u64) -> ByRows<(usize, MatrixId)> {
        let slot = self.only_slot(slots)?;
        let id = self.inputs[slot];
        match self.graph.nodes[id].op {
            MatrixOp::Input(InputKind::Mask) => Ok((slot, id)),
            _ => Err(NotByRows), // Computed from token ids other than by an embedding table.
        }
    }

    /// Evaluates a deferred outlet for given values of model inputs.
    pub(super) fn eval_deferred(&self, outlet: OutletId, inputs: &HashMap<usize, Vec<i64>>) -> ByRows<Arc<Tensor>> {
        self.eval_outlet(outlet, inputs, &mut HashMap::new())
    }

    fn eval_outlet(
        &self,
        outlet: OutletId,
        inputs: &HashMap<usize, Vec<i64>>,
        memo: &mut HashMap<OutletId, Arc<Tensor>>,
    ) -> ByRows<Arc<Tensor>> {
        if let Some(Value::Const(t)) = self.values.get(&outlet) {
            return Ok(t.clone());
        }
        if let Some(t) = memo.get(&outlet) {
            return Ok(t.clone());
        }
        if let Some(slot) = self.model.inputs.iter().position(|i| *i == outlet) {
            let values = inputs.get(&slot).ok_or(NotByRows)?; // Depends on another input.
            let tensor = Tensor::from_shape(&self.shape(outlet)?, values)?;
            let fact = self.model.outlet_fact(outlet)?;
            return Ok(tensor.cast_to_dt(fact.datum_type)?.into_owned().into_arc_tensor());
        }
        let node = self.model.node(outlet.node);
        let mut args: TVec<TValue> = tvec!();
        for &input in &node.inputs {
            args.push(self.eval_outlet(input, inputs, memo)?.into_tvalue());
        }
        let results = node.op.eval_out_of_plan(args)?.ok_or(NotByRows)?; // An operator with state.
        for (slot, t) in results.into_iter().enumerate() {
            memo.insert(OutletId::new(node.id, slot), t.into_arc_tensor());
        }
        memo.get(&outlet).cloned().ok_or(NotByRows) // An operator without result.
    }
}

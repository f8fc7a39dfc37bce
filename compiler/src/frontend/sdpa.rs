//! Scaled dot-product attention (the `Attention` operator of opset 23, written by recent exporters) as the products,
//! the mask and the softmax that it stands for.
//!
//! tract reads the operator as one node, whose own run takes a boolean mask for numbers to add; the expanded graph is
//! therefore also what the reference runs.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::{
    binary::TypedBinOp,
    cast::Cast,
    change_axes::AxisOp,
    einsum::EinSum,
    logic::Iff,
    math,
    nn::{Softmax, SoftmaxKind},
};
use tract_transformers::ops::sdpa::Sdpa;

/// Replaces every such node; tells whether there was one.
pub(super) fn expand(model: &mut TypedModel) -> TractResult<bool> {
    let found: Vec<usize> = model.nodes.iter().filter(|n| n.op_is::<Sdpa>()).map(|n| n.id).collect();
    for &id in &found {
        let node = model.node(id);
        let Some(op) = node.op_as::<Sdpa>() else { continue };
        let mut patch = TypedModelPatch::new(format!("expand {}", node.name));
        let inputs: TVec<OutletId> =
            node.inputs.iter().map(|&i| patch.tap_model(model, i)).collect::<TractResult<_>>()?;
        let mut parts = Parts { name: node.name.clone(), patch: &mut patch };
        let out = parts.attention(op, &inputs)?;
        patch.shunt_outside(model, id.into(), out)?;
        patch.apply(model)?;
    }
    Ok(!found.is_empty())
}

/// The nodes that replace one operator.
struct Parts<'a> {
    name: String,
    patch: &'a mut TypedModelPatch,
}

impl Parts<'_> {
    fn wire(&mut self, part: &str, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> TractResult<OutletId> {
        Ok(self.patch.model.wire_node(format!("{}.{part}", self.name), op, inputs)?[0])
    }

    fn fact(&self, outlet: OutletId) -> TractResult<(DatumType, Vec<usize>)> {
        let fact = self.patch.model.outlet_fact(outlet)?;
        let shape =
            fact.shape.as_concrete().ok_or_else(|| TractError::msg("attention over a shape that is not fixed"))?;
        Ok((fact.datum_type, shape.to_vec()))
    }

    /// `q`, `k`, `v` and a mask of rank 4 `[batch, heads, tokens, features]`, or of rank 3 without heads.
    fn attention(&mut self, op: &Sdpa, inputs: &[OutletId]) -> TractResult<OutletId> {
        let (dtype, shape) = self.fact(inputs[0])?;
        let flat = shape.len() == 3;
        let mut four = TVec::new();
        for (i, &input) in inputs.iter().enumerate() {
            four.push(if flat { self.wire(&format!("heads{i}"), AxisOp::Add(1), &[input])? } else { input });
        }
        let (q_shape, k_shape) = (self.fact(four[0])?.1, self.fact(four[1])?.1);
        let (heads, kv_heads) = (q_shape[1], k_shape[1]);
        let groups =
            AxisOp::Reshape(1, tvec!(heads.to_dim()), tvec!(kv_heads.to_dim(), (heads / kv_heads.max(1)).to_dim()));
        let q = self.wire("groups", groups.clone(), &four[..1])?;
        let k = self.wire("keys", AxisOp::Add(2), &four[1..2])?;
        let v = self.wire("values", AxisOp::Add(2), &four[2..3])?;
        let product = |equation: &str| Ok::<_, TractError>(EinSum::new(equation.parse()?, op.acc_datum_type));
        let scores = self.wire("scores", product("bhgmk,bhgnk->bhgmn")?, &[q, k])?;
        let scores = self.wire("heads", groups.recip(), &[scores])?;
        let scale = match &op.scale {
            Some(scale) => scale.cast_to_scalar::<f32>()?,
            None => (q_shape[3] as f32).sqrt().recip(),
        };
        let scale = self.constant("scale", tensor0(scale), op.acc_datum_type)?;
        let mut scores = self.wire("scaled", TypedBinOp(math::mul().0, None), &[scores, scale])?;
        if let Some(&mask) = four.get(3) {
            scores = self.masked(mask, scores, op.acc_datum_type)?;
        }
        if op.is_causal {
            let seen = tract_ndarray::Array4::from_shape_fn((1, 1, q_shape[2], k_shape[2]), |(_, _, t, u)| u <= t);
            let seen = self.patch.model.add_const(format!("{}.causal", self.name), Tensor::from(seen))?;
            scores = self.masked(seen, scores, op.acc_datum_type)?;
        }
        let softmax = Softmax::new(tvec!(3), None, SoftmaxKind::Softmax);
        let weights = self.wire("softmax", softmax, &[scores])?;
        let weights = self.wire("weights", groups.clone(), &[weights])?;
        let mixed = self.wire("mixed", product("bhgmn,bhgnv->bhgmv")?, &[weights, v])?;
        let mut out = self.wire("merged", groups.recip(), &[mixed])?;
        if flat {
            out = self.wire("flat", AxisOp::Rm(1), &[out])?;
        }
        if op.acc_datum_type != dtype {
            out = self.wire("cast", Cast::new(dtype), &[out])?;
        }
        Ok(out)
    }

    /// Scores with a mask: true keeps a score, numbers are added.
    fn masked(&mut self, mask: OutletId, scores: OutletId, dtype: DatumType) -> TractResult<OutletId> {
        let name = self.patch.model.node(mask.node).name.clone();
        if self.fact(mask)?.0 == bool::datum_type() {
            let fill = self.constant(&format!("{name}.fill"), tensor0(f32::NEG_INFINITY), dtype)?;
            return self.wire(&format!("{name}.select"), Iff, &[mask, scores, fill]);
        }
        let mask = match self.fact(mask)?.0 == dtype {
            true => mask,
            false => self.wire(&format!("{name}.cast"), Cast::new(dtype), &[mask])?,
        };
        self.wire(&format!("{name}.add"), TypedBinOp(math::add().0, None), &[scores, mask])
    }

    /// A constant of rank 4.
    fn constant(&mut self, part: &str, value: Tensor, dtype: DatumType) -> TractResult<OutletId> {
        let value = value.cast_to_dt(dtype)?.into_owned().into_shape(&[1, 1, 1, 1])?;
        self.patch.model.add_const(format!("{}.{part}", self.name), value)
    }
}

//! Elementwise operators.

use super::lowering::{Base, Lower, Value};
use crate::frontend::rows::{
    matrix_graph::{ByRows, MatrixId, MatrixOp, NotByRows},
    view::{Code, View},
};
use crate::frontend::unary::{function, power};
use nanozk_ir::float::{Binary, UnaryFn};
use std::{collections::HashMap, sync::Arc};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;

fn binary_op(name: &str) -> Option<Binary> {
    Some(match name {
        "Add" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        _ => return None,
    })
}

/// The operator of this name, and whether its operands are swapped.
fn ordered(name: &str) -> Option<(Binary, bool)> {
    match name {
        "SubF" => Some((Binary::Sub, true)),
        "GT" => Some((Binary::Greater, false)),
        "GTE" => Some((Binary::GreaterEqual, false)),
        "LT" => Some((Binary::Greater, true)),
        "LTE" => Some((Binary::GreaterEqual, true)),
        _ => binary_op(name).map(|op| (op, false)),
    }
}

impl Lower<'_> {
    pub(super) fn unary(&mut self, op: &ElementWiseOp, input: &Value, name: &str) -> ByRows<Value> {
        let Value::View(view) = input else { return Err(NotByRows) }; // Applied to a value that is not an activation.
        if op.0.name() == "IsNan" && self.is_scores(input) {
            return Ok(Value::NanOf(view.clone()));
        }
        if op.0.name() == "Neg" {
            return Ok(Value::View(view.negate()));
        }
        let function = function(op).ok_or(NotByRows)?; // This elementwise function is not supported.
        self.apply(function, view, name).map(Value::View)
    }

    pub(super) fn apply(&mut self, function: UnaryFn, view: &View, name: &str) -> ByRows<View> {
        let (id, view) = self.compact(view, name)?;
        let out = self.graph.add(name, MatrixOp::Unary(function), self.graph.nodes[id].features, &[id]);
        Ok(self.rebase(&view, out))
    }

    pub(super) fn binary(&mut self, op: &str, inputs: &[Value], node: &TypedNode) -> ByRows<Value> {
        let shape = &self.shape(node.id.into())?;
        let name = &node.name;
        if self.is_scores(&inputs[0]) || self.is_scores(&inputs[1]) {
            return self.scores_binary(op, inputs, shape, node);
        }
        if op == "Pow"
            && let (Value::View(x), Value::Const(e)) = (&inputs[0], &inputs[1])
        {
            // Exponents differ.
            let exponent = e.as_uniform().ok_or(NotByRows)?.cast_to_scalar::<f32>()?;
            return self.apply(power(exponent), x, name).map(Value::View);
        }
        let (kind, swapped) = ordered(op).ok_or(NotByRows)?; // This operator is not supported.
        let (a, b) = if swapped { (&inputs[1], &inputs[0]) } else { (&inputs[0], &inputs[1]) };
        match (a, b) {
            (Value::View(a), Value::View(b)) => self.binary_views(kind, a, b, shape, name),
            (Value::View(a), Value::Const(c)) => self.binary_const(kind, a, c, false, shape, name),
            (Value::Const(c), Value::View(b)) => self.binary_const(kind, b, c, true, shape, name),
            _ => Err(NotByRows), // Combines activations with values computed from token ids or a mask.
        }
        .map(Value::View)
    }

    /// `yes` where a 0/1 activation is 1, else `no`: the sum of both, each 0 where it is not chosen.
    pub(super) fn choose(
        &mut self,
        condition: &View,
        branches: [&Value; 2],
        shape: &[usize],
        name: &str,
    ) -> ByRows<View> {
        let one = tensor0(1f32).broadcast_into_rank(shape.len())?;
        let not = self.binary_const(Binary::Sub, condition, &one, true, shape, name)?;
        let mut parts = Vec::new();
        for (gate, branch) in [(condition, branches[0]), (&not, branches[1])] {
            match branch {
                Value::View(v) => parts.push(self.binary_views(Binary::Gate, v, gate, shape, name)?),
                Value::Const(c) if c.is_all_zero()? => (),
                Value::Const(c) => parts.push(self.binary_const(Binary::Gate, gate, c, true, shape, name)?),
                _ => return Err(NotByRows), // Selects a value computed from token ids or a mask.
            }
        }
        match &parts[..] {
            [a, b] => self.binary_views(Binary::Add, a, b, shape, name),
            [only] => Ok(only.clone()),
            _ => Err(NotByRows), // Selects between two zeros.
        }
    }

    pub(super) fn binary_views(&mut self, op: Binary, a: &View, b: &View, shape: &[usize], name: &str) -> ByRows<View> {
        let (ia, va) = self.compact(a, name)?;
        let (ib, vb) = self.compact(b, name)?;
        let (va, vb) = (va.broadcast(shape)?, vb.broadcast(shape)?);
        let (wa, wb) = (self.graph.nodes[ia].features, self.graph.nodes[ib].features);
        let mut index: HashMap<(usize, usize), usize> = HashMap::new();
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        let mut places = Vec::with_capacity(va.codes.len());
        for (ca, cb) in va.codes().zip(vb.codes()) {
            if ca.flat / wa != cb.flat / wb {
                return Err(NotByRows); // Combines different tokens.
            }
            let pair = (ca.flat % wa, cb.flat % wb);
            let place = *index.entry(pair).or_insert_with(|| {
                pairs.push(pair);
                pairs.len() - 1
            });
            places.push((ca.flat / wa, place));
        }
        let mut rank: Vec<usize> = (0..pairs.len()).collect();
        rank.sort_by_key(|&i| if wa >= wb { pairs[i] } else { (pairs[i].1, pairs[i].0) });
        let mut position = vec![0; pairs.len()];
        rank.iter().enumerate().for_each(|(new, &old)| position[old] = new);
        let features = pairs.len();
        let operand = |lower: &mut Self, id: MatrixId, columns: Vec<usize>| match lower.graph.nodes[id].features {
            1 => id,
            _ => lower.reorder(id, &columns, name),
        };
        let ia = operand(self, ia, rank.iter().map(|&i| pairs[i].0).collect());
        let ib = operand(self, ib, rank.iter().map(|&i| pairs[i].1).collect());
        let out = self.graph.add(name, MatrixOp::Binary(op), features, &[ia, ib]);
        let base = self.new_base(Base::Matrix(out));
        let code = |&(t, p): &(usize, usize)| Code { base, flat: t * features + position[p], negated: false }.encode();
        Ok(View::new(shape, places.iter().map(code).collect()))
    }

    fn binary_const(
        &mut self,
        op: Binary,
        x: &View,
        constant: &Tensor,
        const_first: bool,
        shape: &[usize],
        name: &str,
    ) -> ByRows<View> {
        let (id, view) = self.compact(x, name)?;
        let view = view.broadcast(shape)?;
        let constant = constant.cast_to::<f32>()?.broadcast_to_shape(shape)?;
        let values = constant.view().as_slice::<f32>()?.to_vec();
        let features = self.graph.nodes[id].features;
        let mut data = vec![None; self.graph.rows(id) * features];
        for (code, &v) in view.codes().zip(&values) {
            match data[code.flat] {
                Some(old) if old != v => return Err(NotByRows), // One element meets several constants.
                _ => data[code.flat] = Some(v),
            }
        }
        let mut data: Vec<f32> = data.into_iter().map(Option::unwrap_or_default).collect();
        let mut op = op;
        match (op, const_first) {
            (Binary::Div, false) => {
                op = Binary::Mul;
                data.iter_mut().for_each(|v| *v = v.recip());
            }
            (Binary::Sub, false) => {
                op = Binary::Add;
                data.iter_mut().for_each(|v| *v = -*v);
            }
            _ => (),
        }
        let neutral = match op {
            Binary::Mul => Some(1.0),
            Binary::Add => Some(0.0),
            _ => None,
        };
        if neutral.is_some_and(|n| data.iter().all(|&v| v == n)) {
            return Ok(view);
        }
        let constant = self.constant(data, features, name);
        let operands = if const_first { [constant, id] } else { [id, constant] };
        let out = self.graph.add(name, MatrixOp::Binary(op), features, &operands);
        Ok(self.rebase(&view, out))
    }

    /// A constant node for `[tokens, features]` data, or for one row of it, in its smallest form.
    pub(super) fn constant(&mut self, mut data: Vec<f32>, features: usize, name: &str) -> MatrixId {
        let (mut rows, mut width) = (self.graph.tokens, features);
        if data.chunks_exact(features).all(|row| row == &data[..features]) {
            data.truncate(features);
            rows = 1;
            if data.iter().all(|v| v == &data[0]) {
                data.truncate(1);
                width = 1;
            }
        }
        self.graph.add(name, MatrixOp::Const { rows, data: Arc::new(data) }, width, &[])
    }
}

//! Walks tract's graph: constants are folded, data movements become index maps, everything else nodes of the graph.

use super::graph::{ANY, BIT, Graph, Op};
use super::integer;
use super::tensor::{Code, View};
use crate::frontend::error::Problem;
use crate::frontend::refusal::{Refusal, refuse};
use nanozk_ir::float::UnaryFn;
use std::collections::HashMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops;

/// Value of a tract outlet.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Const(Arc<Tensor>),
    View(View),
}

impl Value {
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Value::Const(t) => t.shape(),
            Value::View(v) => &v.shape,
        }
    }
}

/// Result of one step.
pub(super) type Read<T> = Result<T, Refusal>;

/// Reads a node if it belongs to a family of operators.
pub(super) type Family = fn(&mut Reader, &TypedNode, &[Value]) -> Read<Option<Vec<Value>>>;

/// The reader of one model.
pub(super) struct Reader<'g> {
    pub families: &'static [Family],
    pub graph: &'g mut Graph,
    pub problems: Vec<Problem>,
    /// Dividend and divisor of elements that are quotients of whole numbers.
    pub quotients: HashMap<Code, (Code, Code)>,
}

impl Reader<'_> {
    /// Values of the model's outputs for values of its inputs.
    pub(super) fn model(&mut self, model: &TypedModel, inputs: &[Value]) -> Read<Vec<Value>> {
        let mut values: HashMap<OutletId, Value> = model.inputs.iter().copied().zip(inputs.iter().cloned()).collect();
        for id in model.eval_order()? {
            let node = model.node(id);
            if node.op_is::<ops::source::TypedSource>() {
                continue;
            }
            let args: Vec<Value> = node
                .inputs
                .iter()
                .map(|o| values.get(o).cloned().ok_or(Refusal::bare("an unordered graph")))
                .collect::<Result<_, _>>()?;
            self.graph.name.clone_from(&node.name);
            let results = match self.node(node, &args) {
                Ok(results) => results,
                Err(refusal) => {
                    self.problems.push(problem(node, &args, refusal));
                    self.unknown(node)?
                }
            };
            for (slot, value) in results.into_iter().enumerate() {
                values.insert(OutletId::new(id, slot), value);
            }
        }
        let output = |o: &OutletId| values.get(o).cloned().ok_or(Refusal::bare("an output without a value"));
        model.outputs.iter().map(output).collect()
    }

    /// Stand-ins for the results of a node that cannot be read, so that the rest is still looked at.
    fn unknown(&mut self, node: &TypedNode) -> Read<Vec<Value>> {
        let outputs = node.outputs.iter();
        outputs
            .map(|output| {
                let shape = output.fact.shape.as_concrete().ok_or(Refusal::bare("a shape with symbols"))?;
                let whole = if output.fact.datum_type == bool::datum_type() { BIT } else { ANY };
                let whole = (!output.fact.datum_type.is_float()).then_some(whole);
                let codes = self.graph.add(Op::Input, Vec::new(), shape.iter().product(), whole);
                Ok(Value::View(View::new(shape, codes)))
            })
            .collect()
    }

    fn node(&mut self, node: &TypedNode, args: &[Value]) -> Read<Vec<Value>> {
        if let Some(c) = node.op_as::<ops::konst::Const>() {
            return Ok(vec![Value::Const(c.val().clone())]);
        }
        if let Some(folded) = fold(node, args)? {
            return Ok(folded);
        }
        for family in self.families {
            if let Some(values) = family(self, node, args)? {
                return Ok(values);
            }
        }
        Err(refuse("this operator is not supported", "compute it outside of the model or replace it"))
    }

    /// The whole number that `f` makes of quotients of whole numbers; `None` where that is another function, or the table of
    /// one variable has it.
    pub(super) fn of_quotient(&mut self, f: &UnaryFn, x: &[Code]) -> Read<Option<Vec<Code>>> {
        let Some(pairs) = x.iter().map(|c| self.quotients.get(c).copied()).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let (a, b): (Vec<Code>, Vec<Code>) = pairs.into_iter().unzip();
        integer::rounded_quotient(self.graph, f, &a, &b)
    }

    /// The references of a value; constants get references too.
    pub(super) fn view(&mut self, value: &Value) -> Read<View> {
        match value {
            Value::View(view) => Ok(view.clone()),
            Value::Const(t) => {
                let codes = numbers(t)?.into_iter().map(|v| self.graph.pool.code(v)).collect();
                Ok(View::new(t.shape(), codes))
            }
        }
    }

    /// The references of all values, broadcast to one shape.
    pub(super) fn broadcast(&mut self, values: &[Value]) -> Read<(Vec<usize>, Vec<Vec<Code>>)> {
        let rank = values.iter().map(|v| v.shape().len()).max().unwrap_or(0);
        let mut shape = vec![1; rank];
        for value in values {
            let lead = rank - value.shape().len();
            for (axis, &n) in value.shape().iter().enumerate() {
                if n != 1 {
                    shape[lead + axis] = n;
                }
            }
        }
        let codes = values.iter().map(|v| Ok(self.view(v)?.broadcast(&shape))).collect::<Read<Vec<_>>>()?;
        Ok((shape, codes))
    }
}

/// Evaluates a node whose operands are all constants.
fn fold(node: &TypedNode, args: &[Value]) -> Read<Option<Vec<Value>>> {
    let constant = |v: &Value| match v {
        Value::Const(t) => Some(t.clone().into_tvalue()),
        Value::View(_) => None,
    };
    let Some(constants) = args.iter().map(constant).collect::<Option<TVec<TValue>>>() else { return Ok(None) };
    let results = node.op.eval_out_of_plan(constants)?;
    let results = results.ok_or(refuse("an operator with a state of its own", "export the model without it"))?;
    Ok(Some(results.into_iter().map(|t| Value::Const(t.into_arc_tensor())).collect()))
}

/// Elements of a constant as numbers.
pub(super) fn numbers(t: &Tensor) -> Read<Vec<f64>> {
    let wide = if t.datum_type() == TDim::datum_type() { t.cast_to::<i64>()? } else { std::borrow::Cow::Borrowed(t) };
    let wide = wide.cast_to::<f64>()?;
    Ok(wide.to_plain_array_view::<f64>()?.iter().copied().collect())
}

fn problem(node: &TypedNode, args: &[Value], refusal: Refusal) -> Problem {
    let dims = |shape: &[usize]| format!("{shape:?}").replace(' ', "");
    let inputs: Vec<String> = args.iter().map(|v| dims(v.shape())).collect();
    let outputs = node.outputs.iter().map(|o| dims(o.fact.shape.as_concrete().unwrap_or_default()));
    let shapes = format!("{} -> {}", inputs.join(" x "), outputs.collect::<Vec<_>>().join(", "));
    Problem { node: node.name.clone(), op: node.op.name().to_string(), shapes, refusal }
}

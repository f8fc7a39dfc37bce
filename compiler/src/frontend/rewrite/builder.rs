//! Makes the nodes that stand for one node of the file. Their names and values start with its name.

use super::{
    facts::Facts,
    net::{Net, Rewritten},
    node::{self, Parts},
};
use crate::frontend::refusal::{incorrect, refuse};
use tract_onnx::{
    pb::{AttributeProto, NodeProto, tensor_proto::DataType},
    tract_hir::internal::*,
};

/// Most elements that are moved one by one.
const MOST_PICKED: usize = 1 << 22;

/// Parts of one node of the file, in the making.
pub(super) struct Builder<'n, 'a> {
    pub net: &'n mut Net<'a>,
    /// What tract inferred, once something asked for it.
    pub facts: Option<&'n Facts>,
    /// The parts made so far, in the order in which they run.
    pub nodes: Vec<NodeProto>,
    label: String,
}

impl<'n, 'a> Builder<'n, 'a> {
    /// For the parts of `node`.
    pub fn new(net: &'n mut Net<'a>, facts: Option<&'n Facts>, node: &NodeProto) -> Self {
        Builder { net, facts, nodes: Vec::new(), label: node.label().to_owned() }
    }

    /// A node with one output that gets a name of its own.
    pub fn op(&mut self, part: &str, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = self.net.fresh(format!("{}/{part}", self.label));
        self.nodes.push(node::node(&output, op, inputs, &output, attributes));
        output
    }

    /// The node that makes the value `output` of the file, under the name of the file's node.
    pub fn last(&mut self, op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) {
        self.nodes.push(node::node(&self.label, op, inputs, output, attributes));
    }

    /// Gives `value` the name of an output of the file, when it has one.
    pub fn export(&mut self, value: &str, output: Option<&str>) {
        if let Some(output) = output {
            self.last("Identity", &[value], output, Vec::new());
        }
    }

    /// A constant.
    pub fn constant(&mut self, part: &str, value: &Tensor) -> Rewritten<String> {
        self.net.add_constant(format!("{}/{part}", self.label), value)
    }

    /// A constant scalar.
    pub fn scalar(&mut self, part: &str, value: f32) -> Rewritten<String> {
        self.constant(part, &tensor0(value))
    }

    /// A constant of floats.
    pub fn floats(&mut self, part: &str, values: &[f32], shape: &[usize]) -> Rewritten<String> {
        let value = tensor1(values).into_shape(shape).map_err(|e| incorrect(e.to_string()))?;
        self.constant(part, &value)
    }

    /// A constant list of integers, as shapes and axes are given.
    pub fn list(&mut self, part: &str, values: &[i64]) -> Rewritten<String> {
        self.constant(part, &tensor1(values))
    }

    /// The sum.
    pub fn add(&mut self, part: &str, a: &str, b: &str) -> String {
        self.op(part, "Add", &[a, b], Vec::new())
    }

    /// The product, elementwise.
    pub fn mul(&mut self, part: &str, a: &str, b: &str) -> String {
        self.op(part, "Mul", &[a, b], Vec::new())
    }

    /// The value times a constant; itself for 1.
    pub fn scale(&mut self, part: &str, x: &str, factor: f32) -> Rewritten<String> {
        if factor == 1.0 {
            return Ok(x.to_owned());
        }
        let factor = self.scalar(&format!("{part}_factor"), factor)?;
        Ok(self.mul(part, x, &factor))
    }

    /// The matrix product of the last two axes.
    pub fn matmul(&mut self, part: &str, a: &str, b: &str) -> String {
        self.op(part, "MatMul", &[a, b], Vec::new())
    }

    /// With another shape: 0 keeps an axis, one -1 takes the rest.
    pub fn reshape(&mut self, part: &str, x: &str, shape: &[i64]) -> Rewritten<String> {
        let shape = self.list(&format!("{part}_shape"), shape)?;
        Ok(self.op(part, "Reshape", &[x, &shape], Vec::new()))
    }

    /// With the axes in another order.
    pub fn transpose(&mut self, part: &str, x: &str, order: &[i64]) -> String {
        self.op(part, "Transpose", &[x], vec![node::ints("perm", order)])
    }

    /// With the axes as they were before [`Builder::transpose`] put them in `order`.
    pub fn transpose_back(&mut self, part: &str, x: &str, order: &[i64]) -> String {
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, &a)| back[a as usize] = at as i64);
        self.transpose(part, x, &back)
    }

    /// An op whose axes are an input since version `since` of the operator set, and an attribute before.
    fn over_axes(&mut self, part: &str, op: &str, x: &str, axes: &[i64], since: i64) -> Rewritten<String> {
        if self.net.opset < since {
            return Ok(self.op(part, op, &[x], vec![node::ints("axes", axes)]));
        }
        let axes = self.list(&format!("{part}_axes"), axes)?;
        Ok(self.op(part, op, &[x, &axes], Vec::new()))
    }

    /// With axes of length 1 at these places of the result.
    pub fn unsqueeze(&mut self, part: &str, x: &str, axes: &[i64]) -> Rewritten<String> {
        self.over_axes(part, "Unsqueeze", x, axes, 13)
    }

    /// Without these axes of length 1.
    pub fn squeeze(&mut self, part: &str, x: &str, axes: &[i64]) -> Rewritten<String> {
        self.over_axes(part, "Squeeze", x, axes, 13)
    }

    /// The reduction `op` over axes that stay with length 1.
    pub fn reduce(&mut self, part: &str, op: &str, x: &str, axes: &[i64]) -> Rewritten<String> {
        self.over_axes(part, op, x, axes, if op == "ReduceSum" { 13 } else { 18 })
    }

    /// Positions `from..to` of one axis; `i64::MAX` for its end.
    pub fn slice(&mut self, part: &str, x: &str, axis: i64, from: i64, to: i64) -> Rewritten<String> {
        let bounds = [("starts", from), ("ends", to), ("axes", axis)];
        if self.net.opset < 10 {
            let attributes = bounds.iter().map(|(name, v)| node::ints(name, &[*v])).collect();
            return Ok(self.op(part, "Slice", &[x], attributes));
        }
        let mut inputs = vec![x.to_owned()];
        for (name, v) in bounds {
            inputs.push(self.list(&format!("{part}_{name}"), &[v])?);
        }
        Ok(self.op(part, "Slice", &inputs.iter().map(String::as_str).collect::<Vec<_>>(), Vec::new()))
    }

    /// The values behind each other along an axis.
    pub fn concat(&mut self, part: &str, values: &[&str], axis: i64) -> String {
        self.op(part, "Concat", values, vec![node::int("axis", axis)])
    }

    /// The rows of a table at these indices.
    pub fn gather(&mut self, part: &str, table: &str, indices: &str, axis: i64) -> String {
        self.op(part, "Gather", &[table, indices], vec![node::int("axis", axis)])
    }

    /// The length of an axis, a scalar.
    pub fn length(&mut self, part: &str, x: &str, axis: i64) -> Rewritten<String> {
        let shape = self.op(&format!("{part}_shape"), "Shape", &[x], Vec::new());
        let axis = self.constant(&format!("{part}_axis"), &tensor0(axis))?;
        Ok(self.gather(part, &shape, &axis, 0))
    }

    /// The integers below a scalar.
    pub fn range(&mut self, part: &str, end: &str) -> Rewritten<String> {
        let (zero, one) = (self.constant(&format!("{part}_from"), &tensor0(0i64))?, tensor0(1i64));
        let one = self.constant(&format!("{part}_step"), &one)?;
        Ok(self.op(part, "Range", &[&zero, end, &one], Vec::new()))
    }

    /// As floats.
    pub fn as_float(&mut self, part: &str, x: &str) -> String {
        self.op(part, "Cast", &[x], vec![node::int("to", DataType::Float as i64)])
    }

    /// The sum over the last axis, without it.
    pub fn total(&mut self, part: &str, x: &str) -> Rewritten<String> {
        let sum = self.reduce(&format!("{part}_kept"), "ReduceSum", x, &[-1])?;
        self.squeeze(part, &sum, &[-1])
    }

    /// Elements by their place in row-major order, 0 where there is none.
    pub fn pick(&mut self, part: &str, x: &str, places: &[Option<usize>], shape: &[usize]) -> Rewritten<String> {
        if places.len() > MOST_PICKED {
            return Err(refuse(
                format!("it moves {} elements, more than {MOST_PICKED}", places.len()),
                "make it smaller",
            ));
        }
        let mut flat = self.reshape(&format!("{part}_flat"), x, &[-1])?;
        if places.contains(&None) {
            // A zero of the same type, in front.
            let first = self.slice(&format!("{part}_first"), &flat, 0, 0, 1)?;
            let zero = self.op(&format!("{part}_zero"), "Sub", &[&first, &first], Vec::new());
            flat = self.concat(&format!("{part}_padded"), &[&zero, &flat], 0);
        }
        let before = i64::from(places.contains(&None));
        let places: Vec<i64> = places.iter().map(|p| p.map_or(0, |p| p as i64 + before)).collect();
        let places = self.list(&format!("{part}_places"), &places)?;
        let picked = self.gather(&format!("{part}_picked"), &flat, &places, 0);
        let shape: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        self.reshape(part, &picked, &shape)
    }

    /// For each whole number a row of `n` truth values along a new last axis, of which the one that it counts is true.
    pub fn marks(&mut self, part: &str, ids: &str, n: usize) -> Rewritten<String> {
        let ids = self.as_float(&format!("{part}_float"), ids);
        let column = self.unsqueeze(&format!("{part}_column"), &ids, &[-1])?;
        let all: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let all = self.floats(&format!("{part}_all"), &all, &[n])?;
        Ok(self.op(part, "Equal", &[&column, &all], Vec::new()))
    }

    /// [`Builder::marks`] as numbers 0 and 1.
    pub fn one_hot(&mut self, part: &str, ids: &str, n: usize) -> Rewritten<String> {
        let marks = self.marks(&format!("{part}_marks"), ids, n)?;
        Ok(self.as_float(part, &marks))
    }

    /// The number of axes of a value of the file, where it is known by now.
    pub fn rank(&self, value: &str) -> Option<usize> {
        self.net.proto(value).map(|t| t.dims.len()).or_else(|| self.facts?.rank(value))
    }

    /// Whether a value of the file holds booleans, where it is known by now.
    pub fn is_boolean(&self, value: &str) -> Option<bool> {
        match self.net.proto(value) {
            Some(proto) => Some(proto.data_type == DataType::Bool as i32),
            None => Some(self.facts?.datum_type(value)? == bool::datum_type()),
        }
    }

    /// The shape of a value of the file, where it is known by now.
    pub fn shape(&self, value: &str) -> Option<Vec<usize>> {
        match self.net.proto(value) {
            Some(proto) => proto.dims.iter().map(|&d| usize::try_from(d).ok()).collect(),
            None => self.facts?.shape(value),
        }
    }
}

//! From tract's decluttered graph to the matrix graph.
//!
//! Data movement becomes index views, constants are folded, and only operations that compute something become nodes.
//! Everything without a meaning over `[tokens, features]` is collected as a [`Problem`].

mod attention;
mod deferred;
mod einsum;
mod elementwise;
mod mask;
mod pool;
mod rowwise;

use super::{
    matrix_graph::{MatrixGraph, MatrixId, MatrixOp, Pick},
    view::{Code, View},
};
use crate::frontend::error::Problem;
use crate::frontend::refusal::Refusal;
use attention::Scores;
pub use mask::SoftMask;
use nanozk_ir::float::{InputKind, Shared};
use pool::Weighted;
use std::collections::HashMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::{self, array, einsum::EinSum, element_wise::ElementWiseOp, nn};

/// A result with the reason why there is none.
type Lowered<T> = Result<T, String>;

/// How float inputs are read as matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Last axis = features, all others = tokens.
    Rows,
    /// One token, all elements are features.
    Flat,
}

/// What a base of a view is.
#[derive(Clone, Copy, Debug)]
enum Base {
    /// `[tokens, features]` of a node of the matrix graph.
    Matrix(MatrixId),
    /// `[heads, tokens, tokens]` of attention scores.
    Scores(usize),
}

/// Symbolic value of an outlet.
#[derive(Clone, Debug)]
enum Value {
    Const(Arc<Tensor>),
    View(View),
    /// Depends only on token or mask inputs (bit set of input slots): computed when its meaning is known.
    Deferred(u64),
    /// `IsNan` of attention weights.
    NanOf(View),
    /// An activation whose tokens count as a mask input says.
    Weighted(Weighted),
    /// Depends on something unsupported.
    Bad,
}

/// The lowered model.
pub(super) struct Outcome {
    pub graph: MatrixGraph,
    /// Node of each model input, in order.
    pub inputs: Vec<MatrixId>,
    /// Node of each model output with the view that arranges it as in the source model.
    pub outputs: Vec<(MatrixId, View)>,
    pub problems: Vec<Problem>,
    pub soft_masks: Vec<SoftMask>,
}

struct Lower<'a> {
    model: &'a TypedModel,
    graph: MatrixGraph,
    bases: Vec<Base>,
    scores: Vec<Scores>,
    values: HashMap<OutletId, Value>,
    inputs: Vec<MatrixId>,
    soft_masks: Vec<SoftMask>,
}

fn text(e: impl std::fmt::Display) -> String {
    format!("{e:#}")
}

/// A tensor of floats.
struct Floats(Arc<Tensor>);

impl AsRef<[f32]> for Floats {
    fn as_ref(&self) -> &[f32] {
        self.0.try_as_plain_ram().and_then(|plain| plain.as_slice()).unwrap_or_default()
    }
}

/// The elements of a tensor, not copied where they are floats already.
fn numbers(tensor: &Arc<Tensor>) -> TractResult<Shared> {
    Ok(Shared::new(Floats(match tensor.datum_type() {
        DatumType::F32 => tensor.clone(),
        _ => tensor.cast_to::<f32>()?.into_owned().into_arc_tensor(),
    })))
}

/// Lowers `model`, whose shapes are all concrete.
pub(super) fn lower(model: &TypedModel, layout: Layout) -> Outcome {
    let mut l = Lower {
        model,
        graph: MatrixGraph::default(),
        bases: Vec::new(),
        scores: Vec::new(),
        values: HashMap::new(),
        inputs: Vec::new(),
        soft_masks: Vec::new(),
    };
    let mut problems = Vec::new();
    if let Err(problem) = l.read_inputs(layout) {
        problems.push(problem);
        return Outcome { graph: l.graph, inputs: l.inputs, outputs: Vec::new(), problems, soft_masks: l.soft_masks };
    }
    let order = model.eval_order().unwrap_or_default();
    for id in order {
        let node = model.node(id);
        if node.op_is::<ops::source::TypedSource>() {
            continue;
        }
        let values = match l.node(node) {
            Ok(values) => values,
            Err(reason) => {
                problems.push(l.problem(node, reason));
                vec![Value::Bad; node.outputs.len()]
            }
        };
        for (slot, value) in values.into_iter().enumerate() {
            l.values.insert(OutletId::new(id, slot), value);
        }
    }
    let mut outputs = Vec::new();
    for &outlet in &model.outputs {
        let node = model.node(outlet.node);
        let result = match l.values.get(&outlet).cloned() {
            Some(Value::View(view)) => l.compact(&view, &node.name),
            Some(Value::Bad) | None => continue,
            _ => Err("the output does not depend on the activations".to_owned()),
        };
        match result {
            Ok(output) => outputs.push(output),
            Err(reason) => problems.push(l.problem(node, format!("as a model output: {reason}"))),
        }
    }
    Outcome { graph: l.graph, inputs: l.inputs, outputs, problems, soft_masks: l.soft_masks }
}

impl Lower<'_> {
    fn problem(&self, node: &TypedNode, reason: String) -> Problem {
        let facts = |facts: Vec<&TypedFact>| -> String {
            facts.iter().map(|f| format!("{:?}", f.without_value())).collect::<Vec<_>>().join(" x ")
        };
        let inputs = self.model.node_input_facts(node.id).map(|v| facts(v.into_vec())).unwrap_or_default();
        let outputs = self.model.node_output_facts(node.id).map(|v| facts(v.into_vec())).unwrap_or_default();
        let shapes = format!("{inputs} -> {outputs}");
        Problem { node: node.name.clone(), op: node.op.name().to_string(), shapes, refusal: Refusal::bare(reason) }
    }

    fn shape(&self, outlet: OutletId) -> Lowered<Vec<usize>> {
        let fact = self.model.outlet_fact(outlet).map_err(text)?;
        Ok(fact.shape.as_concrete().ok_or("shape with symbols")?.to_vec())
    }

    fn new_base(&mut self, base: Base) -> usize {
        self.bases.push(base);
        self.bases.len() - 1
    }

    /// Matrix behind `base`.
    fn matrix(&self, base: usize) -> Lowered<MatrixId> {
        match self.bases[base] {
            Base::Matrix(id) => Ok(id),
            Base::Scores(_) => Err("attention scores are used outside of the softmax(q k^T) v pattern".to_owned()),
        }
    }

    /// Scores behind `view`, if it is one.
    fn scores_of(&self, view: &View) -> Option<usize> {
        match self.bases[view.single_base()?] {
            Base::Scores(s) => Some(s),
            Base::Matrix(_) => None,
        }
    }

    fn is_scores(&self, value: &Value) -> bool {
        matches!(value, Value::View(v) if self.scores_of(v).is_some())
    }

    /// The same elements of another node of the same shape.
    fn rebase(&mut self, view: &View, to: MatrixId) -> View {
        let base = self.new_base(Base::Matrix(to));
        View::new(&view.shape, view.codes().map(|c| Code { base, ..c }.encode()).collect())
    }

    /// A node whose matrix consists of exactly the elements of `view`, and the view over it.
    fn compact(&mut self, view: &View, name: &str) -> Lowered<(MatrixId, View)> {
        let tokens = self.graph.tokens;
        let single = view.single_base();
        if let Some(base) = single {
            let id = self.matrix(base)?;
            let mut seen = vec![false; self.graph.rows(id) * self.graph.nodes[id].features];
            view.codes().for_each(|c| seen[c.flat] = true);
            if seen.iter().all(|&s| s) {
                return Ok((id, view.clone()));
            }
        }
        let mut keys: HashMap<(usize, usize, bool), usize> = HashMap::new();
        let mut order: Vec<(usize, usize, bool)> = Vec::new();
        let mut places = Vec::with_capacity(view.codes.len());
        let widths = (0..self.bases.len())
            .map(|b| self.matrix(b).map_or(0, |id| self.graph.nodes[id].features))
            .collect::<Vec<_>>();
        for c in view.codes() {
            let width = widths[c.base];
            if width == 0 {
                self.matrix(c.base)?;
            }
            let key = (c.base, c.flat % width, c.negated);
            let place = *keys.entry(key).or_insert_with(|| {
                order.push(key);
                order.len() - 1
            });
            places.push((c.flat / width, place));
        }
        let mut rank: Vec<usize> = (0..order.len()).collect();
        if single.is_some() {
            rank.sort_by_key(|&i| order[i]);
        }
        let mut position = vec![0; order.len()];
        rank.iter().enumerate().for_each(|(new, &old)| position[old] = new);
        let features = order.len();
        let alike = order.iter().all(|key| self.matrix(key.0).is_ok_and(|id| self.graph.nodes[id].alike));
        let mut seen = vec![false; if alike { 1 } else { tokens } * features];
        places.iter().for_each(|&(t, p)| seen[t * features + position[p]] = true);
        if let Some(missing) = seen.iter().position(|&s| !s) {
            if let Some(rows) = self.single_rows(view, name)? {
                return Ok(rows);
            }
            return Err(format!(
                "reads only some of the {tokens} tokens (token {} is dropped); export the model so that every token is kept",
                missing / features
            ));
        }
        let mut operands: Vec<MatrixId> = Vec::new();
        let mut picks = Vec::with_capacity(features);
        for &old in &rank {
            let (base, feature, negated) = order[old];
            let id = self.matrix(base)?;
            let operand = operands.iter().position(|&o| o == id).unwrap_or_else(|| {
                operands.push(id);
                operands.len() - 1
            });
            picks.push(Pick { operand, feature, negated });
        }
        let id = self.graph.add(name, MatrixOp::Select(picks), features, &operands);
        let base = self.new_base(Base::Matrix(id));
        let codes = places
            .iter()
            .map(|&(t, p)| Code { base, flat: t * features + position[p], negated: false }.encode())
            .collect();
        Ok((id, View::new(&view.shape, codes)))
    }

    /// `source` with its features in the order `features`; the node itself when nothing changes.
    fn reorder(&mut self, source: MatrixId, features: &[usize], name: &str) -> MatrixId {
        let width = self.graph.nodes[source].features;
        if features.len() == width && features.iter().enumerate().all(|(i, &f)| i == f) {
            return source;
        }
        let picks = features.iter().map(|&feature| Pick { operand: 0, feature, negated: false }).collect();
        self.graph.add(name, MatrixOp::Select(picks), features.len(), &[source])
    }

    fn node(&mut self, node: &TypedNode) -> Lowered<Vec<Value>> {
        let inputs: Vec<Value> =
            node.inputs.iter().map(|o| self.values.get(o).cloned().unwrap_or(Value::Bad)).collect();
        if inputs.iter().any(|v| matches!(v, Value::Bad)) {
            return match supported(node) {
                true => Ok(vec![Value::Bad; node.outputs.len()]),
                false => Err("this operator is not supported".to_owned()),
            };
        }
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
            let folded = node.op.eval_out_of_plan(constants).map_err(text)?;
            let folded = folded.ok_or("an operator without operands that is not a constant")?;
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

    fn compute(&mut self, node: &TypedNode, inputs: &[Value]) -> Lowered<Value> {
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
            let eps = *op
                .eps
                .cast_to::<f32>()
                .map_err(text)?
                .view()
                .as_slice::<f32>()
                .map_err(text)?
                .first()
                .ok_or("no eps")?;
            return self.rms_norm(op.axis, eps, &inputs[0], &name);
        }
        if let Some(op) = node.op_as::<nn::Reduce>() {
            return self.reduce(op, &inputs[0], &name);
        }
        if let Some(op) = node.op_as::<ops::cast::Cast>() {
            return match op.to.is_float() {
                true => Ok(inputs[0].clone()),
                false => Err(format!("casts an activation to {:?}", op.to)),
            };
        }
        if moves_data(node) {
            return self.wiring(node, inputs);
        }
        Err("this operator is not supported".to_owned())
    }

    /// Runs a data movement on the element codes.
    fn wiring(&mut self, node: &TypedNode, inputs: &[Value]) -> Lowered<Value> {
        let mut args: TVec<TValue> = tvec!();
        for (i, value) in inputs.iter().enumerate() {
            args.push(match value {
                Value::View(v) => v.tensor().map_err(text)?.into_tvalue(),
                Value::Const(t) if node.op_is::<array::Gather>() && i == 1 => t.clone().into_tvalue(),
                Value::Const(_) => return Err("joins activations and constants".to_owned()),
                _ => return Err("joins activations and values computed from token ids or a mask".to_owned()),
            });
        }
        let moved = node.op.eval_out_of_plan(args).map_err(text)?;
        let moved = moved.and_then(|m| m.into_iter().next()).ok_or("tract cannot evaluate this data movement")?;
        Ok(Value::View(View::from_tensor(&moved).map_err(text)?))
    }

    /// Creates the input nodes and fixes the number of tokens.
    fn read_inputs(&mut self, layout: Layout) -> Result<(), Problem> {
        let model = self.model;
        let kinds = deferred::input_kinds(model);
        let mut shapes = Vec::new();
        for &outlet in &model.inputs {
            let node = model.node(outlet.node);
            shapes.push(self.shape(outlet).map_err(|reason| self.problem(node, reason))?);
        }
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
                let reason = "an integer or boolean input that neither indexes an embedding table nor masks the tokens";
                return Err(self.problem(node, reason.to_owned()));
            }
            let features = if float(slot) { len / tokens.max(1) } else { 1 };
            if len == 0 || features * tokens != len {
                let reason = format!("an input of {len} values in a model of {tokens} tokens");
                return Err(self.problem(node, reason));
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

/// Whether a node only moves data.
fn moves_data(node: &TypedNode) -> bool {
    node.op_is::<ops::change_axes::AxisOp>()
        || node.op_is::<array::Slice>()
        || node.op_is::<array::StridedSlice>()
        || node.op_is::<array::TypedConcat>()
        || node.op_is::<array::MultiBroadcastTo>()
        || node.op_is::<array::Tile>()
        || node.op_is::<array::Gather>()
        || node.op_is::<array::FiniteReshape>()
        || node.op_is::<ops::identity::Identity>()
        || node.op_is::<ops::downsample::Downsample>()
}

/// Whether an operator has a meaning here at all.
fn supported(node: &TypedNode) -> bool {
    moves_data(node)
        || node.op_is::<EinSum>()
        || node.op_is::<ops::konst::Const>()
        || node.op_is::<ops::logic::Iff>()
        || comparison(node).is_some()
        || node.op_is::<nn::Softmax>()
        || node.op_is::<nn::RmsNorm>()
        || node.op_is::<ops::cast::Cast>()
        || node.op_as::<nn::Reduce>().is_some_and(|r| rowwise::reduction(&r.reducer).is_some())
        || node.op_as::<ElementWiseOp>().is_some_and(elementwise::known_unary)
        || node.op_as::<ops::binary::TypedBinOp>().is_some_and(|op| elementwise::known_binary(op.0.name()))
}

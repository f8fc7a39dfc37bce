//! Where tokens meet outside of attention, in a model that has attention: the row of one token, the sum of all rows, the
//! mean of those that a mask shows. Their result is the same at every token, and views of it refer to the first.

use super::{
    letters::{letters, offset, tuples},
    lowering::{Base, Lower, Value, Weight, Weighted},
    mask::probes,
    movement::moves_data,
};
use crate::frontend::rows::{
    matrix_graph::{ByRows, MatrixId, MatrixOp, NotByRows, Reduction},
    view::{AxisKind, Code, View, axis_kinds, strides},
};
use nanozk_ir::float::Op;
use std::collections::HashMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::{
    binary::TypedBinOp,
    cast::Cast,
    einsum::EinSum,
    logic::Iff,
    nn::{Reduce, Reducer},
};

/// Most rows of single tokens that one view may read.
const MOST_ROWS: usize = 4;
/// Largest difference between a share or a count and what the model computes, relative to it.
const TOLERANCE: f32 = 1e-5;

/// A value that depends on a mask alone: its outlet, and the inputs that it depends on.
type Deferred = (OutletId, u64);

impl Lower<'_> {
    /// A view that reads rows of a few single tokens, over a node that holds these rows at every token.
    pub(super) fn single_rows(&mut self, view: &View, name: &str) -> ByRows<Option<(MatrixId, View)>> {
        if self.scores.is_empty() {
            return Ok(None);
        }
        let mut rows: Vec<((usize, usize), Vec<usize>)> = Vec::new();
        let mut places = Vec::with_capacity(view.codes.len());
        for code in view.codes() {
            let width = self.graph.nodes[self.matrix(code.base)?].features;
            let (row, feature) = ((code.base, code.flat / width), code.flat % width);
            let at = rows.iter().position(|(known, _)| *known == row).unwrap_or_else(|| {
                rows.push((row, Vec::new()));
                rows.len() - 1
            });
            if at == MOST_ROWS {
                return Ok(None);
            }
            rows[at].1.push(feature);
            places.push((at, feature, code.negated));
        }
        let mut held = Vec::with_capacity(rows.len());
        for ((base, token), mut features) in rows {
            features.sort_unstable();
            features.dedup();
            let source = self.matrix(base)?;
            let alike = self.graph.nodes[source].alike;
            let part = self.reorder(source, &features, name);
            let op = MatrixOp::Canonical(Op::TokenSum { of: vec![token as u32] });
            let id = if alike { part } else { self.graph.add(name, op, features.len(), &[part]) };
            held.push((self.new_base(Base::Matrix(id)), features));
        }
        let code = |&(at, feature, negated): &(usize, usize, bool)| {
            let (base, features): &(usize, Vec<usize>) = &held[at];
            let flat = features.binary_search(&feature).unwrap_or_default();
            Code { base: *base, flat, negated }.encode()
        };
        let view = View::new(&view.shape, places.iter().map(code).collect());
        self.compact(&view, name).map(Some)
    }

    /// A sum over axes among which are those of all tokens; `None` for any other.
    pub(super) fn sum_of_tokens(
        &mut self,
        reduction: Reduction,
        view: &View,
        axes: &[usize],
        name: &str,
    ) -> ByRows<Option<View>> {
        if self.scores.is_empty() || reduction != Reduction::Sum {
            return Ok(None);
        }
        let (id, view) = self.compact(view, name)?;
        let of = (0..self.graph.tokens as u32).collect();
        Ok(self.over_tokens(id, &view, axes).map(|over| {
            let features = self.graph.nodes[id].features;
            let sum = self.graph.add(name, MatrixOp::Canonical(Op::TokenSum { of }), features, &[id]);
            self.at_all(&view, &over, sum)
        }))
    }

    /// The axes of all tokens, each once, when a reduction of `axes` runs over these and no other of more than one element.
    fn over_tokens(&self, id: MatrixId, view: &View, axes: &[usize]) -> Option<Vec<usize>> {
        let kinds = axis_kinds(view, self.graph.nodes[id].features)?;
        let over: Vec<usize> = (0..kinds.len()).filter(|&a| kinds[a] == AxisKind::Token).collect();
        let all = over.iter().map(|&a| view.shape[a]).product::<usize>() == self.graph.tokens;
        let same = axes.iter().filter(|&&a| view.shape[a] > 1).all(|a| over.contains(a));
        (!over.is_empty() && all && same && over.iter().all(|a| axes.contains(a))).then_some(over)
    }

    /// The elements of a view along whose axes `over` the tokens stand, of a node that holds one row for all of them.
    fn at_all(&mut self, view: &View, over: &[usize], to: MatrixId) -> View {
        let (base, features) = (self.new_base(Base::Matrix(to)), self.graph.nodes[to].features);
        let mut shape = view.shape.clone();
        over.iter().for_each(|&a| shape[a] = 1);
        let (from, st) = (strides(&view.shape), strides(&shape));
        let codes = (0..shape.iter().product::<usize>()).map(|i| {
            let at: usize = (0..shape.len()).map(|a| i / st[a] % shape[a] * from[a]).sum();
            Code { base, flat: Code::decode(view.codes[at]).flat % features, negated: false }.encode()
        });
        View::new(&shape, codes.collect())
    }

    /// Handles nodes by which a mask input decides what tokens count in a sum or mean over them.
    pub(super) fn pooled(&mut self, node: &TypedNode, inputs: &[Value]) -> ByRows<Option<Value>> {
        let product = node.op_as::<TypedBinOp>().map(|op| op.0.name().to_string()).unwrap_or_default();
        let deferred = |slot: usize, slots: u64| (node.inputs[slot], slots);
        let shape = self.shape(node.id.into())?;
        Ok(Some(match (inputs, product.as_str()) {
            ([Value::Weighted(w)], _) => self.pooled_alone(node, w)?,
            ([Value::Weighted(w), Value::Deferred(s)], "Div") => self.mean(w, deferred(1, *s), |v| v, &shape)?,
            ([Value::Weighted(w), Value::Deferred(s)], "Mul") => self.mean(w, deferred(1, *s), f32::recip, &shape)?,
            ([Value::Deferred(s), Value::Weighted(w)], "Mul") => self.mean(w, deferred(0, *s), f32::recip, &shape)?,
            (inputs, _) if inputs.iter().any(|v| matches!(v, Value::Weighted(_))) => {
                return Err(NotByRows); // Tokens that a mask weighs meet otherwise than in their sum or mean.
            }
            _ if self.scores.is_empty() || inputs.iter().any(|v| self.is_scores(v)) => return Ok(None),
            ([Value::View(x), Value::Deferred(s)], "Mul") => {
                self.weigh(x, deferred(1, *s), |v| v, &shape, &node.name)?
            }
            ([Value::Deferred(s), Value::View(x)], "Mul") => {
                self.weigh(x, deferred(0, *s), |v| v, &shape, &node.name)?
            }
            ([Value::Deferred(s), Value::View(x), Value::Const(c)], _) if node.op_is::<Iff>() && zero(c) => {
                self.weigh(x, deferred(0, *s), |v| v, &shape, &node.name)?
            }
            ([Value::Deferred(s), Value::Const(c), Value::View(x)], _) if node.op_is::<Iff>() && zero(c) => {
                self.weigh(x, deferred(0, *s), |v| 1.0 - v, &shape, &node.name)?
            }
            ([Value::View(x), Value::Deferred(s)], _) if node.op_is::<EinSum>() => {
                self.weighted_product(node, x, deferred(1, *s), false)?
            }
            ([Value::Deferred(s), Value::View(x)], _) if node.op_is::<EinSum>() => {
                self.weighted_product(node, x, deferred(0, *s), true)?
            }
            _ => return Ok(None),
        }))
    }

    /// Moves and sums of weighted tokens.
    fn pooled_alone(&mut self, node: &TypedNode, w: &Weighted) -> ByRows<Value> {
        match node.op_as::<Reduce>() {
            Some(op) if matches!(op.reducer, Reducer::Sum) => self.sum_weighted(w, &op.axes, &node.name),
            None if node.op_as::<Cast>().is_some_and(|op| op.to.is_float()) => Ok(Value::Weighted(w.clone())),
            None if moves_data(node) => match self.wiring(node, &[Value::View(w.view.clone())])? {
                Value::View(view) => Ok(Value::Weighted(Weighted { view, ..*w })),
                other => Ok(other),
            },
            _ => Err(NotByRows), // Tokens that a mask weighs meet otherwise than in their sum or mean.
        }
    }

    /// The product of an activation and a value that is `of` a mask.
    fn weigh(&mut self, x: &View, mask: Deferred, of: fn(f32) -> f32, shape: &[usize], name: &str) -> ByRows<Value> {
        let places = View::iota(&self.shape(mask.0)?, 0).broadcast(shape)?;
        let places: Vec<usize> = places.codes().map(|c| c.flat).collect();
        let x = x.broadcast(shape)?;
        self.weighted(&x, mask, &places, of, name).map(Value::Weighted)
    }

    /// `x` with the element `of` that `places` gives of a value computed from a mask as factor of each of its elements.
    fn weighted(
        &mut self,
        x: &View,
        (outlet, slots): Deferred,
        places: &[usize],
        of: fn(f32) -> f32,
        name: &str,
    ) -> ByRows<Weighted> {
        let (slot, mask) = self.mask_input(slots)?;
        let (id, view) = self.compact(x, name)?;
        let (tokens, width) = (self.graph.tokens, self.graph.nodes[id].features);
        let (mut shown, mut share) = (true, true);
        for probe in probes(tokens).into_iter().chain([vec![false; tokens]]) {
            let factors = self.factors(outlet, slot, &probe)?;
            let count = probe.iter().filter(|&&bit| bit).count() as f32;
            for (code, &place) in view.codes().zip(places) {
                let (factor, bit) = (of(factors[place]), f32::from(u8::from(probe[code.flat / width])));
                shown &= factor == bit;
                share &= count == 0.0 || (factor * count - bit).abs() <= TOLERANCE;
            }
        }
        let by = match (shown, share) {
            (true, _) => Weight::Shown,
            (false, true) => Weight::Share,
            _ => return Err(NotByRows), // An activation times a value that is no mask over its tokens.
        };
        Ok(Weighted { view, mask, by })
    }

    /// Values of an outlet for one mask.
    fn factors(&self, outlet: OutletId, slot: usize, mask: &[bool]) -> ByRows<Vec<f32>> {
        let bits = mask.iter().map(|&bit| i64::from(bit)).collect();
        let t = self.eval_deferred(outlet, &HashMap::from([(slot, bits)]))?;
        Ok(t.cast_to::<f32>()?.view().as_slice::<f32>()?.to_vec())
    }

    /// A product of an activation and a value computed from a mask, summed over some axes.
    fn weighted_product(&mut self, node: &TypedNode, x: &View, mask: Deferred, swap: bool) -> ByRows<Value> {
        let Some(op) = node.op_as::<EinSum>() else { return Err(NotByRows) }; // Not a product.
        let (shape, of) = (self.shape(node.id.into())?, self.shape(mask.0)?);
        let mut letters = letters(&op.axes, swap, &x.shape, &of)?;
        letters.sort_by_key(|l| (l.out.is_none(), l.out));
        let sizes: Vec<usize> = letters.iter().map(|l| l.size).collect();
        let (sx, sm) = (strides(&x.shape), strides(&of));
        let at = |index: Vec<usize>| {
            letters
                .iter()
                .zip(index)
                .fold((0, 0), |(a, b), (l, i)| (a + offset(l.a, i, &x.shape, &sx), b + offset(l.b, i, &of, &sm)))
        };
        let (elements, places): (Vec<usize>, Vec<usize>) = tuples(&sizes).map(at).unzip();
        let all = View::new(&sizes, elements.into_iter().map(|i| x.codes[i]).collect());
        let weighted = self.weighted(&all, mask, &places, |v| v, &node.name)?;
        let inner: Vec<usize> = (0..letters.len()).filter(|&l| letters[l].out.is_none()).collect();
        let flat = |view: View| View { shape: shape.clone(), ..view };
        Ok(match self.sum_weighted(&weighted, &inner, &node.name)? {
            Value::View(view) => Value::View(flat(view)),
            Value::Weighted(w) => Value::Weighted(Weighted { view: flat(w.view), ..w }),
            other => other,
        })
    }

    /// The sum of weighted tokens over `axes`, which must be those of the tokens.
    fn sum_weighted(&mut self, w: &Weighted, axes: &[usize], name: &str) -> ByRows<Value> {
        let (id, view) = self.compact(&w.view, name)?;
        let over = match w.by {
            Weight::Sum => None,
            Weight::Shown | Weight::Share => self.over_tokens(id, &view, axes),
        };
        let over = over.ok_or(NotByRows)?; // Tokens that a mask weighs are not summed up alone, or not all of them.
        let features = self.graph.nodes[id].features;
        let mean = self.graph.add(name, MatrixOp::Canonical(Op::TokenMean), features, &[id, w.mask]);
        let view = self.at_all(&view, &over, mean);
        Ok(match w.by {
            Weight::Share => Value::View(view),
            _ => Value::Weighted(Weighted { view, mask: w.mask, by: Weight::Sum }),
        })
    }

    /// A sum of the tokens that a mask shows, divided by a value `of` which is their number.
    fn mean(&mut self, w: &Weighted, (outlet, slots): Deferred, of: fn(f32) -> f32, shape: &[usize]) -> ByRows<Value> {
        let (slot, mask) = self.mask_input(slots)?;
        let mut counts = mask == w.mask && w.by == Weight::Sum;
        for probe in probes(self.graph.tokens) {
            let count = probe.iter().filter(|&&bit| bit).count() as f32;
            let divisors = self.factors(outlet, slot, &probe)?;
            counts &= divisors.into_iter().all(|d| (of(d) / count - 1.0).abs() <= TOLERANCE);
        }
        match counts {
            true => Ok(Value::View(w.view.broadcast(shape)?)),
            false => Err(NotByRows), // A sum of the tokens that a mask shows, divided by another number than theirs.
        }
    }
}

/// Whether a constant is 0 everywhere.
fn zero(t: &Tensor) -> bool {
    t.is_all_zero().unwrap_or(false)
}

//! Einstein sums: products with constants become linear layers, products of activations become attention.

use super::{
    letters::{Letter, letters, offset, tuples},
    lowering::{Base, Lower, Value, numbers},
};
use crate::frontend::rows::{
    matrix_graph::{ByRows, MatrixOp, NotByRows},
    view::{AxisKind, Code, View, axis_kinds, strides},
};
use nanozk_ir::float::Binary;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::AxesMapping;
use tract_onnx::tract_core::ops::einsum::EinSum;

impl Lower<'_> {
    pub(super) fn einsum(&mut self, op: &EinSum, inputs: &[Value], shape: &[usize], name: &str) -> ByRows<Value> {
        if op.q_params.is_some() {
            return Err(NotByRows); // Quantized products are not supported.
        }
        let ones = Value::Const(tensor0(1f32).into_arc_tensor());
        match inputs {
            [Value::View(x)] => self.linear(&op.axes, false, x, &ones, shape, name),
            [Value::View(a), Value::View(b)] => self.product(&op.axes, a, b, shape, name),
            [Value::View(x), w @ Value::Const(_)] => self.linear(&op.axes, false, x, w, shape, name),
            [w @ Value::Const(_), Value::View(x)] => self.linear(&op.axes, true, x, w, shape, name),
            _ => Err(NotByRows), // Only products of activations and constants are supported.
        }
    }

    fn linear(
        &mut self,
        axes: &AxesMapping,
        swap: bool,
        x: &View,
        weight: &Value,
        shape: &[usize],
        name: &str,
    ) -> ByRows<Value> {
        let Value::Const(weight) = weight else { return Err(NotByRows) }; // The weight is not constant.
        let data = numbers(weight)?;
        let (id, view) = self.compact(x, name)?;
        let inputs = self.graph.nodes[id].features;
        let kinds = axis_kinds(&view, inputs).ok_or(NotByRows)?; // Tokens and features are mixed in one axis.
        let letters = letters(axes, swap, &view.shape, weight.shape())?;
        let (sx, sw, so) = (strides(&view.shape), strides(weight.shape()), strides(shape));
        let kind = |l: &Letter| l.a.map_or(AxisKind::Still, |p| kinds[p]);
        let is_token = |l: &Letter| kind(l) == AxisKind::Token;
        let in_weight = |l: &Letter| l.b.is_some_and(|p| weight.shape()[p] > 1);
        if letters.iter().any(|l| is_token(l) && (l.out.is_none() || in_weight(l))) {
            return Err(NotByRows); // A product with a constant over the tokens.
        }
        let still = |l: &Letter| kind(l) == AxisKind::Still && !in_weight(l);
        let repeats: usize = letters.iter().filter(|l| still(l) && l.out.is_none()).map(|l| l.size).product();
        let used = |l: &&Letter| !is_token(l) && !still(l);
        let outer: Vec<Letter> = letters.iter().filter(|l| used(l) && l.out.is_some()).copied().collect();
        let inner: Vec<Letter> = letters.iter().filter(|l| used(l) && l.out.is_none()).copied().collect();
        let outer_sizes: Vec<usize> = {
            let mut sorted = outer.clone();
            sorted.sort_by_key(|l| l.out);
            sorted.iter().map(|l| l.size).collect()
        };
        let mut outer = outer;
        outer.sort_by_key(|l| l.out);
        let inner_sizes: Vec<usize> = inner.iter().map(|l| l.size).collect();
        let features: usize = outer_sizes.iter().product();
        let at = |tuple: &[usize], set: &[Letter]| -> (usize, usize) {
            set.iter().zip(tuple).fold((0, 0), |(x, w), (l, &i)| {
                (x + offset(l.a, i, &view.shape, &sx), w + offset(l.b, i, weight.shape(), &sw))
            })
        };
        let inner_at: Vec<(usize, usize)> = tuples(&inner_sizes).map(|t| at(&t, &inner)).collect();
        // Each entry of the tensor with its place in the matrix.
        let places = &view.codes;
        let entries = || {
            tuples(&outer_sizes).enumerate().flat_map(|(column, tuple)| {
                let (x0, w0) = at(&tuple, &outer);
                let place = move |&(xi, wi): &(usize, usize)| {
                    let row = Code::decode(places[x0 + xi]).flat % inputs;
                    (row * features + column, w0 + wi)
                };
                inner_at.iter().map(place)
            })
        };
        let is_matrix = repeats == 1
            && data.len() == inputs * features
            && outer_sizes.iter().chain(&inner_sizes).product::<usize>() == data.len()
            && entries().all(|(place, entry)| place == entry);
        let weight = if is_matrix {
            data
        } else {
            let mut matrix = vec![0f32; inputs * features];
            entries().for_each(|(place, entry)| matrix[place] += data[entry] * repeats as f32);
            matrix.into()
        };
        let out = self.graph.add(name, MatrixOp::Linear { weight, bias: None }, features, &[id]);
        let base = self.new_base(Base::Matrix(out));
        let column_strides = strides(&outer_sizes);
        let codes = (0..shape.iter().product::<usize>()).map(|i| {
            let index = |l: &Letter| l.out.map_or(0, |p| i / so[p] % shape[p]);
            let x =
                letters.iter().filter(|l| is_token(l)).map(|l| offset(l.a, index(l), &view.shape, &sx)).sum::<usize>();
            let token = Code::decode(view.codes[x]).flat / inputs;
            let column = outer.iter().zip(&column_strides).map(|(l, s)| index(l) * s).sum::<usize>();
            Code { base, flat: token * features + column, negated: false }.encode()
        });
        Ok(Value::View(View::new(shape, codes.collect())))
    }

    fn product(&mut self, axes: &AxesMapping, a: &View, b: &View, shape: &[usize], name: &str) -> ByRows<Value> {
        match (self.scores_of(a), self.scores_of(b)) {
            (Some(s), None) => {
                return self.weighted_sum(s, a, b, letters(axes, false, &a.shape, &b.shape)?, shape, name);
            }
            (None, Some(s)) => {
                return self.weighted_sum(s, b, a, letters(axes, true, &b.shape, &a.shape)?, shape, name);
            }
            (Some(_), Some(_)) => return Err(NotByRows), // A product of two attention score matrices.
            (None, None) => (),
        }
        let letters = letters(axes, false, &a.shape, &b.shape)?;
        if letters.iter().all(|l| l.size == 1 || l.out.is_some()) {
            let spread = |view: &View, of: fn(&Letter) -> Option<usize>| {
                let st = strides(&view.shape);
                let so = strides(shape);
                let at = |i: usize| -> usize {
                    let index = |l: &Letter| l.out.map_or(0, |p| i / so[p] % shape[p]);
                    letters.iter().map(|l| offset(of(l), index(l), &view.shape, &st)).sum()
                };
                View::new(shape, (0..shape.iter().product()).map(|i| view.codes[at(i)]).collect())
            };
            let (a, b) = (spread(a, |l| l.a), spread(b, |l| l.b));
            return self.binary_views(Binary::Mul, &a, &b, shape, name).map(Value::View);
        }
        self.query_key(&letters, a, b, shape, name)
    }
}

//! Operators over the features of each token: reductions, RmsNorm, softmax.

use super::lowering::{Base, Lower, Value};
use crate::frontend::rows::{
    matrix_graph::{ByRows, MatrixId, MatrixOp, NotByRows, Reduction},
    view::{AxisKind, Code, View, axis_kinds, strides},
};
use nanozk_ir::float::{NormKind, UnaryFn};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer, Softmax, SoftmaxKind};

/// The reduction of a tract reducer.
fn reduction(reducer: &Reducer) -> Option<Reduction> {
    Some(match reducer {
        Reducer::Sum => Reduction::Sum,
        Reducer::MeanOfSquares => Reduction::MeanOfSquares,
        Reducer::Max => Reduction::Max,
        Reducer::Min => Reduction::Min,
        _ => return None,
    })
}

/// A view over one matrix, cut into groups of features by the reduced axes.
struct Groups {
    source: MatrixId,
    view: View,
    /// Features of each group.
    features: Vec<Vec<usize>>,
    /// Group of each feature and its position there.
    place: Vec<(usize, usize)>,
}

impl Lower<'_> {
    /// The groups of features that `axes` of `view` run over; an element that stands in a group more than once counts as
    /// often.
    fn groups(&mut self, view: &View, axes: &[usize], name: &str) -> ByRows<Groups> {
        let (source, view) = self.compact(view, name)?;
        match self.distinct_groups(source, &view, axes)? {
            Some(groups) => Ok(groups),
            None => {
                let (source, view) = self.spread(source, &view, name)?;
                self.distinct_groups(source, &view, axes)?.ok_or(NotByRows) // Works over repeated elements.
            }
        }
    }

    /// A node that holds each element of a token as often as the view shows it, and the view over it.
    fn spread(&mut self, source: MatrixId, view: &View, name: &str) -> ByRows<(MatrixId, View)> {
        let width = self.graph.nodes[source].features;
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); self.graph.rows(source)];
        let mut place = |flat: usize| {
            let row = &mut rows[flat / width];
            row.push(flat % width);
            (flat / width, row.len() - 1)
        };
        let places: Vec<(usize, usize)> = view.codes().map(|c| place(c.flat)).collect();
        if rows.iter().any(|row| row != &rows[0]) {
            return Err(NotByRows); // Works over elements that are repeated in another way for each token.
        }
        let n = rows[0].len();
        let spread = self.reorder(source, &rows[0], name);
        let base = self.new_base(Base::Matrix(spread));
        let code = |&(t, k): &(usize, usize)| Code { base, flat: t * n + k, negated: false }.encode();
        Ok((spread, View::new(&view.shape, places.iter().map(code).collect())))
    }

    /// The groups, if no element stands in one of them twice.
    fn distinct_groups(&self, source: MatrixId, view: &View, axes: &[usize]) -> ByRows<Option<Groups>> {
        let width = self.graph.nodes[source].features;
        let kinds = axis_kinds(view, width).ok_or(NotByRows)?; // Tokens and features are mixed in one axis.
        for &axis in axes {
            match kinds[axis] {
                AxisKind::Token => return Err(NotByRows), // Works over the tokens.
                AxisKind::Still if view.shape[axis] > 1 => return Ok(None),
                _ => (),
            }
        }
        let st = strides(&view.shape);
        let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut place = vec![(usize::MAX, 0); width];
        // Copies along other axes are the same group seen again.
        let moves = |i: usize, a: usize| !(i / st[a]).is_multiple_of(view.shape[a]);
        let copy = |i: usize| (0..st.len()).any(|a| kinds[a] == AxisKind::Still && moves(i, a));
        for (i, code) in view.codes().enumerate().filter(|(i, c)| c.flat < width && !copy(*i)) {
            let key = (0..st.len())
                .filter(|a| !axes.contains(a) && kinds[*a] == AxisKind::Feature)
                .map(|a| i / st[a] % view.shape[a] * st[a])
                .sum();
            let group = groups.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            });
            if place[code.flat].0 == usize::MAX {
                place[code.flat] = (group, groups[group].1.len());
                groups[group].1.push(code.flat);
            } else if place[code.flat].0 != group {
                return Err(NotByRows); // Works over overlapping groups of features.
            } else {
                return Ok(None);
            }
        }
        let mut features: Vec<Vec<usize>> = groups.into_iter().map(|(_, f)| f).collect();
        if let [all] = &mut features[..] {
            all.sort_unstable();
            all.iter().enumerate().for_each(|(i, &f)| place[f].1 = i);
        }
        Ok(Some(Groups { source, view: view.clone(), features, place }))
    }

    /// Applies a shape-preserving operator to each group.
    fn rowwise(&mut self, view: &View, axes: &[usize], op: &MatrixOp, name: &str) -> ByRows<Value> {
        let groups = self.groups(view, axes, name)?;
        let width = self.graph.nodes[groups.source].features;
        let mut bases = Vec::new();
        for features in &groups.features {
            let part = self.reorder(groups.source, features, name);
            let id = self.graph.add(name, op.clone(), features.len(), &[part]);
            bases.push(self.new_base(Base::Matrix(id)));
        }
        let code = |c: Code| {
            let (group, position) = groups.place[c.flat % width];
            let flat = c.flat / width * groups.features[group].len() + position;
            Code { base: bases[group], flat, negated: false }.encode()
        };
        Ok(Value::View(View::new(&groups.view.shape, groups.view.codes().map(code).collect())))
    }

    pub(super) fn rms_norm(&mut self, axis: usize, eps: f32, input: &Value, name: &str) -> ByRows<Value> {
        let Value::View(view) = input else { return Err(NotByRows) }; // Applied to a value that is not an activation.
        let op = MatrixOp::Norm { kind: NormKind::Rms, eps, gamma: None, beta: None };
        self.rowwise(view, &[axis], &op, name)
    }

    pub(super) fn softmax(&mut self, op: &Softmax, input: &Value, name: &str) -> ByRows<Value> {
        let Value::View(view) = input else { return Err(NotByRows) }; // Applied to a value that is not an activation.
        if let Some(scores) = self.scores_of(view) {
            return match (&op.kind, &op.axes[..]) {
                (SoftmaxKind::Softmax, [axis]) => self.scores_softmax(scores, view, *axis),
                _ => Err(NotByRows), // Attention needs a softmax over one axis.
            };
        }
        match op.kind {
            SoftmaxKind::Softmax => self.rowwise(view, &op.axes, &MatrixOp::Softmax, name),
            _ => Err(NotByRows), // LogSoftmax is not supported.
        }
    }

    pub(super) fn reduce(&mut self, op: &Reduce, input: &Value, name: &str) -> ByRows<Value> {
        let Value::View(view) = input else { return Err(NotByRows) }; // Applied to a value that is not an activation.
        let reduction = reduction(&op.reducer).ok_or(NotByRows)?; // This reduction is not supported.
        if let Some(sum) = self.sum_of_tokens(reduction, view, &op.axes, name)? {
            return Ok(Value::View(sum));
        }
        let groups = self.groups(view, &op.axes, name)?;
        let width = self.graph.nodes[groups.source].features;
        let mut bases = Vec::new();
        for features in &groups.features {
            let part = self.reorder(groups.source, features, name);
            let id = match features.len() {
                1 if reduction == Reduction::MeanOfSquares => {
                    self.graph.add(name, MatrixOp::Unary(UnaryFn::Square), 1, &[part])
                }
                1 => part,
                _ => self.graph.add(name, MatrixOp::Reduce(reduction), 1, &[part]),
            };
            bases.push(self.new_base(Base::Matrix(id)));
        }
        let mut shape = groups.view.shape.clone();
        op.axes.iter().for_each(|&a| shape[a] = 1);
        let (st, out_st) = (strides(&groups.view.shape), strides(&shape));
        let codes = (0..shape.iter().product::<usize>()).map(|i| {
            let at: usize = (0..shape.len()).map(|a| i / out_st[a] % shape[a] * st[a]).sum();
            let flat = Code::decode(groups.view.codes[at]).flat;
            Code { base: bases[groups.place[flat % width].0], flat: flat / width, negated: false }.encode()
        });
        Ok(Value::View(View::new(&shape, codes.collect())))
    }
}

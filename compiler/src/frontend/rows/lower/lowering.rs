//! The lowering of one model: what its values are, and views of the matrices behind them.

use super::scores::{Scores, SoftMask};
use crate::frontend::rows::{
    matrix_graph::{ByRows, MatrixGraph, MatrixId, MatrixOp, NotByRows, Pick},
    view::{Code, View},
};
use nanozk_ir::float::Shared;
use std::collections::HashMap;
use tract_onnx::prelude::*;

/// What a base of a view is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Base {
    /// `[tokens, features]` of a node of the matrix graph.
    Matrix(MatrixId),
    /// `[heads, tokens, tokens]` of attention scores.
    Scores(usize),
}

/// Symbolic value of an outlet.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Const(Arc<Tensor>),
    View(View),
    /// Depends only on token or mask inputs (bit set of input slots): computed when its meaning is known.
    Deferred(u64),
    /// `IsNan` of attention weights.
    NanOf(View),
    /// An activation whose tokens count as a mask input says.
    Weighted(Weighted),
}

/// An activation whose tokens count as a mask input says.
#[derive(Clone, Debug)]
pub(super) struct Weighted {
    pub view: View,
    /// Node of the mask input.
    pub mask: MatrixId,
    pub by: Weight,
}

/// What the mask makes of the rows of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Hidden ones are 0.
    Shown,
    /// The same, and the others are divided by their number.
    Share,
    /// They are summed up: the view is over their mean, the value that times their number.
    Sum,
}

/// The lowering of one model.
pub(super) struct Lower<'a> {
    pub model: &'a TypedModel,
    pub graph: MatrixGraph,
    pub bases: Vec<Base>,
    pub scores: Vec<Scores>,
    pub values: HashMap<OutletId, Value>,
    pub inputs: Vec<MatrixId>,
    pub soft_masks: Vec<SoftMask>,
}

/// A tensor of floats.
struct Floats(Arc<Tensor>);

impl AsRef<[f32]> for Floats {
    fn as_ref(&self) -> &[f32] {
        self.0.try_as_plain_ram().and_then(|plain| plain.as_slice()).unwrap_or_default()
    }
}

/// The elements of a tensor, not copied where they are floats already.
pub(super) fn numbers(tensor: &Arc<Tensor>) -> TractResult<Shared> {
    Ok(Shared::new(Floats(match tensor.datum_type() {
        DatumType::F32 => tensor.clone(),
        _ => tensor.cast_to::<f32>()?.into_owned().into_arc_tensor(),
    })))
}

impl Lower<'_> {
    pub(super) fn shape(&self, outlet: OutletId) -> ByRows<Vec<usize>> {
        let fact = self.model.outlet_fact(outlet)?;
        Ok(fact.shape.as_concrete().ok_or(NotByRows)?.to_vec()) // Shape with symbols.
    }

    pub(super) fn new_base(&mut self, base: Base) -> usize {
        self.bases.push(base);
        self.bases.len() - 1
    }

    /// Matrix behind `base`.
    pub(super) fn matrix(&self, base: usize) -> ByRows<MatrixId> {
        match self.bases[base] {
            Base::Matrix(id) => Ok(id),
            Base::Scores(_) => Err(NotByRows), // Attention scores are used outside of the softmax(q k^T) v pattern.
        }
    }

    /// Scores behind `view`, if it is one.
    pub(super) fn scores_of(&self, view: &View) -> Option<usize> {
        match self.bases[view.single_base()?] {
            Base::Scores(s) => Some(s),
            Base::Matrix(_) => None,
        }
    }

    pub(super) fn is_scores(&self, value: &Value) -> bool {
        matches!(value, Value::View(v) if self.scores_of(v).is_some())
    }

    /// The same elements of another node of the same shape.
    pub(super) fn rebase(&mut self, view: &View, to: MatrixId) -> View {
        let base = self.new_base(Base::Matrix(to));
        View::new(&view.shape, view.codes().map(|c| Code { base, ..c }.encode()).collect())
    }

    /// A node whose matrix consists of exactly the elements of `view`, and the view over it.
    pub(super) fn compact(&mut self, view: &View, name: &str) -> ByRows<(MatrixId, View)> {
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
        if seen.contains(&false) {
            // Some of the tokens only.
            return self.single_rows(view, name)?.ok_or(NotByRows);
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
    pub(super) fn reorder(&mut self, source: MatrixId, features: &[usize], name: &str) -> MatrixId {
        let width = self.graph.nodes[source].features;
        if features.len() == width && features.iter().enumerate().all(|(i, &f)| i == f) {
            return source;
        }
        let picks = features.iter().map(|&feature| Pick { operand: 0, feature, negated: false }).collect();
        self.graph.add(name, MatrixOp::Select(picks), features.len(), &[source])
    }
}

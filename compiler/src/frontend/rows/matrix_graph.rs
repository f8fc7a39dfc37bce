//! The matrix graph, between tract and the canonical float graph: matrices `[tokens, features]` and the elementary
//! operations on them, before patterns are recognised.

use nanozk_ir::float::{Binary, InputKind, NormKind, Op, Shared, UnaryFn};
use std::{collections::HashMap, sync::Arc};
use tract_onnx::prelude::TractError;

/// Rows of tokens do not hold what a model does. The user is not told why, since the model then is read by elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotByRows;

/// What tract does not follow.
impl From<TractError> for NotByRows {
    fn from(_: TractError) -> Self {
        NotByRows
    }
}

/// What something is by rows.
pub(super) type ByRows<T> = Result<T, NotByRows>;

/// Index of a node of a [`MatrixGraph`].
pub(super) type MatrixId = usize;

/// Reductions over all features of a token; the result has one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduction {
    Sum,
    MeanOfSquares,
    Max,
    Min,
}

/// One feature of a [`MatrixOp::Select`]: a feature of an operand, possibly negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pick {
    pub operand: usize,
    pub feature: usize,
    pub negated: bool,
}

/// Operation of a node.
#[derive(Clone, Debug)]
pub(super) enum MatrixOp {
    Input(InputKind),
    Embed {
        table: Shared,
    },
    /// `rows` is 1 or the number of tokens; a node with one feature is a scalar per row.
    Const {
        rows: usize,
        data: Arc<Vec<f32>>,
    },
    Linear {
        weight: Shared,
        bias: Option<Vec<f32>>,
    },
    Norm {
        kind: NormKind,
        eps: f32,
        gamma: Option<Vec<f32>>,
        beta: Option<Vec<f32>>,
    },
    Unary(UnaryFn),
    /// An operand with one feature is spread over all features.
    Binary(Binary),
    Reduce(Reduction),
    Softmax,
    Select(Vec<Pick>),
    /// Attention or rotary embedding, which are canonical as soon as they are found.
    Canonical(Op),
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct MatrixNode {
    pub name: String,
    pub op: MatrixOp,
    pub operands: Vec<MatrixId>,
    pub features: usize,
    /// Whether all tokens have the same row.
    pub alike: bool,
}

/// The graph; operands always come before their consumers.
#[derive(Clone, Debug, Default)]
pub(super) struct MatrixGraph {
    pub nodes: Vec<MatrixNode>,
    pub tokens: usize,
}

impl MatrixGraph {
    pub(super) fn add(&mut self, name: &str, op: MatrixOp, features: usize, operands: &[MatrixId]) -> MatrixId {
        let alike = match &op {
            MatrixOp::Const { rows, .. } => *rows == 1,
            MatrixOp::Canonical(Op::TokenSum { .. } | Op::TokenMean) => true,
            _ => !operands.is_empty() && operands.iter().all(|&o| self.nodes[o].alike),
        };
        self.nodes.push(MatrixNode { name: name.to_owned(), op, operands: operands.to_vec(), features, alike });
        self.nodes.len() - 1
    }

    /// Rows that views of a node refer to: where all tokens are alike, that of the first stands for all.
    pub(super) fn rows(&self, id: MatrixId) -> usize {
        if self.nodes[id].alike { 1 } else { self.tokens }
    }

    /// The single value of a constant that is the same everywhere.
    pub(super) fn scalar(&self, id: MatrixId) -> Option<f32> {
        match &self.nodes[id].op {
            MatrixOp::Const { data, .. } => data.iter().all(|v| v == &data[0]).then(|| data[0]),
            _ => None,
        }
    }

    /// A constant row spread to `features`, when the same for every token.
    pub(super) fn row(&self, id: MatrixId, features: usize) -> Option<Vec<f32>> {
        match &self.nodes[id].op {
            MatrixOp::Const { rows: 1, data } if data.len() == features => Some(data.to_vec()),
            MatrixOp::Const { rows: 1, data } if data.len() == 1 => Some(vec![data[0]; features]),
            _ => None,
        }
    }

    /// How often each node is read from the nodes reachable from `roots` (roots count as one read).
    pub(super) fn uses(&self, roots: &[MatrixId]) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        for &r in roots {
            uses[r] += 1;
        }
        for id in (0..self.nodes.len()).rev() {
            if uses[id] > 0 {
                for &o in &self.nodes[id].operands {
                    uses[o] += 1;
                }
            }
        }
        uses
    }

    /// Drops what `keep` does not need and puts operands before consumers; returns the new id of each old node.
    pub(super) fn sort(&mut self, keep: &[MatrixId]) -> HashMap<MatrixId, MatrixId> {
        let mut renamed = HashMap::new();
        let mut sorted: Vec<MatrixNode> = Vec::new();
        let mut stack: Vec<(MatrixId, bool)> = keep.iter().rev().map(|&id| (id, false)).collect();
        while let Some((id, operands_done)) = stack.pop() {
            if renamed.contains_key(&id) {
                continue;
            }
            if operands_done {
                let mut node = self.nodes[id].clone();
                node.operands.iter_mut().for_each(|o| *o = renamed[o]);
                renamed.insert(id, sorted.len());
                sorted.push(node);
            } else {
                stack.push((id, true));
                stack.extend(self.nodes[id].operands.iter().rev().map(|&o| (o, false)));
            }
        }
        self.nodes = sorted;
        renamed
    }
}

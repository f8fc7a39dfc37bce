//! What the models have in common: their ends, matrices of coefficients, and what is done to scores last.

use crate::frontend::refusal::{Refusal, incorrect, missing, refuse};
use crate::frontend::rewrite::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// The input and the first output.
pub(super) fn ends(node: &NodeProto) -> Rewritten<(&str, &str)> {
    node.at(0).zip(node.out(0)).ok_or_else(missing)
}

/// A matrix of `columns` columns, turned around: [columns, rows].
pub(super) fn turned(values: &[f32], columns: usize) -> Rewritten<Tensor> {
    if columns == 0 || values.is_empty() || !values.len().is_multiple_of(columns) {
        return Err(incorrect(format!("its {} coefficients do not divide into {columns} columns", values.len())));
    }
    let rows = values.len() / columns;
    let turned: Vec<f32> = (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect();
    tensor1(&turned).into_shape(&[columns, rows]).map_err(Refusal::from)
}

/// What a model applies to its scores at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Post {
    Nothing,
    Logistic,
    Softmax,
}

impl Post {
    pub fn attribute(node: &NodeProto) -> Rewritten<Post> {
        match &node.text("post_transform")[..] {
            "" | "NONE" => Ok(Post::Nothing),
            "LOGISTIC" => Ok(Post::Logistic),
            "SOFTMAX" => Ok(Post::Softmax),
            other => Err(refuse(format!("post_transform {other} is not supported"), "export the raw scores")),
        }
    }

    /// Applied to scores [rows, scores], under the name of an output of the file.
    pub fn apply(self, make: &mut Builder<'_, '_>, scores: &str, output: &str) {
        match self {
            Post::Nothing => make.last("Identity", &[scores], output, Vec::new()),
            Post::Logistic => make.last("Sigmoid", &[scores], output, Vec::new()),
            Post::Softmax => make.last("Softmax", &[scores], output, vec![node::int("axis", -1)]),
        }
    }
}

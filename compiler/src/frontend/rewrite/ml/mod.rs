//! Operators of the domain `ai.onnx.ml` (scikit-learn and gradient boosting), by ONNX's definitions and, where those
//! leave a choice, by what onnxruntime computes.

mod classes;
mod coupling;
mod encode;
mod forest;
mod linear;
mod scale;
mod svm;
mod tree;

use super::{builder::Builder, expand::Rule, net::Rewritten, node::Parts};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// The rule for an operator.
pub(super) fn rule(op: &str) -> Option<Rule> {
    Some(match op {
        "ArrayFeatureExtractor" => encode::array_feature_extractor,
        "Binarizer" => encode::binarizer,
        "FeatureVectorizer" => encode::feature_vectorizer,
        "Imputer" => scale::imputer,
        "LabelEncoder" => encode::label_encoder,
        "LinearClassifier" => linear::classifier,
        "LinearRegressor" => linear::regressor,
        "Normalizer" => scale::normalizer,
        "OneHotEncoder" => encode::one_hot_encoder,
        "SVMClassifier" => svm::classifier,
        "SVMRegressor" => svm::regressor,
        "Scaler" => scale::scaler,
        "TreeEnsemble" => tree::ensemble,
        "TreeEnsembleClassifier" => tree::classifier,
        "TreeEnsembleRegressor" => tree::regressor,
        "ZipMap" => encode::zip_map,
        _ => return None,
    })
}

/// The input and the first output.
fn ends(node: &NodeProto) -> Rewritten<(&str, &str)> {
    node.at(0).zip(node.out(0)).ok_or_else(|| "it lacks an input or output; export the model again".to_owned())
}

/// A matrix of `columns` columns, turned around: [columns, rows].
fn turned(values: &[f32], columns: usize) -> Rewritten<Tensor> {
    if columns == 0 || values.is_empty() || !values.len().is_multiple_of(columns) {
        return Err(format!(
            "its {} coefficients do not divide into {columns} columns; correct the model",
            values.len()
        ));
    }
    let rows = values.len() / columns;
    let turned: Vec<f32> = (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect();
    tensor1(&turned).into_shape(&[columns, rows]).map_err(|e| e.to_string())
}

/// What a model applies to its scores at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Post {
    Nothing,
    Logistic,
    Softmax,
}

impl Post {
    fn attribute(node: &NodeProto) -> Rewritten<Post> {
        match &node.text("post_transform")[..] {
            "" | "NONE" => Ok(Post::Nothing),
            "LOGISTIC" => Ok(Post::Logistic),
            "SOFTMAX" => Ok(Post::Softmax),
            other => Err(format!("post_transform {other} is not supported; export the raw scores")),
        }
    }

    /// Applied to scores [rows, scores], under the name of an output of the file.
    fn apply(self, make: &mut Builder<'_, '_>, scores: &str, output: &str) {
        match self {
            Post::Nothing => make.last("Identity", &[scores], output, Vec::new()),
            Post::Logistic => make.last("Sigmoid", &[scores], output, Vec::new()),
            Post::Softmax => make.last("Softmax", &[scores], output, vec![super::node::int("axis", -1)]),
        }
    }
}

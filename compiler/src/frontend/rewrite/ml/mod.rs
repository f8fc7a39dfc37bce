//! Operators of the domain `ai.onnx.ml` (scikit-learn and gradient boosting), by ONNX's definitions and, where those
//! leave a choice, by what onnxruntime computes.

mod classes;
mod coupling;
mod encode;
mod forest;
mod linear;
mod model;
mod scale;
mod svm;
mod tree;

use super::rule::Rule;

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

//! Linear models.

use super::{
    classes::Labels,
    model::{Post, ends, turned},
};
use crate::frontend::refusal::{incomplete, incorrect};
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// x W' + intercepts.
fn scores(make: &mut Builder<'_, '_>, node: &NodeProto, x: &str, targets: usize) -> Rewritten<String> {
    let coefficients = node.floats("coefficients");
    let weights = turned(coefficients, coefficients.len() / targets.max(1))?;
    let x = make.as_float("float", x);
    let weights = make.constant("coefficients", &weights)?;
    let products = make.matmul("products", &x, &weights);
    match node.floats("intercepts") {
        [] => Ok(products),
        intercepts if intercepts.len() == targets => {
            let intercepts = make.constant("intercepts", &tensor1(intercepts))?;
            Ok(make.add("scores", &products, &intercepts))
        }
        other => Err(incorrect(format!("it has {} intercepts for {targets} scores", other.len()))),
    }
}

/// `LinearRegressor`.
pub(super) fn regressor(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let targets = usize::try_from(node.int("targets", 1)).unwrap_or(1);
    let scores = scores(make, node, x, targets)?;
    Post::attribute(node)?.apply(make, &scores, y);
    Ok(Outcome::Replaced)
}

/// `LinearClassifier`: labels and scores. One score for two classes is that of the second one.
pub(super) fn classifier(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let x = node.at(0).ok_or(incomplete("it has no input"))?;
    let post = Post::attribute(node)?;
    let labels = Labels::of(node);
    let coefficients = node.floats("coefficients").len();
    let targets = match (node.floats("intercepts").len(), make.shape(x)) {
        (0, Some(shape)) => coefficients / shape.last().copied().unwrap_or(1).max(1),
        (0, None) => return Ok(Outcome::Later),
        (n, _) => n,
    };
    let scores = scores(make, node, x, targets)?;
    if targets > 1 || labels.len() != 2 {
        if targets != labels.len() {
            return Err(incorrect(format!("it has {targets} scores for {} labels", labels.len())));
        }
        labels.export_greatest(make, &scores, node.out(0))?;
        if let Some(output) = node.out(1) {
            post.apply(make, &scores, output);
        }
        return Ok(Outcome::Replaced);
    }
    labels.export_sign(make, &scores, node.out(0))?;
    if let Some(output) = node.out(1) {
        let second = if post == Post::Logistic { make.op("second", "Sigmoid", &[&scores], Vec::new()) } else { scores };
        let one = make.scalar("one", 1.0)?;
        let first = make.op("first", "Sub", &[&one, &second], Vec::new());
        let both = make.concat("both", &[&first, &second], 1);
        make.export(&both, Some(output));
    }
    Ok(Outcome::Replaced)
}

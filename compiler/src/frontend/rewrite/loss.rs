//! Losses of classes: `NegativeLogLikelihoodLoss` and `SoftmaxCrossEntropyLoss`.
//!
//! Scores are [batch, classes, ..], labels [batch, ..]. A label marks one class; one that is no class, or that is ignored,
//! marks none and counts nothing.

use super::{
    builder::Builder,
    net::Rewritten,
    node::{self, Parts},
    rule::Outcome,
};
use crate::frontend::refusal::{incomplete, lacks};
use tract_onnx::pb::NodeProto;

pub(super) fn likelihood(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let Some(shape) = node.at(0).and_then(|x| make.shape(x)) else { return Ok(Outcome::Later) };
    let last = classes_last(make, node, shape.len())?;
    loss(make, node, &last, &shape)
}

pub(super) fn cross_entropy(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let Some(shape) = node.at(0).and_then(|x| make.shape(x)) else { return Ok(Outcome::Later) };
    let last = classes_last(make, node, shape.len())?;
    let logarithms = make.op("log_prob", "LogSoftmax", &[&last], vec![node::int("axis", -1)]);
    if let Some(output) = node.out(1) {
        let rank = shape.len() as i64;
        let order: Vec<i64> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
        make.last("Transpose", &[&logarithms], output, vec![node::ints("perm", &order)]);
    }
    loss(make, node, &logarithms, &shape)
}

/// Scores with the classes as the last axis.
fn classes_last(make: &mut Builder<'_, '_>, node: &NodeProto, rank: usize) -> Rewritten<String> {
    let x = node.at(0).filter(|_| rank >= 2).ok_or(incomplete("its scores lack an axis of classes"))?;
    let order: Vec<i64> = [0].into_iter().chain(2..rank as i64).chain([1]).collect();
    Ok(make.transpose("classes_last", x, &order))
}

fn loss(make: &mut Builder<'_, '_>, node: &NodeProto, scores: &str, shape: &[usize]) -> Rewritten<Outcome> {
    let (labels, y) = node.at(1).zip(node.out(0)).ok_or_else(|| lacks("labels or an output"))?;
    let classes = shape[1];
    let ignored = node.attribute("ignore_index").map(|a| a.i);
    let mut marks = make.one_hot("marks", labels, classes)?;
    if let Some(class) = ignored.and_then(|i| usize::try_from(i).ok()).filter(|&i| i < classes) {
        let counted: Vec<f32> = (0..classes).map(|c| f32::from(u8::from(c != class))).collect();
        let counted = make.floats("counted", &counted, &[classes])?;
        marks = make.mul("counting_marks", &marks, &counted);
    }
    if let Some(weights) = node.at(2) {
        marks = make.mul("weighted_marks", &marks, weights);
    }
    let likelihoods = make.mul("likelihoods", scores, &marks);
    let likelihoods = make.total("likelihood", &likelihoods)?;
    let each = make.op("each", "Neg", &[&likelihoods], Vec::new());
    let reduction = node.text("reduction");
    if reduction == "none" {
        make.export(&each, Some(y));
        return Ok(Outcome::Replaced);
    }
    let axes: Vec<i64> = (0..shape.len() as i64 - 1).collect();
    let all = |make: &mut Builder<'_, '_>, part: &str, x: &str| {
        let kept = make.reduce(&format!("{part}_kept"), "ReduceSum", x, &axes)?;
        make.squeeze(part, &kept, &axes)
    };
    let sum = all(make, "sum", &each)?;
    let value = match (reduction == "sum", node.at(2).is_none() && ignored.is_none()) {
        (true, _) => sum,
        (false, true) => {
            let count: usize = shape.iter().product::<usize>() / classes.max(1);
            make.scale("mean", &sum, 1.0 / count as f32)?
        }
        (false, false) => {
            let counts = make.total("counts", &marks)?;
            let mut count = all(make, "count", &counts)?;
            if node.at(2).is_none() {
                let least = make.scalar("least_count", 1e-6)?;
                count = make.op("some_count", "Max", &[&count, &least], Vec::new());
            }
            make.op("mean", "Div", &[&sum, &count], Vec::new())
        }
    };
    make.export(&value, Some(y));
    Ok(Outcome::Replaced)
}

//! Decision trees: bits of all tests, leaves that all their tests lead to, and what those leaves add up to.

use super::{
    classes::Labels,
    forest::{Compare, Forest},
    model::{Post, ends},
};
use crate::frontend::refusal::{incomplete, incorrect, refuse};
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// Most weights of all leaves.
const MAX_WEIGHTS: usize = 1 << 24;

/// How the trees of a model add up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Average,
}

/// `TreeEnsembleRegressor`.
pub(super) fn regressor(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let forest = Forest::of_nodes(node, "target")?;
    let aggregate = match &node.text("aggregate_function")[..] {
        "" | "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        other => {
            return Err(refuse(
                format!("aggregate_function {other} is not supported"),
                "train the model with SUM or AVERAGE",
            ));
        }
    };
    let targets = usize::try_from(node.int("n_targets", 1)).unwrap_or(1);
    let scores = scores(make, x, &forest, targets, aggregate, node.floats("base_values"))?;
    Post::attribute(node)?.apply(make, &scores, y);
    Ok(Outcome::Replaced)
}

/// `TreeEnsemble` of version 5.
pub(super) fn ensemble(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let tensor = |name: &str| match node.tensor(name) {
        Some(proto) => make.net.load(proto),
        None => Err(incomplete(format!("it has no {name}"))),
    };
    let forest =
        Forest::of_ensemble(node, &tensor("nodes_splits")?, &tensor("nodes_modes")?, &tensor("leaf_weights")?)?;
    let aggregate = match node.int("aggregate_function", 1) {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        _ => return Err(refuse("the least or greatest of trees is not supported", "train the model with sums")),
    };
    let post = match node.int("post_transform", 0) {
        0 => Post::Nothing,
        1 => Post::Softmax,
        2 => Post::Logistic,
        _ => return Err(refuse("its post_transform is not supported", "export the raw scores")),
    };
    let targets = usize::try_from(node.int("n_targets", 1)).unwrap_or(1);
    let scores = scores(make, x, &forest, targets, aggregate, &[])?;
    post.apply(make, &scores, y);
    Ok(Outcome::Replaced)
}

/// `TreeEnsembleClassifier`: labels and scores, as onnxruntime reads two classes. When one of them has all weights, the
/// second class wins above 0, or above 1/2 where no weight is negative; where both have weights, when its score is
/// positive.
pub(super) fn classifier(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let x = node.at(0).ok_or(incomplete("it has no input"))?;
    let post = Post::attribute(node)?;
    let labels = Labels::of(node);
    let ids = node.ints("class_ids");
    let first = ids.first().copied().unwrap_or(0);
    let single = labels.len() == 2 && ids.iter().all(|&id| id == first);
    let mut forest = Forest::of_nodes(node, "class")?;
    if single {
        forest.leaves.iter_mut().flat_map(|l| &mut l.weights).for_each(|(score, _)| *score = 0);
    }
    let targets = if single { 1 } else { labels.len() };
    let base = node.floats("base_values");
    if labels.len() == 2 && !base.is_empty() && (base.len() > 1 || first != 0 || !single) {
        return Err(refuse("ONNX does not say what base values of two classes mean", "export the model without them"));
    }
    let scores = scores(make, x, &forest, targets, Aggregate::Sum, base)?;
    if labels.len() != 2 {
        labels.export_greatest(make, &scores, node.out(0))?;
        if let Some(output) = node.out(1) {
            post.apply(make, &scores, output);
        }
        return Ok(Outcome::Replaced);
    }
    let positive = node.floats("class_weights").iter().all(|&w| w >= 0.0);
    let second = if single { scores.clone() } else { make.slice("second", &scores, 1, 1, 2)? };
    let limit = make.scalar("limit", if single && positive { 0.5 } else { 0.0 })?;
    let above = make.op("above", "Sub", &[&second, &limit], Vec::new());
    labels.export_sign(make, &above, node.out(0))?;
    let Some(output) = node.out(1) else { return Ok(Outcome::Replaced) };
    if !single {
        post.apply(make, &scores, output);
        return Ok(Outcome::Replaced);
    }
    let other = match (first, positive && post != Post::Logistic) {
        (0, true) => {
            let one = make.scalar("one", 1.0)?;
            make.op("other", "Sub", &[&one, &scores], Vec::new())
        }
        (0, false) => make.op("other", "Neg", &[&scores], Vec::new()),
        _ => make.op("other", "Sub", &[&scores, &scores], Vec::new()),
    };
    let both = make.concat("both", &[&other, &scores], 1);
    // Of one score only the logistic function is taken.
    let post = if first == 0 && post == Post::Softmax { Post::Nothing } else { post };
    post.apply(make, &both, output);
    Ok(Outcome::Replaced)
}

/// The scores [rows, targets] of features [rows, features].
fn scores(
    make: &mut Builder<'_, '_>,
    x: &str,
    forest: &Forest,
    targets: usize,
    aggregate: Aggregate,
    base: &[f32],
) -> Rewritten<String> {
    let leaves = forest.leaves.len();
    if leaves.checked_mul(targets).is_none_or(|n| n > MAX_WEIGHTS || n == 0) {
        return Err(refuse(
            format!("its {leaves} leaves with {targets} scores each are too many or none"),
            "train a smaller model",
        ));
    }
    let mut weights = vec![0f32; leaves * targets];
    let divisor = if aggregate == Aggregate::Average { forest.trees as f32 } else { 1.0 };
    for (row, leaf) in weights.chunks_exact_mut(targets).zip(&forest.leaves) {
        for &(score, weight) in &leaf.weights {
            *row.get_mut(score).ok_or(incorrect("a leaf adds to a score that there is not"))? += weight / divisor;
        }
    }
    let reached = reached(make, x, forest)?;
    let weights = tensor1(&weights).into_shape(&[leaves, targets])?;
    let weights = make.constant("leaf_values", &weights)?;
    let sums = make.matmul("sums", &reached, &weights);
    match base {
        [] => Ok(sums),
        base => {
            let base = make.constant("base", &tensor1(base))?;
            Ok(make.add("scores", &sums, &base))
        }
    }
}

/// 1 for each leaf [rows, leaves] that is reached, else 0: of the bits on the way to a leaf none is missing.
fn reached(make: &mut Builder<'_, '_>, x: &str, forest: &Forest) -> Rewritten<String> {
    let x = make.as_float("float", x);
    let mut order: Vec<usize> = (0..forest.tests.len()).collect();
    order.sort_by_key(|&t| (forest.tests[t].compare, forest.tests[t].feature));
    let mut bits = Vec::new();
    for compare in [Compare::Greater, Compare::Less, Compare::Equal] {
        let tests: Vec<_> = order.iter().map(|&t| forest.tests[t]).filter(|t| t.compare == compare).collect();
        if tests.is_empty() {
            continue;
        }
        let features = make.list("features", &tests.iter().map(|t| t.feature).collect::<Vec<_>>())?;
        let thresholds = tensor1(&tests.iter().map(|t| t.threshold).collect::<Vec<_>>());
        let thresholds = make.constant("thresholds", &thresholds)?;
        let values = make.gather("values", &x, &features, 1);
        let outcomes = make.op("outcomes", compare.op(), &[&values, &thresholds], Vec::new());
        bits.push(make.as_float("bits", &outcomes));
    }
    // Columns: every outcome, its opposite, and a 1 for ways that are shorter than the longest.
    let mut place = vec![0i64; order.len()];
    order.iter().enumerate().for_each(|(column, &test)| place[test] = column as i64);
    let count = order.len() as i64;
    let one = make.scalar("one", 1.0)?;
    let first = make.slice("first", &x, 1, 0, 1)?;
    let none = make.scalar("none", 0.0)?;
    let zeros = make.mul("zeros", &first, &none);
    let ones = make.add("ones", &zeros, &one);
    let mut columns: Vec<String> = bits.clone();
    for bit in &bits {
        columns.push(make.op("opposite", "Sub", &[&one, bit], Vec::new()));
    }
    columns.push(ones);
    let columns = make.concat("columns", &columns.iter().map(String::as_str).collect::<Vec<_>>(), 1);
    let depth = forest.leaves.iter().map(|l| l.way.len()).max().unwrap_or(0).max(1);
    let column = |&(test, outcome): &(usize, bool)| if outcome { place[test] } else { count + place[test] };
    let ways = forest.leaves.iter().flat_map(|l| {
        l.way.iter().map(column).chain(std::iter::repeat_n(2 * count, depth - l.way.len())).collect::<Vec<_>>()
    });
    let ways = tensor1(&ways.collect::<Vec<i64>>()).into_shape(&[forest.leaves.len(), depth])?;
    let ways = make.constant("ways", &ways)?;
    let steps = make.gather("steps", &columns, &ways, 1);
    let sums = make.reduce("met", "ReduceSum", &steps, &[2])?;
    let sums = make.squeeze("met_flat", &sums, &[2])?;
    let missing = make.scalar("all_but_one", depth as f32 - 1.0)?;
    let excess = make.op("excess", "Sub", &[&sums, &missing], Vec::new());
    Ok(make.op("reached", "Relu", &[&excess], vec![]))
}

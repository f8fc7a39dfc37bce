//! Support vector machines.

use super::{
    classes::Labels,
    coupling::coupled,
    model::{Post, ends, turned},
};
use crate::frontend::refusal::{incomplete, incorrect, refuse};
use crate::frontend::rewrite::{builder::Builder, net::Rewritten, node::Parts, rule::Outcome};
use tract_onnx::{pb::NodeProto, tract_hir::internal::*};

/// Most support vectors and coefficients.
const MAX_COEFFICIENTS: usize = 1 << 24;

/// The kernel of x with every support vector: [rows, vectors].
fn kernel(make: &mut Builder<'_, '_>, node: &NodeProto, x: &str, vectors: usize) -> Rewritten<String> {
    let support = node.floats("support_vectors");
    if vectors == 0 || support.is_empty() || !support.len().is_multiple_of(vectors) {
        return Err(incorrect("its support vectors do not fit their number"));
    }
    let features = support.len() / vectors;
    let table = make.constant("support_vectors", &turned(support, features)?)?;
    let products = make.matmul("products", x, &table);
    let parameter = |place: usize| node.floats("kernel_params").get(place).copied().unwrap_or(0.0);
    let (gamma, shift, degree) = (parameter(0), parameter(1), parameter(2));
    let affine = |make: &mut Builder<'_, '_>| {
        let scaled = make.scale("scaled", &products, gamma)?;
        let shift = make.scalar("shift", shift)?;
        Rewritten::Ok(make.add("shifted", &scaled, &shift))
    };
    match &node.text("kernel_type")[..] {
        "" | "LINEAR" => Ok(products),
        "POLY" => {
            let inner = affine(make)?;
            let degree = make.scalar("degree", degree)?;
            Ok(make.op("power", "Pow", &[&inner, &degree], Vec::new()))
        }
        "SIGMOID" => {
            let inner = affine(make)?;
            Ok(make.op("bent", "Tanh", &[&inner], Vec::new()))
        }
        "RBF" => {
            // exp(-gamma |x - v|^2), with |x - v|^2 = |x|^2 - 2 x v + |v|^2.
            let squares = make.mul("squares", x, x);
            let lengths = make.reduce("lengths", "ReduceSum", &squares, &[1])?;
            let own: Vec<f32> = support.chunks_exact(features).map(|v| v.iter().map(|a| a * a).sum()).collect();
            let own = make.constant("own_lengths", &tensor1(&own))?;
            let twice = make.scale("twice", &products, -2.0)?;
            let sum = make.add("sum", &lengths, &twice);
            let distances = make.add("distances", &sum, &own);
            let scaled = make.scale("scaled", &distances, -gamma)?;
            Ok(make.op("kernel", "Exp", &[&scaled], Vec::new()))
        }
        other => Err(incorrect(format!("its kernel {other} is not known"))),
    }
}

/// `SVMRegressor`; one class gives 1 inside and -1 outside.
pub(super) fn regressor(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (x, y) = ends(node)?;
    let coefficients = node.floats("coefficients");
    let vectors = usize::try_from(node.int("n_supports", 0)).unwrap_or(0);
    let x = make.as_float("float", x);
    let values = if vectors > 0 { kernel(make, node, &x, vectors)? } else { x };
    let weights = make.constant("coefficients", &turned(coefficients, coefficients.len())?)?;
    let sums = make.matmul("sums", &values, &weights);
    let shift = make.constant("rho", &tensor1(&node.floats("rho")[..node.floats("rho").len().min(1)]))?;
    let scores = make.add("scores", &sums, &shift);
    if node.int("one_class", 0) != 0 {
        let (zero, inside, outside) =
            (make.scalar("zero", 0.0)?, make.scalar("inside", 1.0)?, make.scalar("outside", -1.0)?);
        let positive = make.op("positive", "Greater", &[&scores, &zero], Vec::new());
        make.last("Where", &[&positive, &inside, &outside], y, Vec::new());
    } else {
        Post::attribute(node)?.apply(make, &scores, y);
    }
    Ok(Outcome::Replaced)
}

/// `SVMClassifier`: labels and scores, one score for each pair of classes, or one for each class of a linear model.
pub(super) fn classifier(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let x = node.at(0).ok_or(incomplete("it has no input"))?;
    let labels = Labels::of(node);
    let classes = labels.len();
    let counts: Vec<usize> = node.ints("vectors_per_class").iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    let x = make.as_float("float", x);
    match counts.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)) {
        Some(0) => linear(make, node, &x, &labels)?,
        Some(vectors) if counts.len() == classes && vectors * classes <= MAX_COEFFICIENTS => {
            pairs(make, node, &x, &labels, &counts)?;
        }
        _ => return Err(incorrect(format!("it has {} counts of vectors for {classes} classes", counts.len()))),
    }
    Ok(Outcome::Replaced)
}

fn linear(make: &mut Builder<'_, '_>, node: &NodeProto, x: &str, labels: &Labels) -> Rewritten<()> {
    if labels.len() == 2 {
        return Err(refuse(
            "ONNX does not say how two classes without support vectors are labelled",
            "export a LinearClassifier",
        ));
    }
    let coefficients = node.floats("coefficients");
    let weights = turned(coefficients, coefficients.len() / labels.len().max(1))?;
    let weights = make.constant("coefficients", &weights)?;
    let products = make.matmul("products", x, &weights);
    let shift = make.constant("rho", &tensor1(&node.floats("rho")[..node.floats("rho").len().min(1)]))?;
    let scores = make.add("scores", &products, &shift);
    labels.export_greatest(make, &scores, node.out(0))?;
    if let Some(output) = node.out(1) {
        Post::attribute(node)?.apply(make, &scores, output);
    }
    Ok(())
}

/// Every pair of classes has a score; the label is the class that wins most of its pairs.
fn pairs(make: &mut Builder<'_, '_>, node: &NodeProto, x: &str, labels: &Labels, counts: &[usize]) -> Rewritten<()> {
    let classes = counts.len();
    let vectors: usize = counts.iter().sum();
    let coefficients = node.floats("coefficients");
    let pairs: Vec<(usize, usize)> = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j))).collect();
    let rho = node.floats("rho");
    if coefficients.len() != vectors * (classes - 1) || rho.len() != pairs.len() || pairs.is_empty() {
        return Err(incorrect("its coefficients do not fit its vectors and classes"));
    }
    let starts: Vec<usize> = (0..classes).map(|c| counts[..c].iter().sum()).collect();
    let mut weights = vec![0f32; vectors * pairs.len()];
    for (column, &(i, j)) in pairs.iter().enumerate() {
        for (class, row) in [(i, j - 1), (j, i)] {
            for v in starts[class]..starts[class] + counts[class] {
                weights[v * pairs.len() + column] = coefficients[row * vectors + v];
            }
        }
    }
    let values = kernel(make, node, x, vectors)?;
    let weights = tensor1(&weights).into_shape(&[vectors, pairs.len()])?;
    let weights = make.constant("coefficients", &weights)?;
    let sums = make.matmul("sums", &values, &weights);
    let shift = make.constant("rho", &tensor1(rho))?;
    let scores = make.add("scores", &sums, &shift);
    if node.out(0).is_some() {
        let votes = votes(make, &scores, classes, &pairs)?;
        labels.export_greatest(make, &votes, node.out(0))?;
    }
    let Some(output) = node.out(1) else { return Ok(()) };
    let post = Post::attribute(node)?;
    match (node.floats("prob_a"), node.floats("prob_b")) {
        ([], _) if classes == 2 => {
            let first = make.op("first", "Neg", &[&scores], Vec::new());
            let both = make.concat("both", &[&first, &scores], 1);
            post.apply(make, &both, output);
        }
        ([], _) => post.apply(make, &scores, output),
        (&[a], &[b]) => {
            // The probability of the first class is 1 / (1 + exp(a s + b)).
            let scaled = make.scale("calibrated", &scores, -a)?;
            let shift = make.scalar("calibration", -b)?;
            let inner = make.add("logit", &scaled, &shift);
            let first = make.op("first", "Sigmoid", &[&inner], Vec::new());
            let one = make.scalar("one", 1.0)?;
            let second = make.op("second", "Sub", &[&one, &first], Vec::new());
            let both = make.concat("both", &[&first, &second], 1);
            post.apply(make, &both, output);
        }
        (a, b) if a.len() == pairs.len() && b.len() == pairs.len() => {
            let probabilities = coupled(make, &scores, classes, &pairs, [a, b])?;
            post.apply(make, &probabilities, output);
        }
        (a, b) => {
            let (a, b) = (a.len(), b.len());
            return Err(incorrect(format!("it has {a} and {b} calibrations for {} pairs", pairs.len())));
        }
    }
    Ok(())
}

/// How many pairs each class wins: [rows, classes].
fn votes(make: &mut Builder<'_, '_>, scores: &str, classes: usize, pairs: &[(usize, usize)]) -> Rewritten<String> {
    let zero = make.scalar("zero", 0.0)?;
    let won = make.op("won", "Greater", &[scores, &zero], Vec::new());
    let won = make.as_float("won_float", &won);
    let mut gain = vec![0f32; pairs.len() * classes];
    let mut start = vec![0f32; classes];
    for (row, &(i, j)) in pairs.iter().enumerate() {
        gain[row * classes + i] += 1.0;
        gain[row * classes + j] -= 1.0;
        start[j] += 1.0;
    }
    let gain = tensor1(&gain).into_shape(&[pairs.len(), classes])?;
    let (gain, start) = (make.constant("gain", &gain)?, make.constant("start", &tensor1(&start))?);
    let moved = make.matmul("moved", &won, &gain);
    Ok(make.add("votes", &moved, &start))
}

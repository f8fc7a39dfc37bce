//! The greatest and least along an axis, by their order.

use super::{
    builder::Builder,
    control,
    net::Rewritten,
    node::{self, Parts},
    refuse::depends,
    rule::Outcome,
    scatter::MAX_MARKS,
};
use crate::frontend::refusal::{Refusal, incorrect, lacks, refuse};
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

/// The value of which `x` is a rising function along an axis: it has the same order, and small differences in it are not
/// lost to the rounding of the function.
fn rising(make: &Builder<'_, '_>, x: &str, axis: usize, rank: usize) -> String {
    let mut value = x;
    while let Some(node) = make.net.producer(value) {
        let Some(input) = node.at(0) else { break };
        let at = |given: i64| node::place(given, rank);
        let rises = match &node.op_type[..] {
            "Identity" | "Sigmoid" | "Tanh" => true,
            "Cast" => node.int("to", 0) == DataType::Float as i64 && make.net.producer(input).is_some_and(is_float),
            "Softmax" | "LogSoftmax" if make.net.opset < 13 => {
                at(node.int("axis", 1)).is_some_and(|first| first <= axis)
            }
            "Softmax" | "LogSoftmax" => at(node.int("axis", -1)) == Some(axis),
            _ => false,
        };
        if !rises {
            break;
        }
        value = input;
    }
    value.to_owned()
}

/// Whether what the node makes is no integer for sure.
fn is_float(node: &NodeProto) -> bool {
    match &node.op_type[..] {
        "Cast" => node.int("to", 0) == DataType::Float as i64,
        op => matches!(op, "Softmax" | "LogSoftmax" | "Sigmoid" | "Tanh" | "MatMul" | "Gemm"),
    }
}

/// `ArgMax` and `ArgMin` of a rising function: those of its argument.
pub(super) fn arg(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let x = node.at(0).ok_or_else(|| lacks("an input"))?;
    let Some(rank) = make.rank(x) else { return Ok(Outcome::Kept) };
    let axis = node::place(node.int("axis", 0), rank).unwrap_or(rank);
    let by = rising(make, x, axis, rank);
    if by == x {
        return Ok(Outcome::Kept);
    }
    make.nodes.push(NodeProto { input: vec![by], name: node.label().to_owned(), ..node.clone() });
    Ok(Outcome::Replaced)
}

/// `TopK`: an element's place is the number of those before it, one comparison for each pair.
pub(super) fn top_k(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let x = node.at(0).ok_or_else(|| lacks("an input"))?;
    let Some(shape) = make.shape(x) else { return Ok(Outcome::Later) };
    let rank = shape.len();
    let axis = node::place(node.int("axis", -1), rank).ok_or(incorrect("its axis lies outside"))?;
    let k = match node.at(1) {
        Some(k) => {
            let known = control::all(make.net, make.facts, k)?.and_then(|count| count.first().copied());
            match known {
                Some(count) => count,
                None if make.facts.is_none() || make.net.is_fixed(k) => return Ok(Outcome::Later),
                None => return Err(depends("how many it takes", make.net, node, 1)),
            }
        }
        None => node.int("k", 0),
    };
    let n = shape[axis];
    let k = usize::try_from(k).ok().filter(|&k| k >= 1 && k <= n);
    let k = k.ok_or_else(|| incorrect(format!("it takes none, or more than the {n} there are")))?;
    let lines: usize = shape.iter().product::<usize>() / n;
    if lines.saturating_mul(n).saturating_mul(n) > MAX_MARKS {
        return Err(refuse(format!("it orders {n} elements by comparing all pairs"), "take them from fewer"));
    }
    let order: Vec<i64> = (0..rank).filter(|&a| a != axis).chain([axis]).map(|a| a as i64).collect();
    let lines_of = |make: &mut Builder<'_, '_>, part: &str, x: &str| {
        let turned = make.transpose(&format!("{part}_turned"), x, &order);
        make.reshape(part, &turned, &[lines as i64, n as i64])
    };
    let by = rising(make, x, axis, rank);
    let scores = lines_of(make, "scores", &by)?;
    let signed = match node.int("largest", 1) {
        0 => make.op("negated", "Neg", &[&scores], Vec::new()),
        _ => scores,
    };
    let pairs: Vec<(usize, usize)> = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).collect();
    let marks = match pairs.is_empty() {
        true => make.floats("marks", &vec![1.0; lines], &[lines, 1, 1])?,
        false => {
            let left = make.list("left", &pairs.iter().map(|p| p.0 as i64).collect::<Vec<_>>())?;
            let right = make.list("right", &pairs.iter().map(|p| p.1 as i64).collect::<Vec<_>>())?;
            let (left, right) = (make.gather("lefts", &signed, &left, 1), make.gather("rights", &signed, &right, 1));
            let first = make.op("first", "GreaterOrEqual", &[&left, &right], Vec::new());
            let first = make.as_float("first_float", &first);
            let mut counts = vec![0f32; pairs.len() * n];
            for (p, &(a, b)) in pairs.iter().enumerate() {
                counts[p * n + a] = -1.0;
                counts[p * n + b] = 1.0;
            }
            let counts = make.floats("counts", &counts, &[pairs.len(), n])?;
            let ahead = make.matmul("ahead", &first, &counts);
            let all: Vec<f32> = (0..n).map(|a| (n - 1 - a) as f32).collect();
            let all = make.floats("all", &all, &[n])?;
            let places = make.add("places", &ahead, &all);
            let marks = make.one_hot("marks", &places, n)?;
            let kept = make.slice("marks_kept", &marks, 2, 0, k as i64)?;
            make.transpose("marks_turned", &kept, &[0, 2, 1])
        }
    };
    let mut dims: Vec<i64> = order.iter().map(|&a| shape[a as usize] as i64).collect();
    dims[rank - 1] = k as i64;
    let give = |make: &mut Builder<'_, '_>, part: &str, column: &str, output: &str| {
        let taken = make.matmul(part, &marks, column);
        let taken = make.reshape(&format!("{part}_shaped"), &taken, &dims)?;
        let taken = make.transpose_back(&format!("{part}_turned"), &taken, &order);
        let like = make.op(&format!("{part}_type"), "Identity", &[&taken], Vec::new());
        match part {
            "indices" => make.last("Cast", &[&like], output, vec![node::int("to", 7)]),
            _ => make.last("CastLike", &[&like, x], output, Vec::new()),
        }
        Ok::<_, Refusal>(())
    };
    if let Some(values) = node.out(0) {
        let rows = lines_of(make, "rows", x)?;
        let rows = make.as_float("rows_float", &rows);
        let column = make.unsqueeze("column", &rows, &[-1])?;
        give(make, "values", &column, values)?;
    }
    if let Some(indices) = node.out(1) {
        let numbers: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let numbers = make.floats("numbers", &numbers, &[n, 1])?;
        give(make, "indices", &numbers, indices)?;
    }
    Ok(Outcome::Replaced)
}

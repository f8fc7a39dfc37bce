//! Steps of training: `Adagrad`, `Adam` and `Momentum`. The inputs are the rate, the count of steps so far, then each kind of
//! tensor for all of them.

use super::{
    builder::Builder,
    net::Rewritten,
    node::Parts,
    rule::{Outcome, Rule},
};
use crate::frontend::refusal::{Refusal, lacks};
use tract_onnx::pb::NodeProto;

/// The rule for an operator of the training domain.
pub(super) fn rule(op: &str) -> Option<Rule> {
    Some(match op {
        "Adagrad" => adagrad,
        "Adam" => adam,
        "Momentum" => momentum,
        _ => return None,
    })
}

/// One tensor with all that belongs to it.
struct Slot<'n> {
    inputs: Vec<&'n str>,
    outputs: Vec<Option<&'n str>>,
    at: usize,
}

/// The rate, the count as a float, and the tensors with `kinds` inputs each.
fn slots<'n>(
    make: &mut Builder<'_, '_>,
    node: &'n NodeProto,
    kinds: usize,
) -> Rewritten<(&'n str, String, Vec<Slot<'n>>)> {
    let (rate, count) = node.at(0).zip(node.at(1)).ok_or_else(|| lacks("a rate or a count"))?;
    let n = (node.input.len() - 2) / kinds;
    let slot = |at: usize| {
        let inputs: Option<Vec<&str>> = (0..kinds).map(|kind| node.at(2 + kind * n + at)).collect();
        let outputs = (0..kinds - 1).map(|kind| node.out(kind * n + at)).collect();
        Some(Slot { inputs: inputs?, outputs, at })
    };
    let slots: Option<Vec<Slot<'_>>> = (0..n).map(slot).collect();
    let count = make.as_float("count", count);
    Ok((rate, count, slots.ok_or_else(|| lacks("an input"))?))
}

/// The gradient and a pull of the tensor towards 0.
fn gradient(make: &mut Builder<'_, '_>, node: &NodeProto, slot: &Slot<'_>) -> Rewritten<String> {
    let pull = make.scale(&format!("pull{}", slot.at), slot.inputs[0], node.float("norm_coefficient", 0.0))?;
    Ok(make.add(&format!("gradient{}", slot.at), &pull, slot.inputs[1]))
}

/// `a x + b y`.
fn mix(make: &mut Builder<'_, '_>, part: &str, (x, a): (&str, f32), (y, b): (&str, f32)) -> Rewritten<String> {
    let (x, y) = (make.scale(&format!("{part}_old"), x, a)?, make.scale(&format!("{part}_new"), y, b)?);
    Ok(make.add(part, &x, &y))
}

fn minus(make: &mut Builder<'_, '_>, part: &str, x: &str, y: &str) -> String {
    make.op(part, "Sub", &[x, y], Vec::new())
}

/// The first where there were steps before, else the second.
fn later(make: &mut Builder<'_, '_>, part: &str, count: &str, yes: &str, no: &str) -> Rewritten<String> {
    let zero = make.scalar(&format!("{part}_zero"), 0.0)?;
    let some = make.op(&format!("{part}_some"), "Greater", &[count, &zero], Vec::new());
    Ok(make.op(part, "Where", &[&some, yes, no], Vec::new()))
}

/// `x / (sqrt(squares) + epsilon)`.
fn by_root(make: &mut Builder<'_, '_>, node: &NodeProto, at: usize, x: &str, squares: &str) -> Rewritten<String> {
    let root = make.op(&format!("root{at}"), "Sqrt", &[squares], Vec::new());
    let epsilon = make.scalar(&format!("epsilon{at}"), node.float("epsilon", 1e-6))?;
    let size = make.add(&format!("size{at}"), &root, &epsilon);
    Ok(make.op(&format!("direction{at}"), "Div", &[x, &size], Vec::new()))
}

fn adagrad(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (rate, count, slots) = slots(make, node, 3)?;
    let decay = make.scale("decay", &count, node.float("decay_factor", 0.0))?;
    let one = make.scalar("one", 1.0)?;
    let slower = make.add("slower", &decay, &one);
    let rate = make.op("rate", "Div", &[rate, &slower], Vec::new());
    for slot in slots {
        let i = slot.at;
        let gradient = gradient(make, node, &slot)?;
        let square = make.mul(&format!("square{i}"), &gradient, &gradient);
        let squares = make.add(&format!("squares{i}"), slot.inputs[2], &square);
        let direction = by_root(make, node, i, &gradient, &squares)?;
        let step = make.mul(&format!("step{i}"), &rate, &direction);
        let new = minus(make, &format!("new{i}"), slot.inputs[0], &step);
        make.export(&new, slot.outputs[0]);
        make.export(&squares, slot.outputs[1]);
    }
    Ok(Outcome::Replaced)
}

fn momentum(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (rate, count, slots) = slots(make, node, 3)?;
    let alpha = node.float("alpha", 0.0);
    let (beta, one) = (make.scalar("beta", node.float("beta", 0.0))?, make.scalar("one", 1.0)?);
    let beta = later(make, "share", &count, &beta, &one)?;
    for slot in slots {
        let i = slot.at;
        let gradient = gradient(make, node, &slot)?;
        let part = make.mul(&format!("part{i}"), &beta, &gradient);
        let speed = mix(make, &format!("speed{i}"), (slot.inputs[2], alpha), (&part, 1.0))?;
        let direction = match node.text("mode") == "nesterov" {
            true => mix(make, &format!("direction{i}"), (&speed, alpha), (&gradient, 1.0))?,
            false => speed.clone(),
        };
        let step = make.mul(&format!("step{i}"), rate, &direction);
        let new = minus(make, &format!("new{i}"), slot.inputs[0], &step);
        make.export(&new, slot.outputs[0]);
        make.export(&speed, slot.outputs[1]);
    }
    Ok(Outcome::Replaced)
}

fn adam(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let (rate, count, slots) = slots(make, node, 4)?;
    let (alpha, beta) = (node.float("alpha", 0.9), node.float("beta", 0.999));
    let one = make.scalar("one", 1.0)?;
    let some = make.op("some", "Max", &[&count, &one], Vec::new());
    // 1 - b^t
    let gap = |make: &mut Builder<'_, '_>, part: &str, base: f32| {
        let exponent = make.scale(&format!("{part}_exponent"), &some, base.ln())?;
        let power = make.op(&format!("{part}_power"), "Exp", &[&exponent], Vec::new());
        Ok::<_, Refusal>(minus(make, part, &one, &power))
    };
    let (first, second) = (gap(make, "first", alpha)?, gap(make, "second", beta)?);
    let root = make.op("second_root", "Sqrt", &[&second], Vec::new());
    let factor = make.op("factor", "Div", &[&root, &first], Vec::new());
    let adjusted = make.mul("adjusted", rate, &factor);
    let rate = later(make, "rate", &count, &adjusted, rate)?;
    for slot in slots {
        let i = slot.at;
        let gradient = gradient(make, node, &slot)?;
        let square = make.mul(&format!("square{i}"), &gradient, &gradient);
        let mean = mix(make, &format!("mean{i}"), (slot.inputs[2], alpha), (&gradient, 1.0 - alpha))?;
        let squares = mix(make, &format!("squares{i}"), (slot.inputs[3], beta), (&square, 1.0 - beta))?;
        let direction = by_root(make, node, i, &mean, &squares)?;
        let step = make.mul(&format!("step{i}"), &rate, &direction);
        let new = minus(make, &format!("new{i}"), slot.inputs[0], &step);
        let new = make.scale(&format!("pulled{i}"), &new, 1.0 - node.float("norm_coefficient_post", 0.0))?;
        make.export(&new, slot.outputs[0]);
        make.export(&mean, slot.outputs[1]);
        make.export(&squares, slot.outputs[2]);
    }
    Ok(Outcome::Replaced)
}

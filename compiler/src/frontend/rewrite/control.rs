//! Branches whose condition is known, and loops and scans of known length, replaced by their bodies; of branches that data
//! decides both, of which the condition chooses.

use super::{
    builder::Builder,
    facts::Facts,
    inline::{Control, Copy, stacked},
    net::{Net, Rewritten},
    node::{self, Parts},
    outputs::reads,
    refuse::{depends, is_for_the_user},
    rule::Outcome,
    scan, tensor,
};
use crate::frontend::refusal::{incomplete, missing, refuse};
use std::collections::HashSet;
use tract_onnx::{
    pb::{GraphProto, NodeProto},
    tract_hir::internal::*,
};

/// The one element of a value that is a constant or follows from constants and shapes.
pub(super) fn known(net: &Net<'_>, facts: &Facts, value: &str) -> Rewritten<Option<i64>> {
    Ok(all(net, Some(facts), value)?.and_then(|elements| elements.first().copied()))
}

/// The elements of such a value.
pub(super) fn all(net: &Net<'_>, facts: Option<&Facts>, value: &str) -> Rewritten<Option<Vec<i64>>> {
    let value = net.constant(value)?.or_else(|| facts?.value(value));
    Ok(value.as_ref().and_then(|value| tensor::integers(value).ok()))
}

/// The branch of an `If` that runs.
///
/// # Errors
/// When the node lacks what it must have.
pub(super) fn branch(net: &mut Net<'_>, facts: &Facts, node: &NodeProto) -> Rewritten<Control> {
    let condition = node.at(0).ok_or(incomplete("it has no condition"))?;
    let Some(condition) = known(net, facts, condition)? else { return Ok(Control::Unknown) };
    let branch = if condition != 0 { "then_branch" } else { "else_branch" };
    let (mut nodes, results) = inlined(net, node, branch, node.label().to_owned())?;
    for (outer, inner) in node.output.iter().zip(results).filter(|(outer, _)| !outer.is_empty()) {
        nodes.push(node::node(node.label(), "Identity", &[&inner], outer, Vec::new()));
    }
    Ok(Control::Body(nodes))
}

/// A branch of an `If`, and what its outputs are called.
fn inlined(
    net: &mut Net<'_>,
    node: &NodeProto,
    branch: &str,
    prefix: String,
) -> Rewritten<(Vec<NodeProto>, Vec<String>)> {
    let graph = node.graph(branch).ok_or_else(|| incomplete(format!("it has no {branch}")))?;
    let mut copy = Copy::new(prefix, []);
    copy.constants(net, &graph.initializer)?;
    let nodes = copy.nodes(net, &graph.node)?;
    Ok((nodes, graph.output.iter().map(|output| copy.name(&output.name)).collect()))
}

/// Computes both branches of each `If` whose condition is computed from data; says whether there were any. A condition that
/// is an input of one element is for the user to settle.
pub(super) fn both(net: &mut Net<'_>) -> Rewritten<bool> {
    let open = |node: &NodeProto| node.domain.is_empty() && node.op_type == "If" && node.input.len() == 1;
    let nodes = std::mem::take(&mut net.graph.node);
    net.graph.node.clone_from(&nodes);
    let (chosen, others): (Vec<_>, Vec<_>) =
        nodes.into_iter().partition(|node| open(node) && !is_for_the_user(net, node, 0));
    net.graph.node = others;
    for node in &chosen {
        let (ways, label) = (["then_branch", "else_branch"], node.label());
        let mut results = Vec::new();
        for way in ways {
            let (nodes, names) = inlined(net, node, way, format!("{label}/{}", way.trim_end_matches("_branch")))?;
            net.graph.node.extend(nodes);
            results.push(names);
        }
        for (i, output) in node.output.iter().enumerate().filter(|(_, output)| !output.is_empty()) {
            let (Some(a), Some(b)) = (results[0].get(i), results[1].get(i)) else {
                return Err(incomplete(format!("the branches of \"{label}\" lack outputs")));
            };
            let condition = node.at(0).ok_or(incomplete("it has no condition"))?;
            net.graph.node.push(node::node(label, "If", &[condition, a, b], output, Vec::new()));
        }
        net.notes.push(format!("both branches of \"{label}\" are computed, and its condition chooses between them"));
    }
    Ok(!chosen.is_empty())
}

/// The choice between the results of both branches.
pub(super) fn choose(make: &mut Builder<'_, '_>, node: &NodeProto) -> Rewritten<Outcome> {
    let parts = || Some((node.at(0)?, node.at(1)?, node.at(2)?, node.out(0)?));
    let (condition, a, b, y) = parts().ok_or_else(missing)?;
    let (Some(rank), Some(of_a), Some(of_b)) = (make.rank(condition), make.shape(a), make.shape(b)) else {
        return Ok(Outcome::Later);
    };
    if of_a != of_b {
        let what = format!("its branches give shapes {of_a:?} and {of_b:?}, and which runs");
        return Err(depends(&what, make.net, node, 0));
    }
    let axes: Vec<i64> = (0..rank as i64).collect();
    let condition = if rank == 0 { condition.to_owned() } else { make.squeeze("condition", condition, &axes)? };
    make.last("Where", &[&condition, a, b], y, Vec::new());
    Ok(Outcome::Replaced)
}

/// All iterations of a `Loop`, one behind the other; of one that stops on a condition that it computes the first, and a
/// loop of the others.
///
/// # Errors
/// When a loop that stops on such a condition counts or collects, or lacks what it must have.
pub(super) fn iterations(net: &mut Net<'_>, facts: &Facts, node: &NodeProto) -> Rewritten<Control> {
    let body = node.graph("body").ok_or(incomplete("it has no body"))?;
    let state = body.input.len().checked_sub(2).filter(|&s| s < body.output.len() && s + 2 == node.input.len());
    let state = state.ok_or(incomplete("its body does not fit its inputs"))?;
    let trips = match node.at(0) {
        Some(trips) => known(net, facts, trips)?,
        None => None,
    };
    let first = match node.at(1) {
        Some(condition) => known(net, facts, condition)?,
        None => Some(1),
    };
    let open = node.at(0).is_some() && trips.is_none();
    let Some(first) = first.filter(|_| !open) else { return Ok(Control::Unknown) };
    let ends = trips.is_some_and(|trips| trips <= 0) || first == 0;
    if !ends && !goes_on(net, facts, body) {
        return peeled(net, node, body, trips);
    }
    let Some(trips) = trips.or(ends.then_some(0)) else { return Ok(Control::Unknown) };
    let trips = if ends { 0 } else { trips };
    let mut copy = Copy::new(node.label().to_owned(), []);
    copy.constants(net, &body.initializer)?;
    let constants: Vec<(&str, String)> =
        body.initializer.iter().map(|t| (t.name.as_str(), copy.name(&t.name))).collect();
    let mut states: Vec<String> = node.input[2..].to_vec();
    let mut scans: Vec<Vec<String>> = vec![Vec::new(); body.output.len() - 1 - state];
    if trips == 0 && !scans.is_empty() {
        return Err(refuse("it does not run at all and collects values of no shape", "export the model without it"));
    }
    let mut nodes = Vec::new();
    for trip in 0..trips {
        let prefix = format!("{}/{trip}", node.label());
        let number = net.add_constant(format!("{prefix}/number"), &tensor0(trip))?;
        let goes = net.add_constant(format!("{prefix}/goes"), &tensor0(true))?;
        let inputs = [number, goes].into_iter().chain(states);
        let bound = body.input.iter().map(|v| v.name.as_str()).zip(inputs).chain(constants.iter().cloned());
        let mut copy = Copy::new(prefix, bound);
        nodes.extend(copy.nodes(net, &body.node)?);
        states = body.output[1..=state].iter().map(|v| copy.name(&v.name)).collect();
        for (values, scan) in scans.iter_mut().zip(&body.output[1 + state..]) {
            values.push(copy.name(&scan.name));
        }
    }
    let mut results = states.into_iter();
    for (i, output) in node.output.iter().enumerate() {
        let value = match i.checked_sub(state) {
            None => results.next().unwrap_or_default(),
            Some(scan) => stacked(net, node.label(), &mut nodes, scans.get(scan).map_or(&[], Vec::as_slice), 0)?,
        };
        if !output.is_empty() {
            nodes.push(node::node(node.label(), "Identity", &[&value], output, Vec::new()));
        }
    }
    Ok(Control::Body(nodes))
}

/// The first iteration of a `Loop`, and a loop of the others, whose condition it computes.
fn peeled(net: &mut Net<'_>, node: &NodeProto, body: &GraphProto, trips: Option<i64>) -> Rewritten<Control> {
    let state = node.input.len() - 2;
    let counts = body.input.first().is_some_and(|number| {
        let mut read = Vec::new();
        body.node.iter().for_each(|n| reads(n, &mut read));
        read.contains(&number.name.as_str())
    });
    if counts || body.output.len() != state + 1 {
        return Err(refuse(
            "it stops on a condition that its body computes, and a circuit has one length",
            "export the model with a fixed number of iterations",
        ));
    }
    // Each iteration is named by how many there were before it.
    let label = node.label();
    let (name, place) = label.rsplit_once('#').and_then(|(n, p)| Some((n, p.parse().ok()?))).unwrap_or((label, 0usize));
    let prefix = format!("{name}/{place}");
    let goes = net.add_constant(format!("{prefix}/goes"), &tensor0(true))?;
    let inputs = [String::new(), goes].into_iter().chain(node.input[2..].iter().cloned());
    let mut copy = Copy::new(prefix.clone(), body.input.iter().map(|v| v.name.as_str()).zip(inputs));
    copy.constants(net, &body.initializer)?;
    let mut nodes = copy.nodes(net, &body.node)?;
    let mut input: Vec<String> = vec![String::new()];
    if let Some(trips) = trips {
        input[0] = net.add_constant(format!("{prefix}/left"), &tensor0(trips - 1))?;
    }
    input.extend(body.output.iter().map(|v| copy.name(&v.name)));
    nodes.push(NodeProto { name: format!("{name}#{}", place + 1), input, ..node.clone() });
    Ok(Control::Body(nodes))
}

/// Whether the condition that a body returns is the one it was given, or always true.
fn goes_on(net: &Net<'_>, facts: &Facts, body: &GraphProto) -> bool {
    let (Some(given), Some(returned)) = (body.input.get(1), body.output.first()) else { return false };
    let mut name = returned.name.as_str();
    let mut seen = HashSet::new();
    while name != given.name && seen.insert(name) {
        let constant = body.initializer.iter().find(|t| t.name == name);
        if let Some(constant) = constant {
            return constant.raw_data.first().is_some_and(|&b| b != 0) || constant.int32_data.first() == Some(&1);
        }
        match body.node.iter().find(|n| n.output.first().is_some_and(|o| o == name)) {
            Some(n) if matches!(&n.op_type[..], "Identity" | "Cast") => name = n.at(0).unwrap_or_default(),
            Some(_) => return false,
            // A value from outside of the loop.
            None => return matches!(known(net, facts, name), Ok(Some(truth)) if truth != 0),
        }
    }
    name == given.name
}

/// Replaces what is known; says whether anything was.
pub(super) fn run(net: &mut Net<'_>, facts: &Facts) -> bool {
    let mut changed = false;
    for node in std::mem::take(&mut net.graph.node) {
        let body = match (&node.domain[..], &node.op_type[..]) {
            ("", "If") => branch(net, facts, &node),
            ("", "Loop") => iterations(net, facts, &node),
            ("", "Scan") => scan::steps(net, facts, &node),
            _ => Ok(Control::Unknown),
        };
        match body {
            Ok(Control::Unknown) => net.graph.node.push(node),
            Ok(Control::Body(nodes)) => {
                net.graph.node.extend(nodes);
                changed = true;
            }
            Err(refusal) => {
                net.refuse(&node, refusal);
                net.graph.node.push(node);
            }
        }
    }
    changed
}

//! Scans over an axis of known length, replaced by their steps.

use super::{
    builder::Builder,
    facts::Facts,
    inline::{Control, Copy, stacked},
    net::{Net, Rewritten},
    node::{self, Parts},
};
use crate::frontend::refusal::{incomplete, incorrect, refuse};
use tract_onnx::{pb::NodeProto, tract_hir::internal::tensor0};

/// First operator set in which a scan has no batch axis.
const WITHOUT_BATCH: i64 = 9;

/// An axis that is scanned or collected along.
struct Way {
    axis: i64,
    backwards: bool,
}

impl Way {
    /// Those of the scanned inputs, or of the collected outputs.
    fn of(node: &NodeProto, which: &str, count: usize) -> Vec<Way> {
        let at = |name: &str, i: usize| node.ints(&format!("scan_{which}_{name}")).get(i).copied().unwrap_or(0);
        (0..count).map(|i| Way { axis: at("axes", i), backwards: at("directions", i) != 0 }).collect()
    }
}

/// All steps of a `Scan`, one behind the other.
///
/// # Errors
/// When the node lacks what it must have.
pub(super) fn steps(net: &mut Net<'_>, facts: &Facts, node: &NodeProto) -> Rewritten<Control> {
    if net.opset < WITHOUT_BATCH {
        return Err(refuse(
            format!("it is of an operator set before {WITHOUT_BATCH}"),
            "export the model with a later one",
        ));
    }
    let body = node.graph("body").ok_or(incomplete("it has no body"))?;
    let scanned = usize::try_from(node.int("num_scan_inputs", 0)).unwrap_or(0);
    let states = node.input.len().checked_sub(scanned).filter(|&s| {
        scanned > 0 && body.input.len() == node.input.len() && (s..=body.output.len()).contains(&node.output.len())
    });
    let states = states.ok_or(incomplete("its body does not fit its inputs"))?;
    let ways = Way::of(node, "input", scanned);
    let shape = Builder::new(net, Some(facts), node).shape(&node.input[states]);
    let Some(shape) = shape else { return Ok(Control::Unknown) };
    let length = node::place(ways[0].axis, shape.len()).map(|axis| shape[axis]);
    let length = length.filter(|&n| n > 0).ok_or(incorrect("it scans an axis that is empty or not there"))?;

    let mut copy = Copy::new(node.label().to_owned(), []);
    copy.constants(net, &body.initializer)?;
    let constants: Vec<(&str, String)> =
        body.initializer.iter().map(|t| (t.name.as_str(), copy.name(&t.name))).collect();
    let mut values: Vec<String> = node.input[..states].to_vec();
    let mut collected: Vec<Vec<String>> = vec![Vec::new(); node.output.len() - states];
    let mut nodes = Vec::new();
    for step in 0..length {
        let prefix = format!("{}/{step}", node.label());
        let part = NodeProto { name: prefix.clone(), ..Default::default() };
        let mut make = Builder::new(net, None, &part);
        for (input, way) in node.input[states..].iter().zip(&ways) {
            let place = if way.backwards { length - 1 - step } else { step };
            let place = make.constant("place", &tensor0(place as i64))?;
            values.push(make.gather("element", input, &place, way.axis));
        }
        nodes.append(&mut make.nodes);
        let bound = body.input.iter().map(|v| v.name.as_str()).zip(values).chain(constants.iter().cloned());
        let mut copy = Copy::new(prefix, bound);
        nodes.extend(copy.nodes(net, &body.node)?);
        values = body.output[..states].iter().map(|v| copy.name(&v.name)).collect();
        for (all, output) in collected.iter_mut().zip(&body.output[states..]) {
            all.push(copy.name(&output.name));
        }
    }
    for (mut all, way) in collected.into_iter().zip(Way::of(node, "output", node.output.len() - states)) {
        if way.backwards {
            all.reverse();
        }
        values.push(stacked(net, node.label(), &mut nodes, &all, way.axis)?);
    }
    for (value, output) in values.iter().zip(&node.output).filter(|(_, output)| !output.is_empty()) {
        nodes.push(node::node(node.label(), "Identity", &[value], output, Vec::new()));
    }
    Ok(Control::Body(nodes))
}

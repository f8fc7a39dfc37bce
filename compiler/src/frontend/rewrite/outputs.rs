//! The outputs that are asked for, and only what they need.

use super::{
    facts::FLOAT,
    net::Net,
    node::{self, Parts},
};
use crate::frontend::error::FrontendError;
use crate::frontend::refusal::{Refusal, incomplete, refuse};
use crate::onnx::value_info;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto};

/// Keeps the outputs named in `wanted`, in the order of the file; all for an empty list.
///
/// # Errors
/// When the file has no such output, or no output at all.
pub(super) fn select(net: &mut Net<'_>, path: &Path, wanted: &[String]) -> Result<(), FrontendError> {
    let refused = |refusal: Refusal| Err(FrontendError::Analysis { path: path.to_owned(), refusal });
    let names: Vec<String> = net.graph.output.iter().map(|o| o.name.clone()).collect();
    if let Some(unknown) = wanted.iter().find(|w| !names.contains(w)) {
        return refused(refuse(format!("it has no output \"{unknown}\""), format!("it has {}", names.join(", "))));
    }
    let mut seen = HashSet::new();
    net.graph.output.retain(|o| (wanted.is_empty() || wanted.contains(&o.name)) && seen.insert(o.name.clone()));
    match net.graph.output.is_empty() {
        true => refused(incomplete("it has no output")),
        false => Ok(()),
    }
}

/// Drops nodes, constants and facts that neither an output nor `kept` needs, and gives outputs without type that of a float.
pub(super) fn prune<'k>(net: &mut Net<'_>, kept: impl IntoIterator<Item = &'k String>) {
    let graph = &mut net.graph;
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        producers.extend(node.output.iter().filter(|o| !o.is_empty()).map(|o| (o.as_str(), i)));
    }
    let mut needed: HashSet<&str> = HashSet::new();
    let mut nodes: HashSet<usize> = HashSet::new();
    let mut open: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    for name in kept {
        open.push(name);
    }
    while let Some(value) = open.pop() {
        if needed.insert(value)
            && let Some(&node) = producers.get(value)
            && nodes.insert(node)
        {
            reads(&graph.node[node], &mut open);
        }
    }
    let constants: HashSet<String> =
        graph.initializer.iter().map(|t| &t.name).filter(|n| needed.contains(n.as_str())).cloned().collect();
    let mut place = 0;
    graph.node.retain(|_| {
        place += 1;
        nodes.contains(&(place - 1))
    });
    graph.initializer.retain(|t| constants.contains(&t.name));
    graph.output.iter_mut().filter(|o| o.r#type.as_ref().is_none_or(|t| t.value.is_none())).for_each(|o| {
        *o = ValueInfoProto { doc_string: std::mem::take(&mut o.doc_string), ..value_info(&o.name, FLOAT, &[]) };
    });
    net.index();
}

/// Gives outputs that are inputs values of their own, which tract wants; returns the names of the outputs in the file.
pub(super) fn part(net: &mut Net<'_>) -> Vec<String> {
    let names: Vec<String> = net.graph.output.iter().map(|o| o.name.clone()).collect();
    for (place, name) in names
        .iter()
        .enumerate()
        .filter(|(_, name)| net.graph.input.iter().any(|i| i.name == **name))
        .collect::<Vec<_>>()
    {
        let value = net.fresh(format!("{name}/output"));
        net.graph.node.push(node::node(&value, "Identity", &[name], &value, Vec::new()));
        net.graph.output[place].name = value;
    }
    names
}

/// All values that a node reads, those of the graphs inside it too.
pub(super) fn reads<'n>(node: &'n NodeProto, values: &mut Vec<&'n str>) {
    values.extend((0..node.input.len()).filter_map(|slot| node.at(slot)));
    for graph in node.attribute.iter().filter_map(|a| a.g.as_ref()) {
        inside(graph, values);
    }
}

fn inside<'n>(graph: &'n GraphProto, values: &mut Vec<&'n str>) {
    values.extend(graph.output.iter().map(|o| o.name.as_str()));
    graph.node.iter().for_each(|node| reads(node, values));
}

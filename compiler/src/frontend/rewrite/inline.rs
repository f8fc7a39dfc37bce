//! Bodies of functions, branches and loops, copied into the graph that uses them.

use super::{
    builder::Builder,
    net::{Net, Rewritten},
    node::Parts,
};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// What a control node becomes.
pub(super) enum Control {
    /// Its condition or length is not known.
    Unknown,
    /// These nodes.
    Body(Vec<NodeProto>),
}

/// A copy of a body in the making: its own names get a prefix, those of what surrounds it stay.
pub(super) struct Copy<'b> {
    prefix: String,
    names: HashMap<&'b str, String>,
}

impl<'b> Copy<'b> {
    /// A copy whose names start with `prefix` and in which the names of `bound` stand for other values.
    pub fn new(prefix: String, bound: impl IntoIterator<Item = (&'b str, String)>) -> Self {
        Copy { prefix, names: bound.into_iter().collect() }
    }

    /// The copies of `nodes`; the outputs that `bound` names get those names.
    ///
    /// # Errors
    /// When copies grow out of proportion.
    pub fn nodes(&mut self, net: &mut Net<'_>, nodes: &'b [NodeProto]) -> Rewritten<Vec<NodeProto>> {
        net.spend(nodes)?;
        for output in nodes.iter().flat_map(|n| &n.output).filter(|o| !o.is_empty()) {
            self.own(net, output);
        }
        let copy = |node: &NodeProto| {
            let name = format!("{}/{}", self.prefix, node.label());
            NodeProto { name, ..renamed(node, &self.names) }
        };
        Ok(nodes.iter().map(copy).collect())
    }

    /// Moves the constants of a body into the graph.
    pub fn constants(&mut self, net: &mut Net<'_>, constants: &'b [TensorProto]) -> Rewritten<()> {
        for constant in constants {
            let name = self.own(net, &constant.name);
            net.add_proto(TensorProto { name, ..constant.clone() })?;
        }
        Ok(())
    }

    fn own(&mut self, net: &mut Net<'_>, name: &'b str) -> String {
        let fresh = || net.fresh(format!("{}/{name}", self.prefix));
        self.names.entry(name).or_insert_with(fresh).clone()
    }

    /// What a name of the body is called in the graph.
    pub fn name(&self, name: &str) -> String {
        self.names.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }
}

/// The node with the names of values replaced, inside its own graphs too.
fn renamed(node: &NodeProto, names: &HashMap<&str, String>) -> NodeProto {
    let mut node = node.clone();
    rename_node(&mut node, names);
    node
}

fn rename(name: &mut String, names: &HashMap<&str, String>) {
    if let Some(new) = names.get(name.as_str()) {
        name.clone_from(new);
    }
}

fn rename_node(node: &mut NodeProto, names: &HashMap<&str, String>) {
    node.input.iter_mut().chain(&mut node.output).for_each(|name| rename(name, names));
    for graph in node.attribute.iter_mut().filter_map(|a| a.g.as_mut()) {
        // Names that the inner graph gives to values of its own mean those; they give way to what comes in from outside.
        let owned = graph.node.iter().flat_map(|n| &n.output).chain(graph.input.iter().map(|v| &v.name));
        let owned: HashSet<String> = owned.chain(graph.initializer.iter().map(|t| &t.name)).cloned().collect();
        let outer = names.iter().filter(|(name, _)| !owned.contains(**name)).map(|(&n, new)| (n, new.clone()));
        let mut names: HashMap<&str, String> = outer.collect();
        let met: Vec<&String> = owned.iter().filter(|own| names.values().any(|new| new == *own)).collect();
        names.extend(met.into_iter().map(|own| (own.as_str(), format!("{own}/inner"))));
        rename_graph(graph, &names);
    }
}

fn rename_graph(graph: &mut GraphProto, names: &HashMap<&str, String>) {
    graph.node.iter_mut().for_each(|node| rename_node(node, names));
    graph.input.iter_mut().chain(&mut graph.output).for_each(|value| rename(&mut value.name, names));
    graph.initializer.iter_mut().for_each(|constant| rename(&mut constant.name, names));
}

/// The values behind each other along a new axis.
pub(super) fn stacked(
    net: &mut Net<'_>,
    label: &str,
    nodes: &mut Vec<NodeProto>,
    values: &[String],
    axis: i64,
) -> Rewritten<String> {
    let part = NodeProto { name: label.to_owned(), ..Default::default() };
    let mut make = Builder::new(net, None, &part);
    let mut rows = Vec::new();
    for value in values {
        rows.push(make.unsqueeze("row", value, &[axis])?);
    }
    let stack = make.concat("stack", &rows.iter().map(String::as_str).collect::<Vec<_>>(), axis);
    nodes.extend(make.nodes);
    Ok(stack)
}

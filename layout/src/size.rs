//! How much a graph asks of the layout, before anything is laid out.
//!
//! Features, vocabularies and limbs are numbers, so a short graph can ask for any number of cells. Units are cells and
//! terms of expressions, about a hundred bytes each.

use super::ops::circuit;
use super::options::Ports;
use nanozk_ir::int::Graph;
use nanozk_ir::int::ops::{self, Site};

/// An upper bound of the cells of a graph.
pub fn size(graph: &Graph, ports: &Ports, tokens: u32, limb_bits: u32) -> u64 {
    let ports = ports.inputs.iter().chain(&ports.outputs).map(|port| u64::from(port.features));
    let matrices = graph.weights.iter().map(|&(rows, _)| u64::from(rows));
    let site = |node| Site::new(tokens, limb_bits, graph, node, ops::Ports::default());
    let nodes = graph.nodes.iter().map(|node| node_size(&site(node)));
    ports.chain(matrices).chain(nodes).fold(0, u64::saturating_add)
}

fn node_size(site: &Site) -> u64 {
    let (each, more) = circuit(&site.node.op).size(site);
    site.read().saturating_add(site.features as u64).saturating_mul(each).saturating_add(more)
}

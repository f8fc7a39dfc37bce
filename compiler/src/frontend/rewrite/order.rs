//! The order in which nodes run.

use super::{
    net::{Net, Rewritten},
    node::Parts,
    outputs::reads,
};
use crate::frontend::refusal::incorrect;
use std::collections::HashMap;

/// Sorts the nodes so that each stands behind those whose values it reads.
///
/// # Errors
/// When values depend on themselves.
pub(super) fn sort(net: &mut Net<'_>) -> Rewritten<()> {
    let nodes = std::mem::take(&mut net.graph.node);
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (place, node) in nodes.iter().enumerate() {
        makers.extend(node.output.iter().filter(|o| !o.is_empty()).map(|o| (o.as_str(), place)));
    }
    let mut waits = vec![0usize; nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (place, node) in nodes.iter().enumerate() {
        let mut values = Vec::new();
        reads(node, &mut values);
        let mut sources: Vec<usize> = values.iter().filter_map(|v| makers.get(v)).copied().collect();
        sources.sort_unstable();
        sources.dedup();
        waits[place] = sources.len();
        sources.iter().for_each(|&source| readers[source].push(place));
    }
    // The lowest place first, so that a sorted graph stays as it is.
    let mut ready: std::collections::BTreeSet<usize> = (0..nodes.len()).filter(|&p| waits[p] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(place) = ready.pop_first() {
        order.push(place);
        for &reader in &readers[place] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    if let Some(stuck) = waits.iter().position(|&w| w > 0) {
        return Err(incorrect(format!("the value of node \"{}\" depends on itself", nodes[stuck].label())));
    }
    let mut nodes: Vec<_> = nodes.into_iter().map(Some).collect();
    net.graph.node = order.into_iter().filter_map(|place| nodes[place].take()).collect();
    Ok(())
}

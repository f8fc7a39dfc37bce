//! Merges on the graph of references: lengths and means into normalisations, gains and shifts into the layers before them.

mod gain;
mod length;
mod norm;

use super::graph::Graph;
use super::tensor::Code;

/// Runs all merges on what `outputs` need.
pub(super) fn fuse(graph: &mut Graph, outputs: &[Vec<Code>]) {
    length::normalise(graph);
    norm::centre(graph);
    gain::merge(graph, outputs);
}

/// How often each node is read, as an operand or by an output.
fn uses(graph: &Graph, outputs: &[Vec<Code>]) -> Vec<usize> {
    let mut uses = vec![0usize; graph.nodes.len()];
    let read = |codes: &[Code], uses: &mut Vec<usize>| {
        let mut last = 0;
        for code in codes {
            if code.node() != last {
                uses[code.node()] += 1;
                last = code.node();
            }
        }
    };
    outputs.iter().for_each(|o| read(o, &mut uses));
    for id in (1..graph.nodes.len()).rev() {
        if uses[id] > 0 {
            graph.nodes[id].args.iter().for_each(|a| read(a, &mut uses));
        }
    }
    uses
}

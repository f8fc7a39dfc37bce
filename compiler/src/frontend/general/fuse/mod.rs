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

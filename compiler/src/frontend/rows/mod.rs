//! A model read with tokens as rows: each node is a matrix `[tokens, features]`.
//!
//! [`lower`] turns tract's model into the matrix graph, in which data movement is index views; [`recognise`] finds LayerNorm,
//! GELU, rotary embedding and the like by evaluating regions; [`simplify`] merges biases, gains and scales; [`emit`] writes
//! the canonical graph.

mod emit;
mod lower;
mod matrix_graph;
mod recognise;
mod simplify;
mod view;

pub use lower::SoftMask;

use crate::frontend::error::Problem;
use lower::Layout;
use nanozk_ir::float::Graph;
use nanozk_plan::ElementMap;
use tract_onnx::prelude::*;

/// A model in canonical form.
pub(super) struct Rows {
    pub graph: Graph,
    /// Shape of each output of the model, and where its elements are in that of the graph.
    pub outputs: Vec<(Vec<usize>, ElementMap)>,
    pub soft_masks: Vec<SoftMask>,
}

/// Reads `model`, whose outputs have these names, with tokens as rows; one that mixes them otherwise than in attention as
/// one token with flat features.
///
/// # Errors
/// With all nodes that have no canonical form, of the reading that got further.
pub(super) fn read(model: &TypedModel, names: &[&str]) -> Result<Rows, Vec<Problem>> {
    let progress = |problems: &[Problem]| {
        problems.iter().filter_map(|p| model.nodes.iter().position(|n| n.name == p.node)).min().unwrap_or(usize::MAX)
    };
    let mut worst: Option<Vec<Problem>> = None;
    for layout in [Layout::Rows, Layout::Flat] {
        match attempt(model, names, layout) {
            Ok(done) => return Ok(done),
            Err(problems) if worst.as_ref().is_none_or(|w| progress(&problems) > progress(w)) => worst = Some(problems),
            Err(_) => (),
        }
    }
    Err(worst.unwrap_or_default())
}

fn attempt(model: &TypedModel, names: &[&str], layout: Layout) -> Result<Rows, Vec<Problem>> {
    let mut lowered = lower::lower(model, layout);
    if !lowered.problems.is_empty() {
        return Err(lowered.problems);
    }
    let roots: Vec<_> = lowered.outputs.iter().map(|(id, _)| *id).collect();
    recognise::recognise(&mut lowered.graph, &roots);
    let keep: Vec<_> = lowered.inputs.iter().chain(&roots).copied().collect();
    let renamed = lowered.graph.sort(&keep);
    lowered.inputs.iter_mut().for_each(|id| *id = renamed[id]);
    lowered.outputs.iter_mut().for_each(|(id, _)| *id = renamed[id]);
    let roots: Vec<_> = lowered.outputs.iter().map(|(id, _)| *id).collect();
    simplify::simplify(&mut lowered.graph, &roots);
    let outputs: Vec<_> = lowered.outputs.iter().zip(names).map(|((id, _), &name)| (*id, name.to_owned())).collect();
    let (graph, problems) = emit::emit(&lowered.graph, &lowered.inputs, &outputs);
    if !problems.is_empty() {
        return Err(problems);
    }
    let places = lowered.outputs.into_iter().map(|(_, view)| {
        let map = ElementMap::new(&view.shape, &view.codes().map(|c| c.flat as u32).collect::<Vec<_>>());
        (view.shape, map)
    });
    Ok(Rows { graph, outputs: places.collect(), soft_masks: lowered.soft_masks })
}

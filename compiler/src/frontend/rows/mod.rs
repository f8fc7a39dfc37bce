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

use lower::Layout;
use matrix_graph::ByRows;
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
/// one token with flat features. `None` when rows do not hold what it does.
pub(super) fn read(model: &TypedModel, names: &[&str]) -> Option<Rows> {
    [Layout::Rows, Layout::Flat].into_iter().find_map(|layout| laid_out(model, names, layout).ok())
}

fn laid_out(model: &TypedModel, names: &[&str], layout: Layout) -> ByRows<Rows> {
    let mut lowered = lower::lower(model, layout)?;
    let roots: Vec<_> = lowered.outputs.iter().map(|(id, _)| *id).collect();
    recognise::recognise(&mut lowered.graph, &roots);
    let keep: Vec<_> = lowered.inputs.iter().chain(&roots).copied().collect();
    let renamed = lowered.graph.sort(&keep);
    lowered.inputs.iter_mut().for_each(|id| *id = renamed[id]);
    lowered.outputs.iter_mut().for_each(|(id, _)| *id = renamed[id]);
    let roots: Vec<_> = lowered.outputs.iter().map(|(id, _)| *id).collect();
    simplify::simplify(&mut lowered.graph, &roots);
    let outputs: Vec<_> = lowered.outputs.iter().zip(names).map(|((id, _), &name)| (*id, name.to_owned())).collect();
    let graph = emit::emit(&lowered.graph, &lowered.inputs, &outputs)?;
    let places = lowered.outputs.into_iter().map(|(_, view)| {
        let map = ElementMap::new(&view.shape, &view.codes().map(|c| c.flat as u32).collect::<Vec<_>>());
        (view.shape, map)
    });
    Ok(Rows { graph, outputs: places.collect(), soft_masks: lowered.soft_masks })
}

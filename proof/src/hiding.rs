//! Whether proofs hide what they must: the counts of [`nanozk_plan::hiding`] with the openings of the actual circuit.

use crate::{
    layer::{LayerKey, ShapeKey},
    span_proof::SPAN_ROWS,
};
use nanozk_plan::{
    MASK_ROWS,
    hiding::{self, Counts, HeldTensors, HidingError},
};
use std::collections::{BTreeMap, BTreeSet};

/// Linear functions of one column that a proof reveals beside its commitment: its values at the points of its queries,
/// and, when these are more than x alone, one more by the batched opening. (The batched opening of the columns opened at
/// x alone holds Halo2's random polynomial, which hides it.)
pub fn openings(rotations: &BTreeSet<i32>) -> usize {
    rotations.len() + usize::from(*rotations != BTreeSet::from([0]))
}

/// Most openings of a committed instance column of a shape, as its constraint system queries them.
pub fn points(shape: &ShapeKey) -> usize {
    let mut queries: BTreeMap<usize, BTreeSet<i32>> = BTreeMap::new();
    for (column, rotation) in shape.vk.cs().instance_queries() {
        if column.index() < shape.columns.committed() {
            queries.entry(column.index()).or_default().insert(rotation.0);
        }
    }
    queries.values().map(openings).max().unwrap_or(0)
}

/// Counts what the proofs of a bundle of all layers, which name their shapes, reveal.
///
/// # Errors
/// A lane, a column of one proof or a helper column that its random rows do not hide.
pub fn check(shapes: &[ShapeKey], layers: &[LayerKey]) -> Result<Counts, HidingError> {
    let points = shapes.iter().map(points).max().unwrap_or(0);
    let once = [("a column of one proof", MASK_ROWS), ("the weight fold", SPAN_ROWS)];
    if let Some((what, rows)) = once.into_iter().find(|(_, rows)| points >= *rows) {
        return Err(HidingError::Openings { what: what.into(), openings: points, limit: rows - 1 });
    }
    let layers = layers.iter().filter_map(|layer| {
        let plan = &*shapes.get(layer.shape as usize)?.plan;
        Some(HeldTensors { plan, inputs: &layer.inputs, outputs: &layer.outputs })
    });
    hiding::check(&layers.collect::<Vec<_>>(), points)
}

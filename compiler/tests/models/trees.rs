//! Rows of a table that computed ids name.

use super::general::{compiled, numbers};
use nanozk_compiler::onnx::{Onnx, int};
use nanozk_ir::int::Op;

const TREES: usize = 6;

/// As trees are evaluated level by level: an id of each lies among the nodes of its tree, and only those cost cells.
#[test]
fn an_id_chooses_among_the_rows_that_it_may_name() {
    for columns in [1, 2] {
        let roots: Vec<i64> = (0..TREES as i64).map(|tree| 2 * tree).collect();
        let sample: Vec<f32> = numbers(TREES);
        let onnx = Onnx::default()
            .input("x", &[TREES])
            .constant("thresholds", &[TREES], &numbers(2 * TREES)[TREES..])
            .constant("roots", &[TREES], &roots)
            .constant("leaves", &[2 * TREES, columns], &numbers(2 * TREES * columns))
            .node("Less", &["x", "thresholds"], "below", &[])
            .node("Cast", &["below"], "right", &[int("to", 7)])
            .node("Add", &["roots", "right"], "ids", &[])
            .node("Gather", &["leaves", "ids"], "y", &[])
            .output("y", &[TREES, columns]);
        let (artifact, gap) = compiled(onnx, &[sample]);
        assert!(gap < 1e-3, "{columns}: {gap}");
        let nodes = || artifact.model.shapes.iter().flat_map(|shape| &shape.nodes);
        assert!(!nodes().any(|node| matches!(node.op, Op::Embed(_))), "{columns}");
        let entries: Vec<u32> =
            nodes().filter(|node| matches!(node.op, Op::Diagonal(_))).map(|node| node.features).collect();
        assert_eq!(entries, [(2 * TREES * columns) as u32]);
        // The entries' sums are no wider than the entries.
        let greatest = nodes().find(|node| node.name == "y").unwrap();
        let weights = artifact.model.layers.iter().flat_map(|layer| &layer.weights).flatten();
        let most = weights.map(|w| i64::from(w.abs())).max().unwrap();
        assert!(greatest.lo >= -most && greatest.hi <= most, "{columns}: {greatest:?}");
    }
}

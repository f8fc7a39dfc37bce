//! `--head argmax`: the place of the greatest score in place of the scores.
//!
//! The scores are those along the last axis of a model output, in the order of the source model; the lowest place wins
//! among equals.

use nanozk_ir::float::{Graph, NodeId, Op};
use nanozk_plan::{ElementMap, ElementType, ValueInfo};
use petgraph::Direction;

/// An output whose greatest score cannot be named.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "output \"{output}\" {shape:?}: the scores along its last axis are not, in one order, values of one token each; \
     compile with `--head logits`, or export the model with the classes as its last axis"
)]
pub struct HeadError {
    /// Name of the output.
    pub output: String,
    /// Its shape in the source model.
    pub shape: Vec<usize>,
}

/// Makes every output of `graph` the scores of one token in the source model's order, whose argmax is to be proven, and
/// `outputs` what that argmax is: one place for each row of scores.
///
/// # Errors
/// [`HeadError`] for scores whose classes do not run along the last axis.
pub fn argmax(graph: &mut Graph, outputs: &mut [ValueInfo]) -> Result<(), HeadError> {
    for (at, value) in outputs.iter_mut().enumerate() {
        let output = graph.outputs[at];
        let width = graph.dag[output].features;
        let (tokens, classes) =
            rows(value, width).ok_or_else(|| HeadError { output: value.name.clone(), shape: value.shape.clone() })?;
        // Softmax keeps the order of its operands.
        let mut source = graph.operands(output)[0];
        while matches!(graph.dag[source].op, Op::Softmax { .. }) {
            source = graph.operands(source)[0];
        }
        if !classes.iter().copied().eq(0..width) {
            source = select(graph, source, &classes);
        }
        let old = graph.dag.first_edge(output, Direction::Incoming);
        old.map(|edge| graph.dag.remove_edge(edge));
        graph.dag.add_edge(source, output, 0);
        graph.dag[output].features = classes.len();
        value.shape.pop();
        value.dtype = ElementType::Int64;
        value.map = ElementMap::new(&value.shape, &tokens);
    }
    Ok(())
}

/// The token of each row of scores, and the features of a token that the scores of a row are, where these are the same
/// for all rows.
fn rows(value: &ValueInfo, width: usize) -> Option<(Vec<u32>, Vec<usize>)> {
    let indices: Vec<usize> = value.indices().collect();
    let rows = indices.chunks(value.shape.last().copied().unwrap_or(1));
    let features = |row: &[usize]| row.iter().map(|i| i % width).collect::<Vec<_>>();
    let classes = features(rows.clone().next()?);
    let token = |row: &[usize]| {
        let token = row[0] / width;
        let fits = row.iter().all(|i| i / width == token) && features(row) == classes;
        fits.then_some(token as u32)
    };
    Some((rows.map(token).collect::<Option<_>>()?, classes))
}

/// `features` of `source`, in this order.
fn select(graph: &mut Graph, source: NodeId, features: &[usize]) -> NodeId {
    let name = format!("{}.classes", graph.dag[source].name);
    let runs = features.chunk_by(|a, b| a + 1 == *b);
    let slices: Vec<NodeId> =
        runs.map(|run| graph.add(&name, Op::Slice { start: run[0], len: run.len() }, run.len(), &[source])).collect();
    graph.add(&name, Op::Concat, features.len(), &slices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_ir::float::{InputKind, InputValue, eval};

    /// Scores of `tokens` tokens as they come in, behind a softmax.
    fn scores(tokens: usize, width: usize) -> Graph {
        let mut g = Graph { tokens, ..Graph::default() };
        let x = g.add("x", Op::Input(InputKind::Float), width, &[]);
        let soft = g.add("soft", Op::Softmax { groups: 1, hidden: None }, width, &[x]);
        let y = g.add("y", Op::Output, width, &[soft]);
        (g.inputs, g.outputs) = (vec![x], vec![y]);
        g
    }

    fn value(shape: &[usize], indices: &[u32]) -> ValueInfo {
        let map = ElementMap::new(shape, indices);
        ValueInfo { name: "y".into(), shape: shape.to_vec(), dtype: ElementType::Float32, map }
    }

    #[test]
    fn classes_come_in_the_order_of_the_source_model() {
        // Classes 2, 0, 0 of the last token, then of the first.
        let mut g = scores(2, 3);
        let mut outputs = [value(&[1, 2, 3], &[5, 3, 3, 2, 0, 0])];
        argmax(&mut g, &mut outputs).unwrap();
        let x = InputValue::Float(vec![10.0, 20.0, 30.0, 11.0, 21.0, 31.0]);
        let y = eval(&g, &[x], &mut |_: NodeId, _: &[f32]| ()).unwrap();
        assert_eq!(y[0], [30.0, 10.0, 10.0, 31.0, 11.0, 11.0], "without the softmax");
        assert_eq!((&outputs[0].shape[..], outputs[0].dtype), (&[1, 2][..], ElementType::Int64));
        assert_eq!(outputs[0].arrange(&['a', 'b']), ['b', 'a']);
    }

    #[test]
    fn rows_of_several_tokens_or_orders_are_refused() {
        for indices in [[0, 2, 4, 1, 3, 5], [0, 1, 2, 4, 3, 5], [0, 1, 3, 2, 4, 5]] {
            let mut outputs = [value(&[2, 3], &indices)];
            assert!(argmax(&mut scores(2, 3), &mut outputs).is_err(), "{indices:?}");
        }
    }
}

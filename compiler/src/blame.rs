//! Which node of a model loses most when it becomes integers.

use crate::fidelity::FidelityError;
use crate::frontend::FrontendError;
use crate::quantise::{Quantised, encode};
use nanozk_ir::float::{Graph, InputValue, NodeId, eval};
use nanozk_ir::int::interp;

/// The node whose values are further from the float graph's than those that it is computed from, by most.
#[derive(Clone, Debug, PartialEq)]
pub struct Blame {
    /// Name in the source model.
    pub node: String,
    /// Its op.
    pub op: &'static str,
    /// Largest difference of a value, as a share of the node's greatest value.
    pub error: f64,
}

/// Runs both graphs on the samples and compares all values that the integers stand for.
///
/// # Errors
/// When a sample does not fit a graph or leaves the range of the integer model.
pub fn worst_node(
    graph: &Graph,
    quantised: &Quantised,
    samples: &[Vec<InputValue>],
) -> Result<Option<Blame>, FidelityError> {
    let mut error = vec![None; graph.dag.node_count()];
    for sample in samples {
        let mut floats: Vec<Vec<f32>> = vec![Vec::new(); graph.dag.node_count()];
        let mut observe = |id: NodeId, value: &[f32]| floats[id.index()] = value.to_vec();
        eval(graph, sample, &mut observe).map_err(|e| FrontendError::Reference(e.to_string()))?;
        let mut see = |layer: usize, values: &[Vec<i64>]| {
            for trace in &quantised.traces[layer] {
                let (float, int) = (&floats[trace.node.index()], &values[trace.value as usize]);
                let n = trace.unit.len();
                if float.len() != int.len() || n == 0 {
                    continue;
                }
                let offset = |j: usize| trace.offset.as_ref().map_or(0.0, |o| o[j]);
                let real = |(i, &v): (usize, &i64)| v as f64 * trace.unit[i % n] + offset(i % n);
                let gap = |(i, f): ((usize, &i64), &f32)| (real(i) - f64::from(*f)).abs();
                let worst = int.iter().enumerate().zip(float).map(gap).fold(0.0, f64::max);
                let scale = float.iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max);
                let share = worst / if scale > 0.0 { scale } else { 1.0 };
                let known: &mut Option<f64> = &mut error[trace.node.index()];
                *known = Some(known.map_or(share, |k| k.max(share)));
            }
        };
        interp::run_seen(&quantised.model, &encode(&quantised.model, sample)?, &mut see)?;
    }
    let mut inherited = vec![0f64; error.len()];
    let mut worst: Option<(f64, NodeId)> = None;
    for id in graph.topo() {
        let from = |o: NodeId| error[o.index()].unwrap_or(inherited[o.index()]);
        let before = graph.operands(id).into_iter().map(from).fold(0.0, f64::max);
        inherited[id.index()] = before;
        let own = error[id.index()].map_or(0.0, |e| e - before);
        if own > worst.map_or(0.0, |(most, _)| most) {
            worst = Some((own, id));
        }
    }
    Ok(worst.map(|(_, id)| Blame {
        node: graph.dag[id].name.clone(),
        op: graph.dag[id].op.name(),
        error: error[id.index()].unwrap_or(0.0),
    }))
}

//! Masks that hide keys with a finite score.
//!
//! The integer model gives hidden keys the weight 0. That is what the source model means only if the weight it leaves
//! them is too small for the table of exponentials: less than half a unit of its output.

use super::error::QuantiseError;
use crate::frontend::SoftMask;
use nanozk_ir::float::{Graph, InputValue, NodeId, Op, eval};
use std::collections::HashMap;

/// What to tell the user about each of `masks`, given the sample inputs and the bits of the largest exponential.
///
/// # Errors
/// [`QuantiseError::SoftMask`] when a hidden key of a sample has half a unit of the table or more.
pub fn check(
    graph: &Graph,
    masks: &[SoftMask],
    samples: &[Vec<InputValue>],
    exp_bits: u32,
) -> Result<Vec<String>, QuantiseError> {
    let attention: Vec<(NodeId, &SoftMask)> = masks
        .iter()
        .filter_map(|m| graph.dag.node_indices().find(|&id| graph.dag[id].name == m.attention).map(|id| (id, m)))
        .collect();
    let mut weights = vec![0f64; attention.len()];
    for (index, sample) in samples.iter().enumerate().filter(|_| !attention.is_empty()) {
        let mut values: HashMap<NodeId, Vec<f32>> = HashMap::new();
        let mut observe = |id: NodeId, value: &[f32]| {
            if graph.consumers(id).iter().any(|c| attention.iter().any(|(a, _)| a == c)) {
                values.insert(id, value.to_vec());
            }
        };
        eval(graph, sample, &mut observe).map_err(|source| QuantiseError::Sample { index, source })?;
        for ((id, mask), weight) in attention.iter().zip(&mut weights) {
            *weight = weight.max(hidden_weight(graph, *id, mask, &values));
        }
    }
    let unit = f64::from(exp_bits).exp2().recip();
    let mut lines = Vec::new();
    for ((_, SoftMask { node, value, .. }), &weight) in attention.iter().zip(&weights) {
        if weight >= unit / 2.0 {
            let (node, units) = (node.clone(), weight / unit);
            return Err(QuantiseError::SoftMask { node, value: *value, weight, units, exp_bits });
        }
        lines.push(format!(
            "node \"{node}\" hides keys with the score {value}, which is read as no weight at all; on the sample data the \
             model itself leaves a hidden key at most {weight:.1e} of the largest weight, {:.2} units of the table of \
             exponentials",
            weight / unit
        ));
    }
    lines.dedup();
    Ok(lines)
}

/// Greatest weight that the source model gives a hidden key, relative to the largest weight of a visible key of the
/// same query and head; infinite for a query that sees no key.
fn hidden_weight(graph: &Graph, id: NodeId, mask: &SoftMask, values: &HashMap<NodeId, Vec<f32>>) -> f64 {
    let Op::Attention { heads, kv_heads, head_dim, scale, causal, key_mask, bias } = graph.dag[id].op else {
        return 0.0;
    };
    let operands = graph.operands(id);
    let value = |i: usize| operands.get(i).and_then(|o| values.get(o)).map(Vec::as_slice);
    let (Some(q), Some(k)) = (value(0), value(1)) else { return 0.0 };
    let keys = value(3).filter(|_| key_mask);
    let bias = bias.then(|| value(operands.len() - 1)).flatten();
    let visible = |t: usize, u: usize| (!causal || u <= t) && keys.is_none_or(|m| m[u] != 0.0);
    let mut worst = 0f64;
    for (h, t) in (0..heads).flat_map(|h| (0..graph.tokens).map(move |t| (h, t))) {
        let query = &q[(t * heads + h) * head_dim..][..head_dim];
        let score = |u: usize| {
            let key = &k[(u * kv_heads + h / (heads / kv_heads)) * head_dim..][..head_dim];
            let score = query.iter().zip(key).map(|(a, b)| f64::from(a * b)).sum::<f64>() * f64::from(scale);
            score + bias.map_or(0.0, |bias| bias[(t * heads + h) * graph.tokens + u].into())
        };
        let top = |see: bool| (0..graph.tokens).filter(|&u| visible(t, u) == see).map(score).reduce(f64::max);
        let hidden = match (top(false), mask.added) {
            (None, _) => continue,
            (Some(own), true) => own + f64::from(mask.value),
            (Some(_), false) => f64::from(mask.value),
        };
        worst = worst.max(top(true).map_or(f64::INFINITY, |seen| (hidden - seen).exp()));
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanozk_ir::float::InputKind;

    /// Scores `-x_t x_u` of one feature, causal or masked by an input.
    fn graph(causal: bool) -> Graph {
        let mut g = Graph { tokens: 2, ..Graph::default() };
        let x = g.add("x", Op::Input(InputKind::Float), 1, &[]);
        g.inputs = vec![x];
        let mut operands = vec![x, x, x];
        if !causal {
            operands.push(g.add("mask", Op::Input(InputKind::Mask), 1, &[]));
            g.inputs.push(operands[3]);
        }
        let op =
            Op::Attention { heads: 1, kv_heads: 1, head_dim: 1, scale: -1.0, causal, key_mask: !causal, bias: false };
        let y = g.add("attention", op, 1, &operands);
        g.outputs = vec![g.add("y", Op::Output, 1, &[y])];
        g
    }

    fn mask(value: f32, added: bool) -> SoftMask {
        SoftMask { attention: "attention".into(), node: "where".into(), value, added }
    }

    #[test]
    fn a_weight_below_half_a_unit_is_a_warning() {
        // The first token sees only itself, with score -0.25.
        let sample = vec![InputValue::Float(vec![0.5, 1.0])];
        let lines = check(&graph(true), &[mask(-10.0, false)], &[sample], 11).unwrap();
        assert_eq!(lines.len(), 1);
        // exp(-10 + 0.25)
        assert!(lines[0].contains("\"where\"") && lines[0].contains("-10") && lines[0].contains("5.8e-5"), "{lines:?}");
    }

    #[test]
    fn a_weight_of_half_a_unit_is_refused() {
        let refused = |x: Vec<f32>, m: SoftMask, bits: u32| {
            check(&graph(true), &[m], &[vec![InputValue::Float(x)]], bits).unwrap_err().to_string()
        };
        // The only visible score is -9, so that a key at -10 keeps exp(-1).
        let message = refused(vec![3.0, 1.0], mask(-10.0, false), 11);
        for part in ["`where`", "-10", "3.7e-1", "2^-11", "; mask with -1e4 or -inf"] {
            assert!(message.contains(part), "{message}");
        }
        // A finer table shows what a coarse one rounds away.
        refused(vec![0.5, 1.0], mask(-10.0, false), 14);
        // An added value is relative to the key's own score: -0.5 * -8 = 4 against -0.25.
        refused(vec![0.5, -8.0], mask(-10.0, true), 11);
    }

    #[test]
    fn masks_given_as_input_are_measured_where_they_hide() {
        let one = |keys: Vec<bool>, bits: u32| {
            let sample = vec![InputValue::Float(vec![0.5, 3.0]), InputValue::Mask(keys)];
            check(&graph(false), &[mask(-10.0, false)], &[sample], bits)
        };
        assert!(one(vec![true, true], 20).unwrap()[0].contains("0.0e0"));
        // The second token sees the first with score -1.5.
        assert!(one(vec![true, false], 11).unwrap()[0].contains("2.0e-4"));
        assert!(one(vec![true, false], 12).is_err());
        assert!(one(vec![false, false], 6).is_err());
    }
}

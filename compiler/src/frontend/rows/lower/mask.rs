//! Attention masks: constants or functions of a mask input, added to the scores or selected by them.

use super::{
    lowering::{Lower, Value},
    scores::{SoftMask, place},
};
use crate::frontend::rows::{
    matrix_graph::{ByRows, MatrixId, NotByRows},
    view::View,
};
use nanozk_ir::float::HIDING;
use std::{collections::HashMap, sync::Arc};
use tract_onnx::prelude::*;

/// A masking score above this leaves the key too visible to be called hidden.
const HIDDEN_ABOVE: f32 = -8.0;

/// How a mask meets the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MaskKind {
    /// Added (or subtracted): 0 shows, very negative hides.
    Additive { negated: bool },
    /// A condition: this value of it hides.
    Boolean { hides: bool },
}

/// What a mask hides: pairs of tokens always, and keys by a mask input (true: over the second operand).
pub(super) struct Hidden {
    pairs: Vec<bool>,
    keys: Option<(MatrixId, bool)>,
    /// What is added to the scores of the other pairs, `[heads, tokens, tokens]`.
    bias: Option<Vec<f32>>,
    /// Greatest finite score that hides, if above [`HIDING`].
    soft: Option<SoftMask>,
}

impl Lower<'_> {
    /// Meaning of the value `mask` of `outlet`, of a shape broadcastable to `shape`, over scores seen through `view`.
    pub(super) fn mask_of(
        &mut self,
        mask: &Value,
        outlet: OutletId,
        shape: &[usize],
        view: &View,
        kind: MaskKind,
        name: &str,
    ) -> ByRows<Hidden> {
        match mask {
            Value::Const(t) => match (self.pairs(t, shape, view, kind, name), kind) {
                (Ok((pairs, soft)), _) => Ok(Hidden { pairs, keys: None, bias: None, soft }),
                (Err(_), MaskKind::Additive { negated }) => {
                    let (pairs, bias) = split(&self.added(t, shape, view, negated)?, self.graph.tokens)?;
                    Ok(Hidden { pairs, keys: None, bias: Some(bias), soft: None })
                }
                (Err(error), _) => Err(error),
            },
            Value::Deferred(slots) => match (self.deferred_mask(outlet, *slots, shape, view, kind, name), kind) {
                (Err(_), MaskKind::Additive { negated }) => self.deferred_bias(outlet, *slots, shape, view, negated),
                (read, _) => read,
            },
            _ => Err(NotByRows), // Attention scores are combined with an activation.
        }
    }

    /// Meaning of a mask computed from a mask input, found by evaluating it for chosen masks.
    fn deferred_mask(
        &mut self,
        outlet: OutletId,
        slots: u64,
        shape: &[usize],
        view: &View,
        kind: MaskKind,
        name: &str,
    ) -> ByRows<Hidden> {
        let (slot, input) = self.mask_input(slots)?;
        let tokens = self.graph.tokens;
        let eval = |lower: &Self, bits: Vec<bool>| {
            let values = bits.iter().map(|&b| i64::from(b)).collect();
            let t = lower.eval_deferred(outlet, &HashMap::from([(slot, values)]))?;
            lower.pairs(&t, shape, view, kind, name)
        };
        let (all_hidden, soft) = eval(self, vec![false; tokens])?;
        let (pairs, _) = eval(self, vec![true; tokens])?;
        if !all_hidden.iter().all(|&h| h) {
            return Err(NotByRows); // A mask input whose zeros do not hide keys.
        }
        let mut sides = [true, true];
        for probe in probes(tokens) {
            let (seen, _) = eval(self, probe.clone())?;
            for (i, &hidden) in seen.iter().enumerate() {
                sides[0] &= hidden == (pairs[i] || !probe[i / tokens]);
                sides[1] &= hidden == (pairs[i] || !probe[i % tokens]);
            }
        }
        match sides {
            [_, true] => Ok(Hidden { pairs, keys: Some((input, true)), bias: None, soft }),
            [true, false] => Ok(Hidden { pairs, keys: Some((input, false)), bias: None, soft }),
            _ => Err(NotByRows), // A mask input that does not simply hide keys.
        }
    }

    /// Meaning of a bias that does not depend on a mask input where that shows a key, and hides the others.
    fn deferred_bias(
        &mut self,
        outlet: OutletId,
        slots: u64,
        shape: &[usize],
        view: &View,
        negated: bool,
    ) -> ByRows<Hidden> {
        let (slot, input) = self.mask_input(slots)?;
        let tokens = self.graph.tokens;
        let added = |mask: &[bool]| {
            let bits = mask.iter().map(|&b| i64::from(b)).collect();
            let t = self.eval_deferred(outlet, &HashMap::from([(slot, bits)]))?;
            self.added(&t, shape, view, negated)
        };
        let all = added(&vec![true; tokens])?;
        for probe in probes(tokens) {
            for (i, (&full, v)) in all.iter().zip(added(&probe)?).enumerate() {
                let same = (v - full).abs() <= 1e-5 * full.abs() || v == full;
                if !(if probe[i % tokens] { same } else { f64::from(v) <= HIDING }) {
                    return Err(NotByRows); // A bias of attention scores that depends on more than the key's mask.
                }
            }
        }
        let (pairs, bias) = split(&all, tokens)?;
        Ok(Hidden { pairs, keys: Some((input, true)), bias: Some(bias), soft: None })
    }

    /// What a value adds to the scores, `[heads, tokens, tokens]`.
    fn added(&self, value: &Tensor, shape: &[usize], view: &View, negated: bool) -> ByRows<Vec<f32>> {
        let value = value.cast_to::<f32>()?.broadcast_to_shape(shape)?;
        let values = value.view().as_slice::<f32>()?.to_vec();
        let mut added = vec![0f32; view.codes().map(|c| c.flat + 1).max().unwrap_or(0)];
        for (code, &v) in view.codes().zip(&values) {
            added[code.flat] = if negated { -v } else { v };
        }
        Ok(added)
    }

    /// Which pairs of tokens a mask value hides, the same for all heads, and the softest score that does.
    fn pairs(
        &self,
        mask: &Tensor,
        shape: &[usize],
        view: &View,
        kind: MaskKind,
        name: &str,
    ) -> ByRows<(Vec<bool>, Option<SoftMask>)> {
        let mask = mask.cast_to::<f32>()?.broadcast_to_shape(shape)?;
        let values = mask.view().as_slice::<f32>()?.to_vec();
        let tokens = self.graph.tokens;
        let mut pairs = vec![None; tokens * tokens];
        let mut softest = f32::NEG_INFINITY;
        for (code, &v) in view.codes().zip(&values) {
            let (_, a, b) = place(code.flat, tokens);
            let hidden = match kind {
                MaskKind::Boolean { hides } => (v != 0.0) == hides,
                MaskKind::Additive { negated } => {
                    let score = if negated { -v } else { v };
                    let hidden = hides(score)?;
                    softest = if hidden { softest.max(score) } else { softest };
                    hidden
                }
            };
            match pairs[a * tokens + b] {
                Some(old) if old != hidden => return Err(NotByRows), // An attention mask that differs between heads.
                _ => pairs[a * tokens + b] = Some(hidden),
            }
        }
        Ok((pairs.into_iter().map(Option::unwrap_or_default).collect(), soft(softest, true, name)))
    }

    /// Scores `s` with more hidden pairs.
    pub(super) fn hide(&mut self, s: usize, view: &View, hidden: Hidden) -> ByRows<Value> {
        self.before_softmax(s)?;
        let before = self.scores[s].clone();
        let keys = match (before.key_mask, hidden.keys) {
            (Some(old), Some(new)) if old != new => return Err(NotByRows), // Two different attention mask inputs.
            (old, new) => new.or(old),
        };
        let pairs = match &before.hidden {
            Some(old) => old.iter().zip(&hidden.pairs).map(|(a, b)| a | b).collect(),
            None => hidden.pairs.clone(),
        };
        let bias = match (&before.bias, hidden.bias) {
            (Some(old), Some(new)) => Some(Arc::new(old.iter().zip(&new).map(|(a, b)| a + b).collect())),
            (old, new) => new.map(Arc::new).or(old.clone()),
        };
        Ok(Value::View(self.derive_scores(s, view, |s| {
            s.hidden = Some(Arc::new(pairs));
            s.key_mask = keys;
            s.bias = bias;
            s.soft.extend(hidden.soft);
        })))
    }

    /// A selection between two values: a mask on scores, or the guard against NaN behind a softmax.
    pub(super) fn iff(&mut self, inputs: &[Value], node: &TypedNode, name: &str) -> ByRows<Value> {
        let [condition, yes, no] = inputs else { return Err(NotByRows) }; // A selection without three operands.
        if let (Value::NanOf(of), Value::Const(_), Value::View(kept)) = (condition, yes, no)
            && of.codes == kept.codes
        {
            return Ok(no.clone());
        }
        let shape = self.shape(node.id.into())?;
        if let Value::View(condition) = condition {
            return self.choose(condition, [yes, no], &shape, name).map(Value::View);
        }
        let (view, fill, hides) = match (yes, no) {
            (Value::Const(fill), Value::View(view)) => (view, fill, true),
            (Value::View(view), Value::Const(fill)) => (view, fill, false),
            _ => return Err(NotByRows), // Only the selection of attention scores by a mask is supported.
        };
        // Only the selection of attention scores by a mask is supported.
        let s = self.scores_of(view).ok_or(NotByRows)?;
        let view = view.broadcast(&shape)?;
        // A mask with several fill values.
        let fill = fill.as_uniform().ok_or(NotByRows)?.cast_to_scalar::<f32>()?;
        if !self::hides(fill)? {
            return Err(NotByRows); // A mask that sets scores to 0 does not hide them.
        }
        let kind = MaskKind::Boolean { hides };
        let hidden = self.mask_of(condition, node.inputs[0], &shape, &view, kind, name)?;
        self.hide(s, &view, Hidden { soft: soft(fill, false, name), ..hidden })
    }
}

/// Pairs of tokens that a bias `[heads, tokens, tokens]` hides in all heads, and what it adds to the scores of the others.
fn split(added: &[f32], tokens: usize) -> ByRows<(Vec<bool>, Vec<f32>)> {
    if added.iter().any(|v| v.is_nan() || *v == f32::INFINITY) {
        return Err(NotByRows); // A bias of attention scores that is no number.
    }
    let hidden = |v: f32| f64::from(v) <= HIDING;
    let pairs: Vec<bool> =
        (0..tokens * tokens).map(|i| added.chunks_exact(tokens * tokens).all(|head| hidden(head[i]))).collect();
    if added.iter().enumerate().any(|(i, &v)| hidden(v) && !pairs[i % pairs.len()]) {
        return Err(NotByRows); // An attention mask that differs between heads.
    }
    let bias = added.iter().map(|&v| if hidden(v) { 0.0 } else { v }).collect();
    Ok((pairs, bias))
}

/// Masks that tell what a function of a mask does, none of them empty.
pub(super) fn probes(tokens: usize) -> Vec<Vec<bool>> {
    let apart = tokens.min(8);
    let some = (0..apart).map(|i| (0..tokens).map(|t| t % apart == i).collect());
    let more = (0..4usize).map(|r| (0..tokens).map(|t| (t * 7919 + r * 104_729) / 13 % 3 != 0).collect());
    some.chain(more).filter(|mask: &Vec<bool>| mask.contains(&true)).collect()
}

/// Whether a masking score hides its key.
fn hides(score: f32) -> ByRows<bool> {
    if score == 0.0 {
        return Ok(false);
    }
    if score > HIDDEN_ABOVE || score.is_nan() {
        return Err(NotByRows); // Neither visible nor hidden.
    }
    Ok(true)
}

/// A hiding score that leaves a trace.
fn soft(value: f32, added: bool, node: &str) -> Option<SoftMask> {
    (f64::from(value) > HIDING).then(|| SoftMask { attention: String::new(), node: node.to_owned(), value, added })
}

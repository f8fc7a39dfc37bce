//! Which tokens the results of a token depend on.

use super::Graph;
use super::ops::Port;

/// What row t of a value depends on, `[tokens, features]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sees {
    /// Rows up to t, and feature `h T + u` is 0 for u > t.
    Hiding,
    /// Rows up to t.
    Past,
    /// Rows up to t; feature `h T + u` on rows up to u as well.
    Key,
    /// Any row.
    All,
}

impl Sees {
    /// What all operands together depend on; rows up to t when there are none.
    pub fn most(operands: &[Sees]) -> Sees {
        operands.iter().copied().max().unwrap_or(Sees::Past)
    }

    /// What the result of an op depends on that works on each row by itself, and mixes its features.
    pub fn apart(operands: &[Sees]) -> Sees {
        if Sees::most(operands) <= Sees::Past { Sees::Past } else { Sees::All }
    }
}

/// Whether a mask, by token, leaves some token without a visible one: the first, where tokens see none that follow
/// (`causal`, asked only if the first is hidden), or all.
pub fn hides_all(mut visible: impl Iterator<Item = bool>, causal: impl FnOnce() -> bool) -> bool {
    visible.next() != Some(true) && (!visible.any(|v| v) || causal())
}

impl Graph {
    /// Whether some attention hides from each token those that follow it.
    pub fn is_causal(&self) -> bool {
        self.nodes.iter().any(|node| node.op.meaning().sees(1, &[Sees::Past]) == Sees::Hiding)
    }

    /// Whether some token sees one that follows it, so that padding would enter the results of true tokens. Never `false`
    /// where one does; `true` for values of pairs of tokens that reach anything but a causal mask.
    pub fn sees_padding(&self, tokens: u32) -> bool {
        let mut seen: Vec<Sees> = Vec::with_capacity(self.nodes.len());
        let mut output = false;
        for node in &self.nodes {
            let operands: Vec<Sees> =
                node.inputs.iter().map(|&id| seen.get(id as usize).copied().unwrap_or(Sees::All)).collect();
            let sees = match Sees::most(&operands) {
                Sees::All => Sees::All,
                _ => node.op.meaning().sees(tokens, &operands),
            };
            output |= matches!(node.op.meaning().port(), Some(Port::Output(_))) && sees > Sees::Past;
            seen.push(sees);
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int::{Node, Op, Term, ops};

    const T: u32 = 3;

    fn push(graph: &mut Graph, op: Op, inputs: &[u32], features: u32) -> u32 {
        graph.push(Node { name: op.name().into(), op, inputs: inputs.to_vec(), features, lo: 0, hi: 0 })
    }

    fn attend(causal: bool) -> Op {
        Op::Attend(ops::Attend { keys: vec![T], table: 0, limbs: 1, over_limbs: 0, causal })
    }

    /// One head whose scores pass through `between` and whose weights go through `weights`.
    fn attention(between: impl Fn(&mut Graph, u32) -> u32, weights: impl Fn(&mut Graph, u32) -> u32) -> bool {
        let mut g = Graph::default();
        let x = push(&mut g, ops::Input { port: 0 }.into(), &[], 2);
        let scores = push(&mut g, ops::Scores { heads: 1, kv_heads: 1, head_dim: 2 }.into(), &[x, x], T);
        let scores = between(&mut g, scores);
        let e = weights(&mut g, scores);
        let y = push(&mut g, ops::Context { heads: 1, kv_heads: 1, head_dim: 2 }.into(), &[e, x], 2);
        push(&mut g, ops::Output { port: 0 }.into(), &[y], 2);
        g.sees_padding(T)
    }

    fn permuted(graph: &mut Graph, x: u32, by: u32) -> u32 {
        let rows = (0..T).map(|j| vec![Term { input: 0, feature: (j + by) % T, coef: 1 }]).collect();
        push(graph, ops::Affine { rows }.into(), &[x], T)
    }

    #[test]
    fn a_causal_mask_hides_what_follows() {
        let mask = |causal| move |g: &mut Graph, s| push(g, attend(causal), &[s], T);
        assert!(!attention(|_, s| s, mask(true)));
        assert!(attention(|_, s| s, mask(false)));
        // A bias by key and narrower weights change nothing.
        assert!(!attention(|g, s| permuted(g, s, 0), mask(true)));
        let narrow = Op::Requant(ops::Requant { limbs: 1, out_limbs: 1, clamp: true });
        assert!(!attention(
            |_, s| s,
            |g, s| {
                let e = mask(true)(g, s);
                push(g, narrow.clone(), &[e], T)
            }
        ));
    }

    #[test]
    fn what_goes_around_the_mask_is_seen() {
        let causal = |g: &mut Graph, s| push(g, attend(true), &[s], T);
        // Scores of other keys, weights of other keys, weights that no mask made.
        assert!(attention(|g, s| permuted(g, s, 1), causal));
        assert!(attention(
            |_, s| s,
            |g, s| {
                let e = causal(g, s);
                permuted(g, e, 1)
            }
        ));
        assert!(attention(|_, s| s, |_, s| s));
        // Scores that leave the layer.
        let mut g = Graph::default();
        let x = push(&mut g, ops::Input { port: 0 }.into(), &[], 2);
        let scores = push(&mut g, ops::Scores { heads: 1, kv_heads: 1, head_dim: 2 }.into(), &[x, x], T);
        push(&mut g, ops::Output { port: 0 }.into(), &[scores], T);
        assert!(g.sees_padding(T) && g.sees_padding(0));
    }

    /// Context of these weights and values, as the output of a layer with the input x and its masked weights e.
    fn context(operands: impl Fn(&mut Graph, u32, u32) -> [u32; 2]) -> bool {
        let mut g = Graph::default();
        let x = push(&mut g, ops::Input { port: 0 }.into(), &[], T);
        let scores = push(&mut g, ops::Scores { heads: 1, kv_heads: 1, head_dim: T }.into(), &[x, x], T);
        let e = push(&mut g, attend(true), &[scores], T);
        let operands = operands(&mut g, x, e);
        let y = push(&mut g, ops::Context { heads: 1, kv_heads: 1, head_dim: T }.into(), &operands, T);
        push(&mut g, ops::Output { port: 0 }.into(), &[y], T);
        g.sees_padding(T)
    }

    #[test]
    fn a_context_needs_masked_weights_and_values_of_the_past() {
        assert!(!context(|_, x, e| [e, x]));
        // Weights that are no mask's, though each is one of the past.
        assert!(context(|_, x, _| [x, x]));
        // Values that see their keys.
        assert!(context(|g, x, e| {
            [e, push(g, ops::Scores { heads: 1, kv_heads: 1, head_dim: T }.into(), &[x, x], T)]
        }));
        // A mask over what sees all already.
        assert!(context(|g, x, _| {
            let all = push(g, ops::Context { heads: 1, kv_heads: 1, head_dim: T }.into(), &[x, x], T);
            let scores = push(g, ops::Scores { heads: 1, kv_heads: 1, head_dim: T }.into(), &[all, all], T);
            [push(g, attend(true), &[scores], T), x]
        }));
        // Scores with a number of the looking token added, whatever feature it is.
        assert!(!context(|g, x, _| {
            let scores = push(g, ops::Scores { heads: 1, kv_heads: 1, head_dim: T }.into(), &[x, x], T);
            let term = |input, feature| Term { input, feature, coef: 1 };
            let rows = (0..T).map(|j| vec![term(0, j), term(1, 0)]).collect();
            let sum = push(g, ops::Affine { rows }.into(), &[scores, x], T);
            [push(g, attend(true), &[sum], T), x]
        }));
    }
}

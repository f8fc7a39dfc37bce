//! Products from which one factor is left out, for all tokens.

use super::{Forger, Out};
use nanozk_ir::int::ops::{Gadget, MatMul};
use nanozk_ir::int::{Op, ops};

impl Forger<'_> {
    /// How many factors [`Forger::left_out`] knows.
    pub(super) fn factors(&self, id: usize) -> usize {
        match *self.op(id) {
            Op::Linear(ops::Linear { bias, positions, .. }) => {
                self.operand(id, 0).0 / positions as usize + usize::from(bias.is_some())
            }
            Op::Diagonal(ops::Diagonal { bias, positions, .. }) => {
                self.operand(id, 0).0 / positions as usize + usize::from(bias.is_some())
            }
            Op::TokenBias(ops::TokenBias { weight }) => self.net.model.shapes[0].weights[weight as usize].0 as usize,
            Op::Scores(ops::Scores { kv_heads, head_dim, .. }) => (kv_heads * head_dim) as usize,
            Op::Context(ops::Context { kv_heads, .. }) => (kv_heads * self.net.model.tokens) as usize,
            Op::Gadget(Gadget::MatMul(MatMul { batch, inner, .. })) => (batch * inner) as usize,
            _ => 0,
        }
    }

    /// The product without factor `n`: an input or the bias of a matrix at all positions, a feature of a key head, a key.
    pub(super) fn left_out(&self, id: usize, n: usize, out: Out) {
        let tokens = self.net.model.tokens as usize;
        let width = self.net.model.shapes[0].nodes[id].features as usize;
        let weights = &self.net.model.layers[0].weights;
        let entry = |weight: u32, row: usize, j: usize, outputs: usize| {
            i64::from(weights[weight as usize][row * outputs + j % outputs])
        };
        let mut values = self.net.values[id].clone();
        for (at, value) in values.iter_mut().enumerate() {
            let (t, j) = (at / width, at % width);
            *value -= match *self.op(id) {
                Op::Linear(ops::Linear { weight, bias, positions }) => {
                    let (features, x) = self.operand(id, 0);
                    let (inputs, outputs) = (features / positions as usize, width / positions as usize);
                    match bias {
                        Some(bias) if n == inputs => entry(bias, 0, j, outputs),
                        _ => x[t * features + j / outputs * inputs + n] * entry(weight, n, j, outputs),
                    }
                }
                Op::Diagonal(ops::Diagonal { weight, bias, positions }) => {
                    let rows = width / positions as usize;
                    match bias {
                        Some(bias) if n == rows => entry(bias, 0, j, rows),
                        _ if n == j % rows => self.operand(id, 0).1[at] * entry(weight, n, 0, 1),
                        _ => 0,
                    }
                }
                Op::TokenBias(ops::TokenBias { weight }) => {
                    let rows = weights[weight as usize].len() / width;
                    if t % rows == n { entry(weight, n, j, width) } else { 0 }
                }
                Op::Gadget(Gadget::MatMul(MatMul { rows, inner, cols, .. })) => {
                    let (row, c, inner) = (j / cols as usize, j % cols as usize, inner as usize);
                    let (b, i) = (row / rows as usize, n % inner);
                    let reads = b == n / inner;
                    let (x, z) = (self.operand(id, 0).1, self.operand(id, 1).1);
                    i64::from(reads) * x[row * inner + i] * z[n * cols as usize + c]
                }
                Op::Scores(ops::Scores { heads, kv_heads, head_dim }) => {
                    let ((q_width, q), (k_width, k)) = (self.operand(id, 0), self.operand(id, 1));
                    let (head, u) = (j / tokens, j % tokens);
                    let (kv, c) = (n / head_dim as usize, n % head_dim as usize);
                    let reads = head / (heads / kv_heads) as usize == kv;
                    i64::from(reads) * q[t * q_width + head * head_dim as usize + c] * k[u * k_width + n]
                }
                Op::Context(ops::Context { heads, kv_heads, head_dim }) => {
                    let ((e_width, e), (v_width, v)) = (self.operand(id, 0), self.operand(id, 1));
                    let (head, c) = (j / head_dim as usize, j % head_dim as usize);
                    let (kv, u) = (n / tokens, n % tokens);
                    let reads = head / (heads / kv_heads) as usize == kv;
                    i64::from(reads) * e[t * e_width + head * tokens + u] * v[u * v_width + kv * head_dim as usize + c]
                }
                _ => 0,
            };
        }
        let what = format!("{} {id}: factor {n}", self.op(id).name());
        self.complete("factor left out", &what, id, &values, &[], out);
    }
}

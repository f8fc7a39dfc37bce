//! The lowering of each op.

mod affine;
mod argmax;
mod attend;
mod attention;
mod matrix;
mod port;
mod product;
mod recip;
mod requant;
mod rsqrt;
mod table;

use super::emit::{Emitter, operand_error};
use super::error::LayoutError;
use super::expr::Expr;
use nanozk_ir::int::{Op, ValueId};

impl Emitter<'_> {
    /// Lowers one node; the expressions of its features.
    pub fn lower_node(&mut self, id: ValueId) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(id);
        match &node.op {
            Op::Input { port } => self.lower_input(id, *port),
            Op::Output { port } => self.lower_output(id, *port),
            Op::Embed { weight, vocab } => self.lower_embed(id, *weight, *vocab),
            Op::TokenBias { weight } => self.lower_token_bias(id, *weight),
            Op::Linear { weight, bias, positions: 1 } => self.lower_linear(id, *weight, *bias),
            Op::Linear { .. } => Err(operand_error(node, "no circuit for several positions yet".into())),
            Op::Const { rows, data } => self.lower_const(id, *rows, data),
            Op::Param { first } => self.lower_param(id, *first),
            Op::Affine { rows } => self.lower_affine(id, rows),
            Op::Requant { limbs, out_limbs, clamp } => self.lower_requant(id, *limbs, *out_limbs, *clamp),
            Op::Range { limbs } => self.lower_range(id, *limbs),
            Op::Table { table } => self.lower_table(id, *table),
            Op::Mul => self.lower_mul(id),
            Op::Recip { param } => self.lower_recip(id, *param),
            Op::RSqrt { param } => self.lower_rsqrt(id, *param),
            Op::Scores { heads, kv_heads, head_dim } => self.lower_scores(id, *heads, *kv_heads, *head_dim),
            Op::Attend { keys, .. } if keys.iter().any(|&keys| keys != self.tokens) => {
                Err(operand_error(node, "no circuit for groups of other sizes than T yet".into()))
            }
            Op::Attend { keys, table, limbs, over_limbs, causal } => {
                let shape = attend::AttendShape {
                    heads: keys.len() as u32,
                    table: *table,
                    limbs: *limbs,
                    over_limbs: *over_limbs,
                    causal: *causal,
                };
                self.lower_attend(id, shape)
            }
            Op::Context { heads, kv_heads, head_dim } => self.lower_context(id, *heads, *kv_heads, *head_dim),
            Op::ArgMax { groups: 1, limbs } => self.lower_argmax(id, *limbs),
            Op::ArgMax { .. } => Err(operand_error(node, "no circuit for several groups yet".into())),
            Op::Gadget(_) => Err(operand_error(node, "no circuit yet".into())),
        }
    }
}

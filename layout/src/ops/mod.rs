//! The circuit of each op. Those of the registry's ops implement [`Circuit`], one file each.

mod affine;
mod argmax;
mod attend;
mod attention;
mod bits;
mod div;
mod floor_div;
mod matmul;
mod matrix;
mod max;
mod normalise;
mod one_hot;
mod port;
mod product;
mod recip;
mod requant;
mod root;
mod rsqrt;
mod step;
mod table;
mod top_k;

use super::emit::{Emitter, operand_error};
use super::error::LayoutError;
use super::expr::Expr;
use nanozk_ir::each_gadget;
use nanozk_ir::int::gadgets::{Meaning, Site};
use nanozk_ir::int::{Op, ValueId};

/// The circuit of an op of the registry.
trait Circuit: Meaning {
    /// Adds the node's cells and facts; the expressions of its features. The site has passed [`Meaning::check`], so the
    /// node has its operands.
    ///
    /// # Errors
    /// When a quantity is too wide for a proof's integers.
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError>;
}

impl Emitter<'_> {
    /// Lowers one node; the expressions of its features.
    pub fn lower_node(&mut self, id: ValueId) -> Result<Vec<Expr>, LayoutError> {
        let node = self.node(id);
        match &node.op {
            Op::Input { port } => self.lower_input(id, *port),
            Op::Output { port } => self.lower_output(id, *port),
            Op::Embed { weight, vocab } => self.lower_embed(id, *weight, *vocab),
            Op::TokenBias { weight } => self.lower_token_bias(id, *weight),
            Op::Linear { weight, bias, positions } => self.lower_linear(id, *weight, *bias, *positions),
            Op::Diagonal { weight, bias, positions } => self.lower_diagonal(id, *weight, *bias, *positions),
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
            Op::Attend { keys, table, limbs, over_limbs, causal } => {
                let (table, limbs, over_limbs, causal) = (*table, *limbs, *over_limbs, *causal);
                self.lower_attend(id, attend::AttendShape { keys, table, limbs, over_limbs, causal })
            }
            Op::Context { heads, kv_heads, head_dim } => self.lower_context(id, *heads, *kv_heads, *head_dim),
            Op::ArgMax { groups, limbs } => self.lower_argmax(id, *groups, *limbs),
            Op::Gadget(gadget) => {
                let widths: Vec<usize> = node.inputs.iter().map(|&input| self.node(input).features as usize).collect();
                let (tokens, features) = (self.tokens as usize, node.features as usize);
                let site = Site { tokens, limb_bits: self.bits, widths: &widths, features };
                gadget.meaning().check(&site).map_err(|reason| operand_error(node, reason))?;
                each_gadget!(gadget, gadget => gadget.emit(self, id, &site))
            }
        }
    }
}

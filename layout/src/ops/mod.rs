//! The circuit of each op, one file each: what the engines ask of it is a method of [`Circuit`].

mod affine;
mod argmax;
mod attend;
mod attention;
mod bits;
mod constant;
mod context;
mod diagonal;
mod div;
mod embed;
mod floor_div;
mod input;
mod linear;
mod matmul;
mod matrix;
mod max;
mod mul;
mod normalise;
mod one_hot;
mod output;
mod param;
mod port;
mod product;
mod range;
mod recip;
mod requant;
mod root;
mod rsqrt;
mod scores;
mod step;
mod table;
mod token_bias;
mod top_k;

use super::emit::Emitter;
use super::error::LayoutError;
use super::expr::Expr;
use super::fill::Quantity;
use nanozk_ir::each_op;
use nanozk_ir::int::ops::{Meaning, Site};
use nanozk_ir::int::{Op, ValueId};

/// The argument for cells that are unique since others are.
const FOLLOWS: &str = "follows from these";

/// The circuit of an op.
pub trait Circuit: Meaning {
    /// Adds the node's cells and facts; the expressions of its features. The site has passed [`Meaning::check`].
    ///
    /// # Errors
    /// When a quantity is too wide for a proof's integers.
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError>;

    /// An upper bound of its cells and of the terms of its expressions, of one token: how many for each feature that it
    /// reads or writes, and how many others. The site need not have passed [`Meaning::check`].
    fn size(&self, site: &Site) -> (u64, u64);

    /// Why the cells of a quantity are unique that the plan check does not follow (docs/protocol.md, section 9).
    fn argument(&self, _: Quantity) -> &'static str {
        FOLLOWS
    }

    /// Adds how often each feature of an operand is read, which for most is once.
    fn reads(&self, _: &Site, _operand: u32, uses: &mut [u32]) {
        uses.iter_mut().for_each(|u| *u += 1);
    }
}

/// The op's circuit.
pub fn circuit(op: &Op) -> &dyn Circuit {
    each_op!(op, op => op)
}

/// Why the cells of a quantity of an op are unique that the plan check does not follow (docs/protocol.md, section 9).
pub fn argument(op: &Op, quantity: Quantity) -> &'static str {
    circuit(op).argument(quantity)
}

/// Limbs of a quantity of any width.
fn any_limbs(site: &Site) -> u64 {
    64u32.div_ceil(site.limb_bits.max(1)).into()
}

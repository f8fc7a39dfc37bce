//! Products of two activations: the right operand is read a second time as rows of B, from signed copies of its cells.

use crate::emit::Emitter;
use crate::expr::SpaceId;
use crate::fill::Quantity;
use nanozk_ir::int::ValueId;

impl Emitter<'_> {
    /// Signed copies of a right operand; the first of them in the space.
    pub fn right_operand(&mut self, x: ValueId, space: SpaceId) -> u32 {
        let first = self.out.spaces[space as usize].len;
        let cells = self.raw(space, x, Quantity::Value, self.node(x).features);
        self.copy(x, &cells);
        first
    }
}

//! Why a layer shape cannot be lowered.

use nanozk_ir::int::ops::Misfit;

/// What of a layer does not fit a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// Rows of the table of limbs, or of all tokens of one slot, in any circuit.
    #[error("the range table of 2^{limb_bits} entries or one slot does not fit")]
    Rows {
        /// Width of the range table.
        limb_bits: u32,
    },
    /// The same in the circuit that was chosen.
    #[error("a table of 2^{limb_bits} entries or one slot of {tokens} rows does not fit")]
    ChosenRows {
        /// Width of the range table.
        limb_bits: u32,
        /// Tokens.
        tokens: u32,
    },
    /// Columns of weights beyond what any plan has.
    #[error("{0} weight columns are too many")]
    Columns(u32),
    /// Exponents or terms of its products.
    #[error("its products have too many outputs or terms")]
    Products,
    /// Rows of its products.
    #[error("its products need {needed} rows of {columns} weight columns, 2^{k} rows hold {room}")]
    ProductRows {
        /// Rows needed.
        needed: u64,
        /// Weight columns.
        columns: u32,
        /// The circuit has 2^k rows.
        k: u32,
        /// Rows that are free.
        room: u64,
    },
}

/// A shape that has no plan, or none within the limits asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A port index of the graph is outside the ports given.
    #[error("node '{node}' reads or writes port {port}, but the layer has {count} such ports")]
    Port {
        /// Name of the node.
        node: String,
        /// The port.
        port: u32,
        /// Ports that exist.
        count: usize,
    },
    /// The node's operands do not have the shape its op needs.
    #[error("node '{node}' ({op}): {reason}")]
    Operand {
        /// Name of the node.
        node: String,
        /// Name of the op.
        op: &'static str,
        /// What is wrong.
        reason: Misfit,
    },
    /// A value is too wide for the proof's integers.
    #[error(
        "node '{node}' ({op}): {what} needs {bits} bits, at most {limit} are supported; lower the scales of its operands"
    )]
    TooWide {
        /// Name of the node.
        node: String,
        /// Name of the op.
        op: &'static str,
        /// The quantity.
        what: &'static str,
        /// Bits it needs.
        bits: u32,
        /// Bits that are supported.
        limit: u32,
    },
    /// An equation that is not shown to hold over the integers.
    #[error("node '{node}' ({op}): {reason}")]
    Wraps {
        /// Name of the node.
        node: String,
        /// Name of the op.
        op: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A graph that asks for more than it may.
    #[error(
        "it takes {units} more cells and terms where {left} are left; a graph may take as many as its plan, and some more"
    )]
    TooLarge {
        /// Cells or terms asked for.
        units: u64,
        /// Those left.
        left: u64,
    },
    /// A factor of a linear fact does not fit 64 bits.
    #[error("a linear fact needs a factor that exceeds 64 bits; lower the scales of the layer")]
    Coefficient,
    /// No geometry holds the layer.
    #[error("no circuit of 2^{min_k} to 2^{max_k} rows holds the layer: {reason}")]
    DoesNotFit {
        /// Least k tried.
        min_k: u32,
        /// Greatest k tried.
        max_k: u32,
        /// What did not fit.
        reason: Excess,
    },
}

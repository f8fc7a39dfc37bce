//! Why a layer shape cannot be lowered.

use nanozk_ir::int::ops::Misfit;

/// A shape that has no plan, or none within the limits asked for.
#[derive(Debug, thiserror::Error)]
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
        reason: String,
    },
}

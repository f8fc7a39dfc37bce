//! What a plan is refused for, and the greatest sizes of a plan.

use crate::{Port, SlotId};

/// Greatest k of a plan.
pub const MAX_K: u32 = 20;
/// Greatest number of slots, of terms of all equations, and of exponents.
pub const MAX_ITEMS: u64 = 1 << 22;
/// Greatest number of terms per slot: a short file can repeat an equation as often as it likes.
pub const MAX_TERMS_PER_SLOT: u64 = 32;
/// Greatest number of columns of each kind, and of gates: some hundred times what a layer needs.
pub const MAX_COLUMNS: u64 = 1 << 12;
/// Greatest number of lanes that the forms of all gates name.
pub const MAX_FORM_TERMS: u64 = 1 << 14;
/// Greatest number of rows of all columns, gates and lookups.
pub const MAX_CELLS: u64 = 1 << 27;
/// Greatest number of slots with free cells.
pub const MAX_FREE_SLOTS: u64 = 1 << 20;
/// Greatest number of free cells.
pub const MAX_FREE_CELLS: u64 = 1 << 24;

/// Why a plan is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A size is out of bounds.
    #[error("{what} is {found}, at most {limit} is allowed")]
    Size {
        /// Which size.
        what: &'static str,
        /// Its value.
        found: u64,
        /// Its bound.
        limit: u64,
    },
    /// An index names nothing.
    #[error("{place} names {what} {index}, which does not exist")]
    Index {
        /// Where.
        place: String,
        /// What kind of thing.
        what: &'static str,
        /// The index.
        index: i64,
    },
    /// Fixed runs overlap, are not ascending or leave the data rows, or a selector is not 0 or 1.
    #[error("fixed column {column}: {reason}")]
    Fixed {
        /// The column.
        column: u32,
        /// What is wrong.
        reason: &'static str,
    },
    /// Two claims have one monomial, so that one output can make up for the other.
    #[error("two claims have the monomial rho^{rho} eta^{eta}")]
    Monomial {
        /// Exponent of rho.
        rho: u32,
        /// Exponent of eta.
        eta: u32,
    },
    /// Rows of A and B do not fit together.
    #[error("row {row} of the products: {reason}")]
    Row {
        /// The row.
        row: u32,
        /// What is wrong.
        reason: &'static str,
    },
    /// A slot that the plan reads is not determined.
    #[error("slot {slot} (lane '{lane}', group {group}) is read, but nothing determines it")]
    Unpinned {
        /// The slot.
        slot: SlotId,
        /// Name of its lane.
        lane: String,
        /// Its group.
        group: u32,
    },
    /// The factors of a slot in one equation add up to more than 64 bits.
    #[error("the factors of slot {slot} in one equation add up to more than 64 bits")]
    Coefficient {
        /// The slot.
        slot: SlotId,
    },
    /// A slot with free rows is read by more than the one equation that it may absorb.
    #[error("slot {slot} (lane '{lane}') has free rows and is read {reads} times; only one equation may read it")]
    FreeRead {
        /// The slot.
        slot: SlotId,
        /// Name of its lane.
        lane: String,
        /// How often it is read.
        reads: u32,
    },
    /// A feature of an output that no equation ties to anything.
    #[error("feature {feature} of {port:?} enters no equation")]
    Unbound {
        /// The output.
        port: Port,
        /// Its feature.
        feature: u32,
    },
    /// A boundary shares its port or a lane with another, or names a lane that is not its own.
    #[error("the tensor of {port:?} {reason}")]
    Boundary {
        /// The port.
        port: Port,
        /// What is wrong.
        reason: &'static str,
    },
    /// An equation that no committed or hidden value enters fails or says nothing.
    #[error("relation {index} has no terms")]
    Empty {
        /// The relation.
        index: usize,
    },
}

/// Refuses what is greater than its limit.
///
/// # Errors
/// [`CheckError::Size`].
pub fn size(what: &'static str, found: u64, limit: u64) -> Result<(), CheckError> {
    if found <= limit { Ok(()) } else { Err(CheckError::Size { what, found, limit }) }
}

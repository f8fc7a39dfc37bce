//! Lowering of an integer layer shape to its constraint plan.
//!
//! Three steps: [`emit`] walks the graph and says, op by op, which cells exist and which linear facts, row products
//! and lookups bind them (no lane numbers yet); [`place`] gives every cell a lane and a group for one geometry;
//! [`choose`] repeats that over the geometries worth trying and keeps the cheapest by the cost model.

mod choose;
mod emit;
mod error;
mod expr;
mod fill;
mod hidden;
mod merge;
mod ops;
mod options;
mod place;
mod share;
mod space;
pub mod witness;

pub use choose::lower;
pub use error::LayoutError;
pub use fill::{Fill, Lowered, Part};
pub use options::{Options, PortSpec, Ports};

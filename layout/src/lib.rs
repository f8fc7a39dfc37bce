//! Lowering of an integer layer shape to its constraint plan.
//!
//! Three steps: [`walk`] goes through the graph and says, op by op, which cells exist and which linear facts, row products
//! and lookups bind them (no lane numbers yet); [`place`] gives every cell a lane and a group for one geometry;
//! [`lower`] repeats that over the choices worth trying and keeps the cheapest by the cost model, [`Derived`] does it
//! once for given choices and shows that no equation can wrap around the field ([`bounds`]).

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

mod bounds;
mod budget;
mod choose;
mod derive;
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
mod size;
mod space;
mod walk;
pub mod witness;

pub use bounds::{Bounds, Known};
pub use budget::Budget;
pub use choose::lower;
pub use derive::{Derived, lower_with};
pub use error::{Excess, LayoutError};
pub use fill::{Fill, Lowered, Quantity};
pub use ops::argument;
pub use options::{Choices, Options, PortSpec, Ports, Squares};
pub use size::size;

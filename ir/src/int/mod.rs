//! The integer model: what a proof says, to the unit.
//!
//! A model is a chain of layers. Each layer instantiates a [`Graph`] (its *shape*: structure only) with its own
//! weights, tables and parameters. [`interp`] gives every op its meaning.

pub mod gadgets;
mod graph;
pub mod interp;
mod model;
mod op;
pub mod ranges;

pub use graph::{Graph, Node, ValueId};
pub use model::{Layer, Model, Role, Tensor, TensorId};
pub use op::{Op, Term};

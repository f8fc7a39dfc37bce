//! The integer model: what a proof says, to the unit.
//!
//! A model is a chain of layers. Each layer instantiates a [`Graph`] (its *shape*: structure only) with its own
//! weights, tables and parameters. [`interp`] gives every op its meaning.

pub mod causal;
mod graph;
pub mod gumbel;
mod held;
pub mod interp;
mod model;
pub mod ops;
pub mod packed;
pub mod ranges;
pub mod table;

pub use graph::{Graph, Node, ValueId};
pub use held::{Held, HeldError, Known, Place, WeightFile};
pub use model::{Architecture, Layer, Model, Role, Tensor, TensorId, Weights};
pub use ops::{Op, affine::Term};
pub use table::{Curve, Table};

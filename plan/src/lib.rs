//! The constraint IR: what one layer's proof consists of, as data.
//!
//! A [`Plan`] describes the circuit of one layer shape. The prover, the verifier, the cost model, the checks and the
//! attack harness all read it; nothing else decides what is constrained.
//!
//! **Cells.** Small integers live in *lanes* (committed columns). A lane is cut into *slots* of `tokens` rows: one
//! slot holds one feature of one activation for all tokens. Work that mixes cells of one row (products, lookups)
//! is a [`Gate`] or a [`Lookup`].
//!
//! **Compression.** Everything linear happens between *compressed slots* `V[s] = sum_t theta^(T-1-t) cell(s, t)`, with
//! theta drawn after the lanes are committed: a sparse linear [`Relation`] over V stands for T relations over cells.
//! Products with hidden weights and of two activations are one bilinear identity ([`Claim`] = sum of [`Operand`] times
//! folded weights plus [`Functional`]).

mod boundaries;
pub mod check;
pub mod cost;
mod defect;
pub mod format;
pub mod functional;
pub mod geometry;
pub mod hiding;
pub mod mock;
mod pinned;
mod products;
pub mod slots;
pub mod text;
pub mod types;
pub mod value_info;
pub mod work;

pub use functional::{Functional, FunctionalEntry, TokenWeight};
pub use geometry::{Geometry, MASK_ROWS, SPAN_ROWS};
pub use text::Text;
pub use types::*;
pub use value_info::{ElementMap, ElementType, ValueError, ValueInfo};

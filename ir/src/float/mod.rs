//! The canonical float graph: what the front end produces and the quantiser consumes.
//!
//! Every activation is a matrix `[tokens, features]`, row-major; attention heads are flattened into features
//! (`feature = head * head_dim + c`). A model without a token axis has `tokens = 1`.

#[cfg(feature = "graph")]
mod eval;
mod floats;
mod formula;
#[cfg(feature = "graph")]
mod graph;
mod op;
mod unary;

#[cfg(feature = "graph")]
pub use eval::{EvalError, InputValue, Observer, eval};
pub use floats::{Floats, Shared, Store};
pub use formula::{Binary, Formula, Step, single};
#[cfg(feature = "graph")]
pub use graph::{Graph, Node, NodeId};
pub use op::{HIDDEN, HIDING, Hidden, InputKind, NormKind, Op, PICK_ZERO, UnaryFn};

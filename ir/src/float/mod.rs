//! The canonical float graph: what the front end produces and the quantiser consumes.
//!
//! Every activation is a matrix `[tokens, features]`, row-major; attention heads are flattened into features
//! (`feature = head * head_dim + c`). A model without a token axis has `tokens = 1`.

mod eval;
mod formula;
mod graph;
mod op;
mod unary;

pub use eval::{EvalError, InputValue, Observer, eval};
pub use formula::{Binary, Formula, Step};
pub use graph::{Graph, Node, NodeId};
pub use op::{InputKind, NormKind, Op, UnaryFn};

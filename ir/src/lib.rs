//! The nanozk intermediate representation.
//!
//! Two graphs live here, and neither knows where it came from (ONNX) nor where it goes (Halo2):
//!
//! * [`float`]: the canonical *float* graph, a transformer-level op set over `[tokens, features]` activations;
//! * [`int`]: the *integer* graph, small primitives over exact integers, with the **reference interpreter**:
//!   the one definition of what a proof says.

pub mod float;
pub mod int;

//! `LSTM`, `GRU` and `RNN`: one set of plain nodes for each step of the sequence.
//!
//! What does not depend on the state, `X W' + b`, is one product over all steps. Shapes as in ONNX: the sequence `[steps,
//! batch, features]`, the state of one direction `[batch, hidden]`.

mod function;
mod gru;
mod lstm;
mod rnn;
mod unroll;

pub(super) use gru::gru;
pub(super) use lstm::lstm;
pub(super) use rnn::rnn;

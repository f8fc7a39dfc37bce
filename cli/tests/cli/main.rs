//! The built binary from outside.

mod bad_input;
mod common;
mod gpt;
mod onnx;
mod pipeline;
mod supply_chain;

//! The built binary from outside.

mod bad_input;
mod bench;
mod common;
mod gpt;
mod onnx;
mod pipeline;
mod supply_chain;

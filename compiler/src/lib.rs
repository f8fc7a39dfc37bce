//! From an ONNX file to a quantised model with one constraint plan per layer shape.
//!
//! [`frontend`] reads the model into a canonical float graph, [`partition`] cuts it into layers, [`quantise`] gives each
//! layer exact integers, the layout crate gives each layer shape its circuit; [`pipeline`] does it all, and [`artifact`]
//! is the result. [`fidelity`] measures what the integers lose, and [`widths`] gives them the bits to lose little.

pub mod artifact;
mod blame;
mod circuits;
pub mod config;
pub mod data;
pub mod error;
mod excerpt;
pub mod fidelity;
pub mod frontend;
pub mod head;
mod lengths;
pub mod onnx;
pub mod partition;
pub mod pipeline;
pub mod quantise;
mod scores;
pub mod setting;
mod stored;
pub mod tokenizer;
mod way_out;
mod widths;

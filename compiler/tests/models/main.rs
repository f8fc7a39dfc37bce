//! The compiler on small models that are written by code.

mod functions;
mod onnx;
mod positions;

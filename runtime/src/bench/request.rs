//! What `nanozk bench` is asked for.

use super::synthetic::Seeded;
use crate::compile::Visibility;
use std::path::PathBuf;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Request {
    /// Model folders (`network.onnx`, `input.json`, optional `eval.json`), or ONNX files with these beside them.
    pub models: Vec<PathBuf>,
    /// Models to make and measure after them.
    pub seeded: Vec<Seeded>,
    /// Counted runs of every step, at least 1.
    pub repeat: usize,
    /// Runs of every step before them that are not counted.
    pub warmup: usize,
    /// Whether circuits lean to what the SRS of this program serves, as by default; else they are what costs least.
    pub served: bool,
    /// Whether one layer of each shape is set up, proven and verified in place of all, and the costs of all are extrapolated.
    pub excerpt: bool,
    /// Who sees the input, if not as the settings say.
    pub input: Option<Visibility>,
    /// Page to write.
    pub html: Option<PathBuf>,
    /// Markdown table to write.
    pub markdown: Option<PathBuf>,
    /// Program and leading arguments that take a step as last argument and print its [`super::step::Measure`] as JSON.
    pub worker: Vec<std::ffi::OsString>,
}

//! The commands of nanozk as library calls: each takes a request and returns a report that prints as text or as JSON.

pub mod answer;
pub mod architecture;
pub mod audit;
pub mod bench;
pub mod check;
pub mod clamped;
pub mod commit;
mod compare;
pub mod compile;
pub mod decoding;
pub mod demo;
mod error;
mod eval;
pub mod generate;
pub mod input;
pub mod inspect;
pub mod jobs;
pub mod keys;
pub mod layer;
pub mod memory;
mod page;
pub mod plan;
mod pool;
mod progress;
pub mod prove;
pub mod report;
pub mod run;
pub mod sensitivity;
pub mod setup;
pub mod shown;
pub mod srs;
pub mod storage;
mod table;
pub mod verify;

pub use error::{Error, Refusal, Result, one_line};
pub use nanozk_proof::verify::hex;
pub use progress::{Progress, Silent};

use nanozk_compiler::artifact::Artifact;
use std::path::Path;

/// Reads a compiled model.
///
/// # Errors
/// A file that is no model.
pub fn load_model(path: &Path) -> Result<Artifact> {
    Artifact::from_bytes(&storage::read(path)?).map_err(Error::format(path))
}

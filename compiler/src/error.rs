//! Why a model cannot be compiled.

use crate::config::ConfigError;
use crate::data::DataError;
use crate::fidelity::FidelityError;
use crate::frontend::FrontendError;
use crate::head::HeadError;
use crate::quantise::QuantiseError;
use crate::tokenizer::TokenizerError;
use crate::way_out::Line;
use nanozk_layout::LayoutError;
use nanozk_plan::hiding::HidingError;

/// Why a model cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The settings file.
    #[error("{0}; `nanozk compile --help` and README.md list the settings")]
    Config(#[from] ConfigError),
    /// Settings that contradict each other.
    #[error(
        "the index of the greatest score cannot be private; compile with `--output public`, or with `--head logits`"
    )]
    PrivateArgmax,
    /// Noise on an output that is no choice, or on several.
    #[error(
        "answers are drawn from the scores of one output; compile with `--head argmax`, and `--outputs` with one name"
    )]
    Noise,
    /// The tokenizer, or a token that it lacks.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The model.
    #[error("{}", Line(.0))]
    Frontend(#[from] FrontendError),
    /// An input file.
    #[error("{}; {}", .0, .0.way_out())]
    Data(#[from] DataError),
    /// An output without a greatest score.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Quantisation.
    #[error("{}", Line(.0))]
    Quantise(#[from] QuantiseError),
    /// Outputs that are further from the source model's than the tolerance, at all widths.
    #[error(
        "output \"{output}\" is up to {gap:.1e} of its greatest value from the source model's on the sample data \
         (tolerance {tolerance:.1e}) even with activations of {limb_bits} bits{}; raise `quantise.tolerance` in the \
         settings, or compile with --accept-gap",
        node.as_ref().map(|n| format!(": {n}")).unwrap_or_default()
    )]
    Gap {
        /// Name of the output.
        output: String,
        /// Largest difference as a share of the greatest value.
        gap: f64,
        /// What is allowed.
        tolerance: f64,
        /// Widest limbs that were tried.
        limb_bits: u32,
        /// What is lost where.
        node: Option<String>,
    },
    /// An output that is no number on the sample data.
    #[error(
        "the model gives no number (NaN) at value {index} of output \"{output}\" on sample {sample}, and no integer stands \
         for that; give sample data on which it gives numbers, keep other outputs with --outputs, or compile with --accept-gap"
    )]
    NoNumber {
        /// Name of the output.
        output: String,
        /// Which of its values, row-major.
        index: usize,
        /// Which sample, from 0.
        sample: usize,
    },
    /// The sample data cannot be run.
    #[error("{}", Line(.0))]
    Fidelity(#[from] FidelityError),
    /// Layout.
    #[error("layer shape {shape}: {}", Line(source))]
    Layout {
        /// Index of the shape.
        shape: usize,
        /// Cause.
        source: LayoutError,
    },
    /// Hidden tensors that are read too often, or lookups that hide too little.
    #[error("{0}; make the tensor public or cut the model into smaller parts")]
    Hiding(#[from] HidingError),
    /// No common number of rows for all shapes.
    #[error(
        "the layers do not fit circuits of up to 2^{max_k} rows: {reason}; allow more rows or cut the model into smaller \
         parts"
    )]
    TooLarge {
        /// Largest k that was allowed.
        max_k: u32,
        /// What does not fit.
        reason: String,
    },
    /// A layer that no circuit holds at this length.
    #[error(
        "`--set {names}`: the largest layer would look up {lookups:.1e} values, more than a circuit holds; set at most \
         {greatest}"
    )]
    TooLong {
        /// What was set.
        names: String,
        /// Lookups of the largest layer.
        lookups: f64,
        /// The greatest length that a circuit may hold.
        greatest: usize,
    },
}

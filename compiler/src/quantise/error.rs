//! Why a model cannot be quantised.

use nanozk_ir::{
    float::{EvalError, NodeId},
    int::ranges::RangeError,
};

/// Why a model cannot be quantised.
#[derive(Debug, thiserror::Error)]
pub enum QuantiseError {
    /// An op, or a use of it, that has no integer form.
    #[error("node `{node}` ({op}): {why}")]
    Unsupported {
        /// Node of the float graph.
        node: String,
        /// Its op.
        op: &'static str,
        /// What is missing and the way out.
        why: String,
    },
    /// A value without a sufficient static bound.
    #[error("layer `{layer}`: {source}")]
    Range {
        /// Layer.
        layer: String,
        /// Cause.
        source: RangeError,
    },
    /// A stream whose static bounds are too great to be squared.
    #[error("node `{name}`: its squares may need {} bits more than 61; normalise its values earlier", 2 * bits)]
    Loud {
        /// Node of the float graph, by its place.
        node: NodeId,
        /// Its name.
        name: String,
        /// Bits by which its scale is too fine.
        bits: u32,
    },
    /// A weight that does not fit 32 bits.
    #[error("node `{node}`: the weight {value:.3e} does not fit 31 bits; check the model for extreme weights")]
    Weight {
        /// Node of the float graph.
        node: String,
        /// The scaled weight.
        value: f64,
    },
    /// Calibration failed on a sample.
    #[error("sample {index}: {source}")]
    Sample {
        /// Index of the sample.
        index: usize,
        /// Cause.
        source: EvalError,
    },
    /// A value that is not finite.
    #[error("node `{node}`: the float model computes NaN or infinity on sample {index}; check weights and sample data")]
    NotFinite {
        /// Node of the float graph.
        node: String,
        /// Index of the sample.
        index: usize,
    },
    /// A mask whose finite score hides too little.
    #[error(
        "node `{node}`: the mask value {value} leaves a hidden key {weight:.1e} of the largest weight on the sample data, \
         {units:.1} units of the table of exponentials (2^-{exp_bits}), where less than half a unit can be left out; \
         mask with -1e4 or -inf and export the model again"
    )]
    SoftMask {
        /// Node of the source model that applies the mask.
        node: String,
        /// Score of hidden keys.
        value: f32,
        /// Largest weight of a hidden key relative to the largest weight of its query.
        weight: f64,
        /// The same in units of the table's output.
        units: f64,
        /// Bits of the largest exponential.
        exp_bits: u32,
    },
    /// Weights that were left in a file and are not to be had again.
    #[error("node `{node}`: reading its weights again: {source}; see to the disk of the folder for temporary files")]
    Stored {
        /// Node of the float graph.
        node: String,
        /// Cause.
        source: std::io::Error,
    },
    /// No calibration data.
    #[error("no calibration data; give at least one sample input with --data")]
    NoData,
    /// An input that the model cannot take.
    #[error("input `{name}`: {why}")]
    Input {
        /// Input name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The bounds of repeated layers keep growing.
    #[error("layer `{layer}`: static bounds do not settle over the layers; normalise between them")]
    Unsettled {
        /// First layer of the group.
        layer: String,
    },
}

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
        /// What is missing.
        why: NoForm,
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
        why: Misfit,
    },
    /// The bounds of repeated layers keep growing.
    #[error("layer `{layer}`: static bounds do not settle over the layers; normalise between them")]
    Unsettled {
        /// First layer of the group.
        layer: String,
    },
}

/// Why an op, or a use of it, has no integer form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoForm {
    /// Another op than its recipe takes, which is named.
    #[error("not {0}")]
    Op(&'static str),
    /// Attention to values that are not proportional to their integers.
    #[error("values with an additive constant")]
    Offset,
    /// An attention mask that is computed.
    #[error("the attention mask must be an input of the model")]
    AttentionMask,
    /// A mask of a mean that is computed.
    #[error("the mask of a mean must be an input of the model")]
    MeanMask,
    /// A product of operands of different widths.
    #[error("operands of different widths")]
    Widths,
    /// A rotation of something else than a linear map.
    #[error("only projections can be rotated")]
    NoProjection,
    /// An op of whole numbers whose result is not exact.
    #[error("it has no exact form for whole numbers")]
    Inexact,
    /// A comparison or quotient of a value whose units are no part of 1.
    #[error("the scale of its operand is no whole number")]
    FractionalScale,
    /// A divisor without positive values.
    #[error("its divisor is never greater than 0")]
    Divisor,
    /// An index that is none of its axis.
    #[error("its index is never one of its axis")]
    Index,
    /// Without tables, an operand of which some greater integers stand for lesser numbers.
    #[error("its operand has negative units")]
    NegativeUnits,
    /// Without tables, a function that is not piecewise linear.
    #[error("not a function of straight pieces")]
    Curved,
    /// Without tables, layers of one shape with different functions.
    #[error("another function in each layer")]
    Functions,
    /// Without tables, layers of one shape with different units.
    #[error("another unit in each layer")]
    Units,
}

impl NoForm {
    /// What helps; `None` where nothing more is known than that the model must change.
    pub fn way_out(self) -> Option<&'static str> {
        match self {
            NoForm::Op(_)
            | NoForm::Offset
            | NoForm::AttentionMask
            | NoForm::MeanMask
            | NoForm::Widths
            | NoForm::NoProjection => None,
            NoForm::Inexact => Some("compute it with real numbers"),
            NoForm::FractionalScale => Some("use values below 2^20"),
            NoForm::Divisor | NoForm::Index => Some("correct the model"),
            NoForm::NegativeUnits | NoForm::Curved => Some("use a table"),
            NoForm::Functions | NoForm::Units => Some("use tables"),
        }
    }
}

/// Why a model cannot take the values of an input.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// Another number of inputs.
    #[error("{expected} inputs expected, {given} given")]
    Inputs {
        /// Inputs of the model.
        expected: usize,
        /// Inputs given.
        given: usize,
    },
    /// Another number of values.
    #[error("{expected} values expected, {given} given")]
    Length {
        /// Values of the input.
        expected: usize,
        /// Values given.
        given: usize,
    },
    /// A value that is not finite.
    #[error("value {position} is {value}")]
    NotFinite {
        /// Flat position.
        position: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A value beyond what the sample data cover.
    #[error("value {position} is {value}, the model was compiled for {least} to {greatest}")]
    Outside {
        /// Flat position.
        position: usize,
        /// The value, after rounding to the input's unit.
        value: f64,
        /// Least value.
        least: f64,
        /// Greatest value.
        greatest: f64,
    },
}

impl Misfit {
    /// What helps; `None` where the input is not of the model.
    pub fn way_out(&self) -> Option<&'static str> {
        match self {
            Misfit::Outside { .. } => Some("add sample data that covers it"),
            Misfit::Inputs { .. } | Misfit::Length { .. } | Misfit::NotFinite { .. } => None,
        }
    }
}

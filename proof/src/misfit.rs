//! What does not fit together in files whose bytes were read.

use nanozk_plan::{ValueError, check::CheckError, format::FormatError, hiding::HidingError};

/// Why a shape of a verifier file is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeMisfit {
    /// The plan is not sound.
    #[error(transparent)]
    Plan(#[from] CheckError),
    /// A size that no SRS serves.
    #[error("a shape has k = {k}, outside 1..={most}")]
    Size {
        /// Of the plan.
        k: u32,
        /// The greatest.
        most: u32,
    },
    /// Commitments of another number of mask rows.
    #[error("a shape has the wrong number of commitments of mask rows")]
    SpanBasis,
}

/// Why the graphs of a verifier file are not those of its layers and tensors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementMisfit {
    /// More or fewer graphs than plans.
    #[error("there is not one graph for each plan")]
    Graphs,
    /// Long graphs, each to be looked at for many layers.
    #[error("there are too many layers for graphs of this size")]
    Size,
    /// A table of a layer that the publisher's proof does not state.
    #[error("the values of a table are missing")]
    NoTable,
    /// A graph that the interpreter does not take.
    #[error("{0}")]
    Structure(String),
    /// An output of a layer that is not written, or twice.
    #[error("a graph does not write each of its layer's outputs once")]
    Outputs,
    /// A padded input where all tokens depend on the padding.
    #[error("tensor {tensor} may be padded, and all tokens see padding")]
    Padding {
        /// Its name.
        tensor: String,
    },
    /// A public input whose range exceeds the table that it reads.
    #[error("tensor {tensor} may hold ids that have no embedding")]
    Ids {
        /// Its name.
        tensor: String,
    },
    /// Proven ranges of other layers than there are.
    #[error("the ranges of weights are not of its layers")]
    Ranges,
    /// A shape that no layer has.
    #[error("shape {shape} belongs to no layer")]
    Unused {
        /// The shape.
        shape: usize,
    },
    /// A shape of which layers see public tensors where others see hidden ones.
    #[error("shape {shape} has layers that see tensors differently")]
    Ports {
        /// The shape.
        shape: usize,
    },
}

/// Why the parts of a verifier file do not make a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelMisfit {
    /// An input or output that is nowhere.
    #[error("a model input or output names no tensor")]
    NoTensor,
    /// The source model's view of an input or output.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A scale that is no positive number, or an empty range.
    #[error("a tensor has an invalid scale or range")]
    Tensor,
    /// A layer whose shape is not in the file.
    #[error("layer {layer} has no shape")]
    NoShape {
        /// Name of the layer.
        layer: String,
    },
    /// A layer with other tensors, tables, weights or parameters than its shape has.
    #[error("layer {layer} does not fit its shape")]
    Layer {
        /// Name of the layer.
        layer: String,
    },
    /// Shapes that read commitments differently.
    #[error("two shapes have different geometries")]
    Geometries,
    /// Noise that is not one tensor of its own.
    #[error("there is more than one tensor of noise, or it is an input")]
    Noise,
    /// Noise that changes nothing.
    #[error("no layer reads the noise {tensor}")]
    UnreadNoise {
        /// Name of the tensor.
        tensor: String,
    },
    /// Layers in another order than that of evaluation.
    #[error("layer {layer} reads tensor {tensor} before any layer writes it")]
    Unwritten {
        /// Name of the layer.
        layer: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor with two values.
    #[error("layer {layer} writes tensor {tensor}, which has its value already")]
    WrittenTwice {
        /// Name of the layer.
        layer: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// An output without a value.
    #[error("no layer writes the output {output}")]
    NoOutput {
        /// Name of the output.
        output: String,
    },
    /// A column that is opened more often than its random rows hide.
    #[error(transparent)]
    Hiding(#[from] HidingError),
}

/// Why a proof is none of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleMisfit {
    /// More tokens than the model has, or none.
    #[error("length {length} is outside 1..={tokens}")]
    Length {
        /// Tokens of the proof.
        length: u32,
        /// Tokens of the model.
        tokens: u32,
    },
    /// Other tensors than the model's.
    #[error("the tensors are not those of the model")]
    Tensors,
    /// A commitment that says nothing.
    #[error("hidden tensor {tensor} is committed to, and no layer reads it")]
    Unread {
        /// Name of the tensor.
        tensor: String,
    },
    /// A public tensor with more or fewer values than it has elements.
    #[error("public tensor {tensor} has the wrong size")]
    Elements {
        /// Name of the tensor.
        tensor: String,
    },
    /// A value that the circuits do not take.
    #[error("public tensor {tensor} holds {value}, outside {lo}..={hi}")]
    Value {
        /// Name of the tensor.
        tensor: String,
        /// The value.
        value: i64,
        /// Least value.
        lo: i64,
        /// Greatest value.
        hi: i64,
    },
    /// A mask by which a token sees nothing: the circuit then computes as if nothing were hidden.
    #[error("public tensor {tensor} hides all that some token sees")]
    HidesAll {
        /// Name of the tensor.
        tensor: String,
    },
    /// Values behind the last token.
    #[error("public tensor {tensor} is not 0 beyond its length")]
    Padding {
        /// Name of the tensor.
        tensor: String,
    },
    /// A shorter input of a model that sees all rows.
    #[error("{length} of {tokens} tokens, but every token of this model sees all of {tensor}")]
    Short {
        /// Tokens of the proof.
        length: u32,
        /// Tokens of the model.
        tokens: u32,
        /// Name of the tensor.
        tensor: String,
    },
    /// Rows that have to be equal.
    #[error("public tensor {tensor} differs from token to token")]
    Rows {
        /// Name of the tensor.
        tensor: String,
    },
    /// Layers of another model, or not ascending.
    #[error("the layers are not in order, repeated, or not of the model")]
    Layers,
    /// A challenge to a model of another number of layers.
    #[error("the challenge draws from {drawn} layers, the model has {layers}")]
    Challenge {
        /// Layers that were drawn from.
        drawn: usize,
        /// Layers of the model.
        layers: usize,
    },
}

/// Why a proof about weights is none of a verifier file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangesMisfit {
    /// Ranges of other layers or matrices.
    #[error("ranges are stated for other matrices")]
    Matrices,
    /// Ranges of a layer that stand for wider integers than weights are, or for none.
    #[error("the ranges of layer {layer} do not fit its weights")]
    Layer {
        /// Its index.
        layer: usize,
    },
    /// More outputs than one proof takes.
    #[error("the matrices have too many outputs")]
    Outputs,
    /// A circuit without room for the table of limbs.
    #[error("a circuit is too small for a table")]
    Table,
    /// Columns that are longer than those of the proof.
    #[error("layer {layer} has more rows than its proof of ranges")]
    Rows {
        /// Its index.
        layer: usize,
    },
    /// Projections of no width, or of one that is not sound.
    #[error("projections have no such width")]
    Width,
    /// Weights whose projections are wider than can be stated.
    #[error("sums of all weights are wider than projections may be (64 bits)")]
    Sums,
    /// Projections that need more lanes than a circuit has.
    #[error("circuits are too small for projections")]
    Lanes,
    /// Projections of nothing.
    #[error("there are no weights to project")]
    NoWeights,
    /// Too many sets of rows without a weight.
    #[error("the matrices leave too many kinds of rows without weights")]
    Zeros,
    /// A proof of a size that no circuit of the file has.
    #[error("no circuit of this size")]
    NoCircuit,
    /// Keys, tables, openings or proofs are missing, or there are too many.
    #[error("it has the wrong number of parts")]
    Parts,
    /// A key of another circuit.
    #[error(transparent)]
    Shape(#[from] ShapeMisfit),
    /// The file cannot be written down to be hashed.
    #[error(transparent)]
    Format(#[from] FormatError),
}

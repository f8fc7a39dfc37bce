//! A quantised model: boundary tensors and layers over shared shapes.

use super::{Graph, Table, packed::Stored};
use serde::{Deserialize, Serialize};

/// Index of a boundary tensor.
pub type TensorId = u32;

/// How a boundary tensor is seen by a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Model input that the verifier knows: token ids (`[tokens, 1]`) or public activations.
    PublicInput,
    /// Model input that stays with the prover: a committed tensor.
    PrivateInput,
    /// Passed between layers: a committed tensor.
    Internal,
    /// Model output that the verifier knows.
    PublicOutput,
    /// Model output that stays with the prover: a committed tensor.
    PrivateOutput,
    /// Noise on the scores of tokens, which the verifier computes: 0 unless an answer is drawn ([`super::gumbel`]).
    Noise,
}

impl Role {
    /// Whether the verifier knows the values.
    pub fn is_public(self) -> bool {
        matches!(self, Role::PublicInput | Role::PublicOutput | Role::Noise)
    }
}

/// A tensor that crosses layer boundaries, `[tokens, features]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Name for tables and verdicts.
    pub name: String,
    /// Features per token.
    pub features: u32,
    /// Real value = integer / scale; 1 for token ids.
    pub scale: f64,
    /// Least integer value.
    pub lo: i64,
    /// Greatest integer value.
    pub hi: i64,
    /// Who sees it.
    pub role: Role,
}

/// Row-major integer matrices of a layer, shapes as in [`Graph::weights`]. Hidden from verifiers.
pub type Weights = Vec<Vec<i32>>;

/// A model without its weights: what a verifier knows, and what the model id commits to beside the weights.
pub type Architecture = Model<()>;

/// One layer: a shape with its data. `W` is what is known of its weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound = "W: Stored")]
pub struct Layer<W = Weights> {
    /// Name for tables.
    pub name: String,
    /// Index into [`Model::shapes`].
    pub shape: u32,
    /// Boundary tensors read, by port.
    pub inputs: Vec<TensorId>,
    /// Boundary tensors written, by port.
    pub outputs: Vec<TensorId>,
    /// The weights.
    #[serde(serialize_with = "W::store", deserialize_with = "W::load")]
    pub weights: W,
    /// Lookup tables of `2^b` entries each. Part of the model id.
    pub tables: Vec<Table>,
    /// Public constants of this layer. Part of the model id.
    pub params: Vec<i64>,
}

/// A quantised model. `W` is what is known of the weights of each layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound = "W: Stored")]
pub struct Model<W = Weights> {
    /// Tokens T of every activation.
    pub tokens: u32,
    /// Width of the range table.
    pub limb_bits: u32,
    /// Distinct layer structures.
    pub shapes: Vec<Graph>,
    /// Layers in evaluation order.
    pub layers: Vec<Layer<W>>,
    /// Boundary tensors.
    pub tensors: Vec<Tensor>,
    /// Model inputs, in the order of the source model.
    pub inputs: Vec<TensorId>,
    /// Model outputs, in the order of the source model.
    pub outputs: Vec<TensorId>,
}

impl<W> Layer<W> {
    /// The values of the tables.
    pub fn table_values(&self) -> Vec<Vec<i64>> {
        self.tables.iter().map(|table| table.to_vec()).collect()
    }

    /// The layer with something else known of its weights.
    pub fn with<V>(&self, weights: V) -> Layer<V> {
        Layer {
            name: self.name.clone(),
            shape: self.shape,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            weights,
            tables: self.tables.clone(),
            params: self.params.clone(),
        }
    }
}

impl<W> Model<W> {
    /// Whether padding would enter the results of true tokens: see [`Graph::sees_padding`].
    pub fn sees_padding(&self) -> bool {
        self.shapes.iter().any(|shape| shape.sees_padding(self.tokens))
    }

    /// The tensor of noise, if answers can be drawn.
    pub fn noise(&self) -> Option<TensorId> {
        self.tensors.iter().position(|tensor| tensor.role == Role::Noise).map(|id| id as TensorId)
    }

    /// Whether some attention hides from each token those that follow it.
    pub fn is_causal(&self) -> bool {
        self.shapes.iter().any(Graph::is_causal)
    }

    /// The model without its weights.
    pub fn architecture(&self) -> Architecture {
        Model {
            tokens: self.tokens,
            limb_bits: self.limb_bits,
            shapes: self.shapes.clone(),
            layers: self.layers.iter().map(|layer| layer.with(())).collect(),
            tensors: self.tensors.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        }
    }
}

//! What lowering must know besides the graph.

use nanozk_ir::int::Model;
use serde::{Deserialize, Serialize};

/// How a port's tensor is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortSpec {
    /// Features per token.
    pub features: u32,
    /// Whether the verifier knows the tensor.
    pub public: bool,
}

/// The layer's ports, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    /// Tensors read.
    pub inputs: Vec<PortSpec>,
    /// Tensors written.
    pub outputs: Vec<PortSpec>,
}

impl Ports {
    /// The ports of layer `layer` of a model; `None` when the layer or one of its tensors does not exist.
    pub fn of<W>(model: &Model<W>, layer: usize) -> Option<Ports> {
        let layer = model.layers.get(layer)?;
        let specs = |ids: &[u32]| {
            ids.iter()
                .map(|&id| {
                    let tensor = model.tensors.get(id as usize)?;
                    let public = tensor.role.is_public();
                    Some(PortSpec { features: tensor.features, public })
                })
                .collect::<Option<Vec<_>>>()
        };
        Some(Ports { inputs: specs(&layer.inputs)?, outputs: specs(&layer.outputs)? })
    }
}

/// How squares stand among the products of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Squares {
    /// A square is a product like any other: three columns.
    Plain,
    /// Squares share a row with another product of the same factor, in strips of four columns of their own.
    Apart,
    /// All products stand in strips of four columns.
    Together,
}

impl Squares {
    /// All ways, in the order in which they are tried.
    pub const ALL: [Squares; 3] = [Squares::Plain, Squares::Apart, Squares::Together];
}

/// What the search for the cheapest plan picks: with the graph, all that a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Choices {
    /// Rows are `2^k`.
    pub k: u32,
    /// How squares stand.
    pub squares: Squares,
    /// Weight columns C; 0 without weights.
    pub weight_columns: u32,
}

/// Sizes and wishes of the search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Tokens T.
    pub tokens: u32,
    /// Width b of the range table.
    pub limb_bits: u32,
    /// Rows `2^k`; `None` lets the cost model choose.
    pub k: Option<u32>,
    /// Weight columns C; `None` takes the smallest power of two from 32 that fits.
    pub weight_columns: Option<u32>,
    /// What the cost model minimises.
    pub objective: nanozk_plan::cost::Objective,
}

impl Options {
    /// The defaults for `tokens` tokens and a range table of `2^limb_bits` entries.
    pub fn new(tokens: u32, limb_bits: u32) -> Self {
        Options { tokens, limb_bits, k: None, weight_columns: None, objective: Default::default() }
    }
}

//! What the integers of a quantised model stand for.

use nanozk_ir::{
    float::NodeId,
    int::{Model, ValueId},
};

/// A quantised model with what its integers stand for.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// The model.
    pub model: Model,
    /// By layer.
    pub traces: Vec<Vec<Trace>>,
}

/// An integer value of a layer that stands for a value of the float graph:
/// `real[t, j] = unit[j] * int[t, j] + offset[j]`.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Node of the float graph.
    pub node: NodeId,
    /// Node of the layer's shape.
    pub value: ValueId,
    /// Real value of one integer unit, by feature.
    pub unit: Vec<f64>,
    /// Added constant, by feature; absent when 0.
    pub offset: Option<Vec<f64>>,
}

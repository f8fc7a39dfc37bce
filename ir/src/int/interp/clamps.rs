//! What clamps take away in a run: a saturated value is proven as it stands, but the source model computes another.

use crate::int::Model;
use crate::int::ops::{Numbers, Ports, Site};

/// What one clamped requantisation, or one table of a function, did to the values of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Clamp {
    /// Name of the layer.
    pub layer: String,
    /// Name of the node.
    pub node: String,
    /// Values that it saw.
    pub cells: u64,
    /// Values that it saturated.
    pub saturated: u64,
    /// Greatest magnitude that it saw, as a share of the greatest that it keeps.
    pub load: f64,
}

impl Clamp {
    /// Both runs together.
    #[must_use]
    pub fn merged(self, other: &Clamp) -> Clamp {
        Clamp {
            cells: self.cells + other.cells,
            saturated: self.saturated + other.saturated,
            load: self.load.max(other.load),
            ..self
        }
    }
}

/// The clamps of layer `layer`, whose nodes have these values.
pub fn clamps<W>(model: &Model<W>, layer: usize, values: &[Vec<i64>]) -> Vec<Clamp> {
    let Some(data) = model.layers.get(layer) else { return Vec::new() };
    let Some(shape) = model.shapes.get(data.shape as usize) else { return Vec::new() };
    let numbers = Numbers { weights: &[], tables: &data.tables, params: &data.params, inputs: &[] };
    let mut found = Vec::new();
    for node in &shape.nodes {
        let Some(x) = node.inputs.first().map(|&x| &values[x as usize]) else { continue };
        let site = Site::new(model.tokens, model.limb_bits, shape, node, Ports::default());
        let Some((saturated, load)) = node.op.meaning().saturated(&site, &numbers, values) else { continue };
        let (layer, node) = (data.name.clone(), node.name.clone());
        found.push(Clamp { layer, node, cells: x.len() as u64, saturated: saturated as u64, load });
    }
    found
}

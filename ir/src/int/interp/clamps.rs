//! What clamps take away in a run: a saturated value is proven as it stands, but the source model computes another.

use super::requant::round_shift;
use crate::int::{Model, Op};

/// What one clamped requantisation did to the values of a run.
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
    let limit = (1i64 << (model.limb_bits - 1)) - 1;
    let mut found = Vec::new();
    for node in &shape.nodes {
        let (Op::Requant { limbs, clamp: true, .. }, Some(&x)) = (&node.op, node.inputs.first()) else { continue };
        let rounded = || values[x as usize].iter().map(|&x| round_shift(x, limbs * model.limb_bits).0);
        found.push(Clamp {
            layer: data.name.clone(),
            node: node.name.clone(),
            cells: values[x as usize].len() as u64,
            saturated: rounded().filter(|y| !(-limit - 1..=limit).contains(y)).count() as u64,
            load: rounded().map(i64::unsigned_abs).max().unwrap_or(0) as f64 / limit as f64,
        });
    }
    found
}

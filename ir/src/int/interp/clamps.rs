//! What clamps take away in a run: a saturated value is proven as it stands, but the source model computes another.

use super::requant::round_shift;
use crate::int::{Model, Op};
use std::collections::HashMap;

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
    let limit = (1i64 << (model.limb_bits - 1)) - 1;
    let mut found = Vec::new();
    for node in &shape.nodes {
        let Some(x) = node.inputs.first().map(|&x| &values[x as usize]) else { continue };
        let (saturated, load) = match node.op {
            Op::Requant { limbs, clamp: true, .. } => {
                let rounded = || x.iter().map(|&x| round_shift(x, limbs * model.limb_bits).0);
                let saturated = rounded().filter(|y| !(-limit - 1..=limit).contains(y)).count();
                (saturated, rounded().map(i64::unsigned_abs).max().unwrap_or(0) as f64 / limit as f64)
            }
            Op::Table { table } => {
                let Some(curve) = data.tables[table as usize].curve() else { continue };
                let half = 1 << (model.limb_bits - 1);
                let mut known = HashMap::new();
                let mut load = |&x: &i64| *known.entry(x).or_insert_with(|| curve.load(2 * half, x + half));
                let loads: Vec<f64> = x.iter().map(&mut load).collect();
                (loads.iter().filter(|load| **load > 1.0).count(), loads.iter().copied().fold(0.0, f64::max))
            }
            _ => continue,
        };
        let (layer, node) = (data.name.clone(), node.name.clone());
        found.push(Clamp { layer, node, cells: x.len() as u64, saturated: saturated as u64, load });
    }
    found
}

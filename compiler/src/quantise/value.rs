//! Integer values and what they stand for.

use nanozk_ir::int::ValueId;

/// Numbers by layer and feature.
pub(super) type ByLayer = Vec<Vec<f64>>;

/// An integer value of the shape with its real meaning: `real[t, j] = unit[g][j] * int[t, j] + offset[g][j]` in layer g.
#[derive(Clone, Debug)]
pub(super) struct Val {
    pub id: ValueId,
    /// Real value of one integer unit, by layer and feature.
    pub unit: ByLayer,
    /// Added constant, by layer and feature; absent when 0.
    pub offset: Option<ByLayer>,
    /// Length of the stretches of features whose integers sum to nearly 0, if any (after LayerNorm).
    pub centred: Option<usize>,
}

impl Val {
    /// A value with one unit per layer.
    pub fn uniform(id: ValueId, features: usize, unit: &[f64]) -> Self {
        Val { id, unit: unit.iter().map(|&u| vec![u; features]).collect(), offset: None, centred: None }
    }

    /// The same integers, each layer's real values multiplied by a factor.
    pub fn scaled(mut self, factor: &[f64]) -> Self {
        let each = |v: &mut Vec<Vec<f64>>| {
            for (row, f) in v.iter_mut().zip(factor) {
                row.iter_mut().for_each(|u| *u *= f);
            }
        };
        each(&mut self.unit);
        self.offset.as_mut().map(each);
        self
    }

    /// Features `picks`, computed by node `id`.
    pub fn picked(&self, id: ValueId, picks: &[usize]) -> Self {
        let pick = |v: &Vec<Vec<f64>>| v.iter().map(|row| picks.iter().map(|&f| row[f]).collect()).collect();
        Val { id, unit: pick(&self.unit), offset: self.offset.as_ref().map(pick), centred: None }
    }

    /// Units and offsets of one of `positions` equal stretches, when they are the same in all.
    pub fn repeats(&self, positions: usize) -> Option<(ByLayer, Option<ByLayer>)> {
        let first = |v: &ByLayer| -> Option<ByLayer> {
            v.iter()
                .map(|row| {
                    let n = row.len() / positions;
                    let part = row.get(..n)?;
                    row.chunks_exact(n).all(|c| c == part).then(|| part.to_vec())
                })
                .collect()
        };
        let offset = match &self.offset {
            Some(o) => Some(first(o)?),
            None => None,
        };
        Some((first(&self.unit)?, offset))
    }

    /// The greatest number of equal stretches in which units and offsets repeat.
    pub fn period(&self) -> usize {
        let n = self.unit.first().map_or(1, Vec::len);
        (1..=n).filter(|p| n.is_multiple_of(*p)).map(|p| n / p).find(|&p| self.repeats(p).is_some()).unwrap_or(1)
    }
}

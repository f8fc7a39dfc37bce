//! How the file states the ranges of its weights, and what proves them.

use super::{
    chunks::{self, Chunk, chunks, limb_bits, sizes},
    identity::{Forged, Identity, Weights},
    projection::{self, Limb, Projections, projection_bits},
};
use crate::{
    keys::{Limbs, VerifierKey},
    misfit::RangesMisfit,
};
use nanozk_plan::Plan;
use std::sync::Arc;

/// What one proof of ranges is about.
pub enum RangeStatement {
    /// Some weight columns, exactly.
    Chunk(Chunk),
    /// All columns of circuits of one size.
    Projections(Projections),
}

impl Limbs {
    /// What takes the fewest committed columns: every weight, of the narrowest `widths` by layer and matrix, or projections.
    /// With the reason where no projections could be proven.
    pub fn cheapest(key: &VerifierKey, widths: &[Vec<u32>]) -> (Self, Option<RangesMisfit>) {
        let exact = Limbs::Exact(widths.to_vec());
        let lanes = |limbs: &Limbs| -> Result<usize, RangesMisfit> {
            Ok(limbs.statements(key)?.iter().map(|part| part.plan().lanes.len()).sum())
        };
        let projected = || {
            let limbs = sizes(key).into_iter().map(|k| Projections::limbs(key, k, widths));
            let limbs: Vec<u32> = limbs.collect::<Result<_, _>>()?;
            let projected = Limbs::Projected(limbs.into_iter().max().ok_or(RangesMisfit::NoWeights)?);
            Ok((lanes(&projected)?, projected))
        };
        match (lanes(&exact), projected()) {
            (Ok(all), Ok((some, _))) if all <= some => (exact, None),
            (_, Ok((_, projected))) => (projected, None),
            (_, Err(misfit)) => (exact, Some(misfit)),
        }
    }

    /// What is to be proven of a model. Deterministic: prover and verifier call it alike.
    ///
    /// # Errors
    /// What does not fit.
    pub fn statements(&self, key: &VerifierKey) -> Result<Vec<RangeStatement>, RangesMisfit> {
        match self {
            Limbs::Exact(limbs) => Ok(chunks(key, limbs)?.into_iter().map(RangeStatement::Chunk).collect()),
            Limbs::Projected(_) if sizes(key).is_empty() => Err(RangesMisfit::NoWeights),
            Limbs::Projected(limbs) => {
                let of_size = |k: u32| Projections::new(key, k, *limbs).map(RangeStatement::Projections);
                sizes(key).into_iter().map(of_size).collect()
            }
        }
    }

    /// What is proven of the magnitudes of weights, by layer and matrix.
    pub fn bounds(&self, key: &VerifierKey) -> Vec<Vec<f64>> {
        let plans = key.layers.iter().map(|layer| &key.shapes[layer.shape as usize].plan);
        match self {
            Limbs::Exact(limbs) => {
                let of_layer = |(plan, limbs): (&Arc<Plan>, &Vec<u32>)| {
                    let bits = limb_bits(plan.geometry.k);
                    limbs.iter().map(|limbs| chunks::offset(bits, *limbs) as f64).collect()
                };
                plans.zip(limbs).map(of_layer).collect()
            }
            Limbs::Projected(limbs) => {
                let bound = |k: u32| {
                    projection_bits(k, *limbs).map_or(f64::INFINITY, |bits| projection::weight_bound(bits, *limbs))
                };
                plans.map(|plan| vec![bound(plan.geometry.k); plan.tiles.len()]).collect()
            }
        }
    }
}

impl RangeStatement {
    /// What is to be shown, for the hash of all that the file's proof is about.
    pub fn identity(&self, statement: &[u8; 32]) -> Identity {
        match self {
            RangeStatement::Chunk(chunk) => chunk.identity.clone(),
            RangeStatement::Projections(projections) => projections.identity(statement),
        }
    }

    /// The circuit of its proof.
    pub fn plan(&self) -> Arc<Plan> {
        match self {
            RangeStatement::Chunk(chunk) => chunk.identity.plan.clone(),
            RangeStatement::Projections(projections) => Arc::new(projections.plan()),
        }
    }

    /// The limb lanes for weights, to whose cells `forged` are added; for chunks only if none are. `None` if weights are
    /// missing or do not fit.
    pub fn lanes_of<C: Limb>(&self, statement: &[u8; 32], weights: &Weights, forged: &[Forged]) -> Option<Vec<Vec<C>>> {
        match self {
            RangeStatement::Chunk(chunk) => {
                let lane = |lane: Vec<i64>| lane.into_iter().map(C::of).collect();
                Some(chunk.lanes_of(weights)?.into_iter().map(lane).collect())
            }
            RangeStatement::Projections(projections) => projections.lanes_of(statement, weights, forged),
        }
    }

    /// Number of weights.
    pub fn weights(&self) -> u64 {
        match self {
            RangeStatement::Chunk(chunk) => chunk.weights(),
            RangeStatement::Projections(projections) => projections.weights,
        }
    }

    /// First and last of its layers.
    pub fn layers(&self) -> (usize, usize) {
        let layers: Vec<usize> = match self {
            RangeStatement::Chunk(chunk) => chunk.columns.iter().map(|c| c.layer).collect(),
            RangeStatement::Projections(projections) => projections.columns.iter().map(|(layer, _)| *layer).collect(),
        };
        (layers.first().copied().unwrap_or(0), layers.last().copied().unwrap_or(0))
    }
}

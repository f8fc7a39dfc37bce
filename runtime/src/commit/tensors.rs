//! Boundary tensors: public values, or committed lanes that neighbouring layers share.

use crate::keys::{self, Bases, ProverKeys, Seed};
use nanozk_plan::{Boundary, Plan, Port};
use nanozk_proof::bundle::{CommittedTensor, PublicTensor};
use nanozk_proof::field::{G1, Mask};
use nanozk_proof::keys::Visibility;
use nanozk_proof::prover::{commit_lane, random_mask};
use nanozk_proof::witness::LaneColumn;
use rayon::prelude::*;

/// Mask of one lane of a committed tensor: the same in every layer that reads or writes it.
pub fn mask(seed: &Seed, tensor: u32, lane: u32) -> Mask {
    random_mask(&mut keys::stream(seed, "tensor mask", &[tensor, lane], &[]))
}

/// Splits all boundary tensors into public values and commitments, both in ascending order.
pub fn split(
    keys: &ProverKeys,
    bases: &Bases,
    seed: &Seed,
    values: &[Vec<i64>],
) -> (Vec<PublicTensor>, Vec<CommittedTensor>) {
    let ids = 0..keys.verifier.tensors.len() as u32;
    let (public, hidden): (Vec<u32>, Vec<u32>) =
        ids.partition(|id| keys.verifier.tensors[*id as usize].visibility.public());
    let public = public.into_iter().map(|tensor| match keys.verifier.tensors[tensor as usize].visibility {
        Visibility::Noise => PublicTensor { tensor, values: Vec::new() },
        _ => PublicTensor { tensor, values: values[tensor as usize].clone() },
    });
    let commit = |tensor: u32| {
        // A hidden input that no layer reads has nothing to commit to.
        let Some((plan, boundary)) = holder(keys, tensor) else { return CommittedTensor { tensor, lanes: Vec::new() } };
        let columns = columns(plan, boundary, seed, tensor, &values[tensor as usize]);
        let base = keys::base(bases, plan);
        let lanes: Vec<G1> = columns.iter().map(|c| commit_lane(&plan.geometry, base, c)).collect();
        CommittedTensor { tensor, lanes }
    };
    (public.collect(), hidden.into_par_iter().map(commit).collect())
}

/// A plan that holds the tensor at one of its ports; all plans that do lay it out alike.
fn holder(keys: &ProverKeys, tensor: u32) -> Option<(&Plan, &Boundary)> {
    keys.artifact.model.layers.iter().find_map(|layer| {
        let plan = &keys.artifact.shapes.get(layer.shape as usize)?.plan;
        let holds = |b: &&Boundary| {
            let id = match b.port {
                Port::Input(p) => layer.inputs.get(p as usize),
                Port::Output(p) => layer.outputs.get(p as usize),
            };
            id == Some(&tensor) && !b.lanes.is_empty()
        };
        plan.boundaries.iter().find(holds).map(|b| (plan, b))
    })
}

/// The lanes of a tensor: feature f is slot `f % groups` of lane `f / groups`.
fn columns(plan: &Plan, boundary: &Boundary, seed: &Seed, tensor: u32, values: &[i64]) -> Vec<LaneColumn> {
    let g = plan.geometry;
    let (tokens, features) = (g.tokens as usize, boundary.features as usize);
    let lane = |lane: u32| {
        let mut data = vec![0; g.rows()];
        let first = (lane * g.groups) as usize;
        for f in first..features.min(first + g.groups as usize) {
            for t in 0..tokens {
                data[(f - first) * tokens + t] = values[t * features + f];
            }
        }
        LaneColumn { data, mask: mask(seed, tensor, lane) }
    };
    (0..boundary.lanes.len() as u32).map(lane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Equal masks would show the difference of two lanes in their commitments.
    #[test]
    fn no_two_lanes_share_a_mask_cell() {
        let lanes = (0..6u32).flat_map(|tensor| (0..6u32).map(move |lane| (tensor, lane)));
        let cells: Vec<_> =
            lanes.flat_map(|(tensor, lane)| [[1; 32], [2; 32]].map(|s| mask(&s, tensor, lane))).collect();
        let distinct: HashSet<_> = cells.iter().flatten().map(|cell| format!("{cell:?}")).collect();
        assert_eq!(distinct.len(), cells.iter().flatten().count());
    }
}

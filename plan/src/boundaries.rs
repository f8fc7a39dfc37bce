//! Checks of a plan's boundary tensors.

use crate::defect::CheckError;
use crate::{Boundary, LaneId, Plan, Port, Public, SlotId};
use std::collections::{BTreeMap, BTreeSet};

/// Every port has one boundary and every boundary lanes of its own: a lane of two tensors would have the commitment of
/// one of them, and nothing would tie the other to the layer.
pub(crate) fn boundaries(plan: &Plan) -> Result<(), CheckError> {
    let mut ports = BTreeSet::new();
    let mut owners: Vec<Option<Port>> = vec![None; plan.lanes.len()];
    for &Boundary { port, ref lanes, .. } in &plan.boundaries {
        let fail = |reason| Err(CheckError::Boundary { port, reason });
        if !ports.insert(port) {
            return fail("stands there twice");
        }
        for &lane in lanes {
            if owners[lane as usize].replace(port).is_some() {
                return fail("shares a lane");
            }
        }
    }
    let other = plan.lanes.iter().zip(owners).find_map(|(lane, owner)| match (lane.boundary, owner) {
        (boundary, owner) if boundary == owner => None,
        (boundary, owner) => boundary.or(owner),
    });
    match other {
        Some(port) => Err(CheckError::Boundary { port, reason: "has a lane that says otherwise" }),
        None => Ok(()),
    }
}

/// Every feature of every output enters an equation, as a cell of a lane or as a public slot that follows from others.
pub(crate) fn outputs(plan: &Plan, reads: &[(u32, u32)], determined: &[bool]) -> Result<(), CheckError> {
    let groups = plan.geometry.groups;
    let bound = |slot: SlotId| reads.get(slot as usize).is_some_and(|r| r.0 > 0);
    let follows = |slot: SlotId| bound(slot) && determined[slot as usize];
    // First slots of public tensors, and whether all marks of token tensors are bound.
    let mut values: BTreeMap<Port, (SlotId, u32)> = BTreeMap::new();
    let mut marks: BTreeMap<(Port, u32), bool> = BTreeMap::new();
    for (first, run) in plan.public_runs() {
        match *run {
            Public::Tensor { port, features } => drop(values.insert(port, (first, features))),
            Public::OneHot { port, feature, count } => {
                marks.insert((port, feature), (first..first + count).all(follows));
            }
            _ => {}
        }
    }
    for Boundary { port, lanes, features } in plan.boundaries.iter().filter(|b| matches!(b.port, Port::Output(_))) {
        let (first, width) = values.get(port).copied().unwrap_or_default();
        let public = |f: u32| f < width && follows(first + f) || marks.get(&(*port, f)).is_some_and(|all| *all);
        let lane = |f: u32| lanes.get((f / groups) as usize).is_some_and(|lane| bound(lane * groups + f % groups));
        if let Some(feature) = (0..*features).find(|&f| !lane(f) && !public(f)) {
            return Err(CheckError::Unbound { port: *port, feature });
        }
    }
    Ok(())
}

/// Lanes of a boundary tensor, with the first feature of each.
pub(crate) fn boundary_lanes(plan: &Plan) -> impl Iterator<Item = (LaneId, crate::Port, u32, u32)> + '_ {
    plan.boundaries.iter().flat_map(|b| {
        b.lanes.iter().enumerate().map(|(i, &lane)| (lane, b.port, i as u32 * plan.geometry.groups, b.features))
    })
}

//! Circuits of one size for all layers of a model.

use crate::error::CompileError;
use nanozk_ir::int;
use nanozk_layout::{self as layout, LayoutError, Lowered, Options, Ports};
use nanozk_plan::Geometry;
use nanozk_plan::check::sizes;
use nanozk_plan::cost::{Objective, balanced, cost, least_bytes};
use nanozk_plan::hiding::{self, HeldTensors, HidingError};
use rayon::prelude::*;

/// How many sizes above the least possible one are tried.
const SPREAD: usize = 5;

/// Share of the time that shorter circuits for the same cells take at least.
const LEAST_SECONDS: f64 = 0.5;

/// A quantised model with its circuits.
pub(crate) struct Circuits {
    pub model: int::Model,
    pub shapes: Vec<Lowered>,
    /// What the layout minimised.
    pub score: f64,
    /// By what.
    objective: Objective,
}

impl Circuits {
    /// The circuits have `2^k` rows.
    pub fn k(&self) -> u32 {
        self.shapes.iter().map(|s| s.plan.geometry.k).max().unwrap_or(0)
    }

    /// What circuits of `2^k` rows score at least, fewer than these have: as many cells in shorter lanes are more lanes, and
    /// each costs bytes. Narrower limbs save none.
    pub fn least_score(&self, k: u32) -> f64 {
        let of = |layer: &int::Layer| least_bytes(&self.shapes[layer.shape as usize].plan, k) as f64;
        let bytes = self.model.layers.iter().map(of).sum();
        match self.objective {
            Objective::Balanced => balanced(self.seconds() * LEAST_SECONDS, bytes),
            Objective::ProofSize => bytes,
            Objective::ProveTime | Objective::Memory => 0.0,
        }
    }

    fn seconds(&self) -> f64 {
        self.model.layers.iter().map(|layer| cost(&self.shapes[layer.shape as usize].plan).prove_seconds).sum()
    }
}

/// Lowers all shapes to circuits of one size, `2^max_k` rows at most: layers that share a committed tensor must lay it out
/// alike.
pub(crate) fn lay_out(model: int::Model, objective: Objective, max_k: u32) -> Result<Circuits, CompileError> {
    let (model, ports) = split_by_ports(model);
    let counts: Vec<f64> =
        (0..model.shapes.len()).map(|s| model.layers.iter().filter(|l| l.shape as usize == s).count() as f64).collect();
    let mut best: Option<(f64, Vec<Lowered>)> = None;
    let mut reason = format!("the range table of 2^{} entries does not fit", model.limb_bits);
    let mut tried = 0;
    for k in (1..=max_k).filter(|&k| Geometry::new(k, model.limb_bits, model.tokens).is_some()) {
        let options = Options { k: Some(k), objective, ..Options::new(model.tokens, model.limb_bits) };
        let lower = |(shape, graph)| {
            layout::lower(graph, &ports[shape], &options).map_err(|source| CompileError::Layout { shape, source })
        };
        let lowered: Result<Vec<Lowered>, CompileError> = model.shapes.par_iter().enumerate().map(lower).collect();
        match lowered {
            Ok(shapes) => {
                if let Err(large) = shapes.iter().try_for_each(|s| sizes(&s.plan)) {
                    reason = large.to_string();
                    continue;
                }
                let score = score(&shapes, &counts, objective);
                if best.as_ref().is_none_or(|(least, _)| score < *least) {
                    best = Some((score, shapes));
                }
                tried += 1;
                if tried > SPREAD {
                    break;
                }
            }
            Err(CompileError::Layout { source: source @ LayoutError::DoesNotFit { .. }, .. }) => {
                reason = source.to_string();
            }
            Err(other) => return Err(other),
        }
    }
    let (score, shapes) = best.ok_or(CompileError::TooLarge { max_k, reason })?;
    hides(&model, &shapes)?;
    Ok(Circuits { model, shapes, score, objective })
}

/// Cost of proving all layers: memory counts once, all else adds up.
fn score(shapes: &[Lowered], counts: &[f64], objective: Objective) -> f64 {
    let costs = || shapes.iter().map(|s| cost(&s.plan)).zip(counts);
    match objective {
        Objective::Memory => costs().map(|(c, _)| c.memory_mb).fold(0.0, f64::max),
        Objective::Balanced => {
            let sum = |f: &dyn Fn(&nanozk_plan::cost::Cost) -> f64| costs().map(|(c, n)| f(&c) * n).sum::<f64>();
            balanced(sum(&|c| c.prove_seconds), sum(&|c| c.proof_bytes as f64))
        }
        _ => costs().map(|(c, n)| c.score(objective) * n).sum(),
    }
}

/// Gives layers of one structure whose tensors differ in who sees them shapes of their own.
fn split_by_ports(mut model: int::Model) -> (int::Model, Vec<Ports>) {
    let mut known: Vec<(u32, Ports)> = Vec::new();
    let mut shapes = Vec::new();
    for layer in 0..model.layers.len() {
        let ports = Ports::of(&model, layer).unwrap_or_default();
        let key = (model.layers[layer].shape, ports);
        let index = known.iter().position(|k| *k == key).unwrap_or_else(|| {
            shapes.extend(model.shapes.get(key.0 as usize).cloned());
            known.push(key);
            known.len() - 1
        });
        model.layers[layer].shape = index as u32;
    }
    model.shapes = shapes;
    (model, known.into_iter().map(|(_, ports)| ports).collect())
}

/// Whether the random rows hide what proofs of the model reveal; each layer opens a lane at one point.
fn hides(model: &int::Model, shapes: &[Lowered]) -> Result<(), HidingError> {
    let layers = model.layers.iter().filter_map(|layer| {
        let plan = &shapes.get(layer.shape as usize)?.plan;
        Some(HeldTensors { plan, inputs: &layer.inputs, outputs: &layer.outputs })
    });
    hiding::check(&layers.collect::<Vec<_>>(), 1).map(drop)
}
